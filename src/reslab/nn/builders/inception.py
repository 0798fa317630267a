"""Inception-v4 and Inception-ResNet (Szegedy et al. 2016, arXiv 1602.07261), as modules."""

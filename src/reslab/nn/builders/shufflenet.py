"""ShuffleNet (Zhang et al. 2017, arXiv 1707.01083), as modules."""

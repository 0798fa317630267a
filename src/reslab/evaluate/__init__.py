"""How good a network is: metrics with intervals, views of images, comparisons of models."""

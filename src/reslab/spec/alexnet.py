"""AlexNet (Krizhevsky et al. 2012) and its one-tower form, as data."""

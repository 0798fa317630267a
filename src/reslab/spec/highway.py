"""Highway networks (Srivastava et al. 2015, arXiv 1507.06228), as data."""

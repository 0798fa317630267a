"""Identity mappings (He et al. 2016, arXiv 1603.05027): shortcuts, orders, pre-activation."""

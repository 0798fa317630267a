"""Where data sets come from: one module a kind of source."""

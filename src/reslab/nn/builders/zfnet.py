"""The networks of Zeiler and Fergus 2013 (arXiv 1311.2901), as modules."""

"""Small networks that put one idea of the line into a plain network, as modules."""

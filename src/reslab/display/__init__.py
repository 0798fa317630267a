"""How results look to people: numbers in words, short reprs, cards for notebooks, progress.

It knows no other part, and loads neither torch nor numpy, so that any part may use it.
"""

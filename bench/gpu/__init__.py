"""Training on a GPU beside PyTorch as others write it; see __main__."""

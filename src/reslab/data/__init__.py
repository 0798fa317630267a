"""Images and labels: sources, check, split, decode, store, augment, loader."""

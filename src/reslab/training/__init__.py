"""Training: recipes, the loop, checkpoints, run directories."""

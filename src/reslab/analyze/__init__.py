"""What a network costs and sees, measured on the built network."""

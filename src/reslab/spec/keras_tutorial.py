"""A Keras tutorial's pre-activation network, as data."""

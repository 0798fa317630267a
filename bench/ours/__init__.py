"""The arms that measure reslab, as a user gets it."""

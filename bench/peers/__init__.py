"""The arms that measure other people's code; nothing here imports reslab."""

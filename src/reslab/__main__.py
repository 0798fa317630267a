"""``python -m reslab``: the same as the command ``reslab``."""

from reslab.cli.main import entry

if __name__ == "__main__":
    entry()

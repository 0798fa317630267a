"""Side-by-side measurements with other people's code: `python -m bench --help`."""

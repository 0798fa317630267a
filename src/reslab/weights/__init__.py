"""Other people's weights: read, recognised, converted and written; hubs of models.

`convert` turns a file of another program into a network, `import_file` into a model with class
names and preprocessing, `export_file` goes the other way. `LAYOUTS` are the programs known.
"""

from reslab.weights.convert import Converted, MisfitError, convert, to_layout
from reslab.weights.importing import Imported, Request, import_file
from reslab.weights.layouts import LAYOUTS
from reslab.weights.read import SUFFIXES, read
from reslab.weights.write import export_file, export_notes

__all__ = [
    "LAYOUTS",
    "SUFFIXES",
    "Converted",
    "Imported",
    "MisfitError",
    "Request",
    "convert",
    "export_file",
    "export_notes",
    "import_file",
    "read",
    "to_layout",
]

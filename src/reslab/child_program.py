"""The program that every child process is; see `reslab.child`, which starts it.

It is run as a file, so that reslab need not be found on any path: it is where this file is.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys

PACKAGE = os.path.dirname(os.path.realpath(__file__))


def be_package() -> None:
    """Let ``import reslab`` find the package that this file is in."""
    spec = importlib.util.spec_from_file_location(
        "reslab", os.path.join(PACKAGE, "__init__.py"), submodule_search_locations=[PACKAGE]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["reslab"] = module
    spec.loader.exec_module(module)


def main() -> int:
    """Run the module that is named first; the parent's path and number follow as JSON."""
    beginning = json.loads(sys.argv[2])
    sys.path[:] = beginning["path"]
    be_package()
    code: int = importlib.import_module("reslab.child").begin(sys.argv[1], beginning["parent"])
    return code


if __name__ == "__main__":
    sys.exit(main())

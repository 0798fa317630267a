"""The one way of saving: temporary -> write -> fsync -> manifest -> rename -> fsync.

A save either succeeds as a whole or leaves what was there before. `files` has the calls that
touch the disk, `folders` saves a folder with its hashes, `lock` keeps a second process out, and
`cache` holds what may be lost.
"""

from reslab.durable.files import append_line, explain, truncate_lines, write_file
from reslab.durable.folders import MANIFEST, current, read_directory, recover, save_directory
from reslab.durable.lock import Lock

__all__ = [
    "MANIFEST",
    "Lock",
    "append_line",
    "current",
    "explain",
    "read_directory",
    "recover",
    "save_directory",
    "truncate_lines",
    "write_file",
]

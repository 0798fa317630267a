"""What desktops, file servers, cameras and tools leave in folders: nobody means it as data."""

from __future__ import annotations

import re

# In any case; a name that somebody might give to a class does not belong here.
_NAMES = frozenset(
    {
        # Windows
        "thumbs.db",
        "thumbs.db:encryptable",
        "ehthumbs.db",
        "ehthumbs_vista.db",
        "desktop.ini",
        "$recycle.bin",
        "$extend",
        "system volume information",
        "_vti_cnf",
        "_vti_pvt",
        # macOS, and its classic predecessor
        "__macosx",
        "icon\r",
        "icon\n",  # as some archivers write it
        "network trash folder",
        "temporary items",
        "thevolumesettingsfolder",
        "desktop db",
        "desktop df",
        # Linux, Android
        "lost+found",
        "lost.dir",
        # file servers: Synology, QNAP, NetApp, TrueNAS
        "@eadir",
        "#recycle",
        "#snapshot",
        "@recycle",
        "@recently-snapshot",
        "@__thumb",
        "@tmp",
        "@sharebin",
        "@sharesnap",
        "@synoeastream",
        "@synoresource",
        "~snapshot",
        # image managers
        "picasa.ini",
        "zbthumbnail.info",
        "pspbrwse.jbf",
        # programs
        "__pycache__",
        "_gsdata_",
        "conflictanddeleted",
    }
)
_PATTERNS = re.compile(
    r"found\.\d{3}"  # what chkdsk recovered
    r"|~\$.*"  # a document that is open in an office program
    r"|:2e.*"  # a dotfile as netatalk wrote it
    r"|.*:zone\.identifier"  # where a browser found a file, copied from Windows
    r"|.*@syno(eastream|resource)",
    re.IGNORECASE | re.DOTALL,
)


def is_litter(name: str) -> bool:
    """Tell whether a file or folder is hidden, or left there by a program, by its bare name.

    One answer for everything that walks through folders or archives: training data, predictions,
    duplicates.
    """
    return (
        name.startswith(".")
        or name.lower() in _NAMES
        or name == "RECYCLER"
        or _PATTERNS.fullmatch(name) is not None
    )

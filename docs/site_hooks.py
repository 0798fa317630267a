"""Files outside docs/ that pages show: copied into the site, their links led there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

OUTSIDE = ("bench/results/amd-epyc-2-cores/table.md", "bench/results/amd-epyc-2-cores/chart.svg")


def on_files(files: Any, config: Any) -> Any:
    """Add the files outside docs/ under their own paths."""
    from mkdocs.structure.files import File  # ships with mkdocs, which calls this

    root = Path(config["config_file_path"]).parent
    for path in OUTSIDE:
        files.append(File.generated(config, path, abs_src_path=str(root / path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Lead `../bench/...` of the pages in docs/ to the copies."""
    return markdown.replace("](../bench/", "](bench/")

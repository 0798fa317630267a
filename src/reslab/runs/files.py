"""The files of a run directory, by name, and how a JSON file of it is read.

| file | what |
|---|---|
| config.json | what was asked for and chosen: `config.Config` |
| status.json | how far it came, or why it ended |
| split.json | which images are in which split, by name |
| images.safetensors | the same by content: `data.record.ImageRecord` |
| check.json | what the check of the data found |
| results.csv | a row an epoch, the same bytes for equal runs |
| events.jsonl | times and throughput, a line an event |
| evaluation/SPLIT.safetensors | logits, labels, image numbers of a split; .json: figures |
| checkpoints/step-N/ | the newest two states, and best/: `checkpoint` |
| model/ | the trained network: `artifact.Artifact` |
| report.html | the page |
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reslab.errors import CheckpointError

CONFIG = "config.json"
STATUS = "status.json"
SPLIT = "split.json"
CHECK = "check.json"
RESULTS = "results.csv"
EVENTS = "events.jsonl"
EVALUATION = "evaluation"
CHECKPOINTS = "checkpoints"
MODEL = "model"
REPORT = "report.html"
LOCK = "run.lock"


def is_run(folder: Path) -> bool:
    """Tell whether a folder is a run that got as far as its configuration."""
    return (folder / CONFIG).is_file()


def read_text(path: Path) -> str:
    """Read a file that may hold names of files in no encoding at all."""
    return path.read_bytes().decode("utf-8", "surrogateescape")


def read_json(folder: Path, name: str) -> Any:
    """Read one of the JSON files.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    path = folder / name
    try:
        return json.loads(read_text(path))
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder} is no run directory: {name} is missing") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error


def read_object(folder: Path, name: str) -> dict[str, Any]:
    """Read one of the JSON files, or an empty object where it is missing or damaged."""
    try:
        value = read_json(folder, name)
    except CheckpointError:
        return {}
    return value if isinstance(value, dict) else {}

"""A trained network from wherever it is: a run, a model folder, a foreign file, a hub."""

from __future__ import annotations

from pathlib import Path

from reslab import artifact
from reslab.networks import Stem
from reslab.networks.network import Network
from reslab.weights import hub
from reslab.weights.convert import convert
from reslab.weights.read import FOREIGN_FILES, SUFFIXES, read


def load_network(source: str | Path, name: str, stem: Stem | None = None) -> Network:
    """Load a trained network.

    Args:
        source: a run or model folder of reslab, a file of weights of another program, or
            ``hf-hub:owner/name`` for a repository with either.
        name: which network a foreign file is taken for; a model of reslab says itself.
        stem: which stem a foreign file is taken to have; None for the network's own.

    Raises:
        CheckpointError: it cannot be read, or a foreign file does not fit the network.
        UsageError: no repository of this name.
        MachineError: the hub cannot be reached, or a package for it is missing.
    """
    path = hub.download(source) if hub.is_hub_id(source) else Path(source)
    foreign = foreign_file(path)
    if foreign is None:
        return artifact.load(path).network
    return convert(read(foreign), name=name, stem=stem).network


def foreign_file(path: Path) -> Path | None:
    """Return the file of another program's weights that a path leads to, or None."""
    if path.is_file():
        ours = path.name == artifact.WEIGHTS and (path.parent / artifact.MODEL_JSON).exists()
        return path if path.suffix.lower() in SUFFIXES and not ours else None
    if any((folder / artifact.MODEL_JSON).exists() for folder in (path, path / "model")):
        return None
    return next((path / file for file in FOREIGN_FILES if (path / file).is_file()), None)

"""The one reader of run directories: finished, unfinished or damaged, without the trainer."""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from reslab.aliases import current_config
from reslab.data.collect import DataOptions, label_column_of
from reslab.data.dataset import SPLIT_NAMES
from reslab.data.record import ImageRecord, read_record, recorded_names
from reslab.display.short import short_repr
from reslab.errors import DataError, ReslabError, UsageError
from reslab.runs import files

if TYPE_CHECKING:
    from reslab.artifact import Artifact
    from reslab.data.dataset import Dataset
    from reslab.evaluate.evaluation import Evaluation
    from reslab.runs.config import Config

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run directory holds. Each file is read when it is first asked for, and once.

    Damage is noted in `gaps` rather than fatal, except where a method says that it raises.

    Args:
        folder: the run directory.
    """

    folder: Path
    _damage: list[str] = dataclasses.field(default_factory=list, compare=False, repr=False)

    __repr__ = short_repr

    @classmethod
    def open(cls, folder: Path | str) -> Run:
        """Return the run of a folder.

        Raises:
            DataError: not a run directory, or its configuration cannot be read.
        """
        run = cls(Path(folder))
        if not files.is_run(run.folder):
            raise DataError(
                f"{folder} is not a run directory (it has no {files.CONFIG})",
                remedy="name the folder that 'reslab train' wrote",
            )
        if not run.config:
            raise DataError(
                f"{run.folder / files.CONFIG} is damaged", remedy="nothing can be said of this run"
            )
        return run

    # What it is

    @functools.cached_property
    def config(self) -> Mapping[str, Any]:
        """What was asked for and chosen, as config.json holds it; empty where it is damaged."""
        return current_config(self._object(files.CONFIG))

    def section(self, name: str) -> Mapping[str, Any]:
        """Return an object of the configuration, empty where there is none."""
        value = self.config.get(name)
        return value if isinstance(value, dict) else {}

    def read_config(self) -> Config:
        """Read the configuration as a value, to continue the run.

        Raises:
            CheckpointError: it is missing or damaged.
        """
        from reslab.runs.config import Config

        return Config.read(self.folder)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the logits."""
        return tuple(str(name) for name in self.section("dataset").get("classes", ()))

    # How far it came

    @functools.cached_property
    def status(self) -> Mapping[str, Any]:
        """How far it came; empty where nothing was written yet."""
        return self._object(files.STATUS)

    @property
    def state(self) -> str:
        """How the run stands: running, finished, interrupted, diverged or failed."""
        return str(self.status.get("state", "running"))

    @functools.cached_property
    def results(self) -> Mapping[str, Floats]:
        """Column of results.csv -> one value an epoch, NaN where a cell is empty."""
        rows = self._cells()
        columns = {}
        for name in rows[0] if rows else ():
            try:
                columns[name] = np.array([float(row[name] or "nan") for row in rows])
            except (TypeError, ValueError):
                self._damage.append(
                    f"{files.RESULTS}: the column {name!r} holds something other than numbers."
                )
        return columns

    def column(self, name: str) -> Floats:
        """Return a column of the results, all NaN where there is none."""
        length = len(next(iter(self.results.values()), ()))
        return self.results.get(name, np.full(length, math.nan))

    @functools.cached_property
    def rows(self) -> list[dict[str, float]]:
        """The training curve, a row an epoch with the cells that are filled.

        Raises:
            ValueError: a cell holds something other than a number.
        """
        return [{name: float(text) for name, text in row.items() if text} for row in self._cells()]

    @functools.cached_property
    def events(self) -> Sequence[Mapping[str, Any]]:
        """What happened, in order."""
        path = self.folder / files.EVENTS
        if not path.is_file():
            return []
        events: list[Mapping[str, Any]] = []
        damaged = 0
        for line in files.read_text(path).splitlines():
            try:
                value = json.loads(line)
            except ValueError:
                damaged += 1
                continue
            if isinstance(value, dict):
                events.append(value)
        # A killed process may leave half a last line; more than that is damage.
        if damaged > 1:
            self._damage.append(f"{path.name} has {damaged} lines that cannot be read.")
        return events

    # On which images

    @functools.cached_property
    def check(self) -> Mapping[str, Any]:
        """What the check of the data found; empty where there was none."""
        return self._object(files.CHECK)

    @functools.cached_property
    def images(self) -> ImageRecord | None:
        """Its images by their content; None where an older reslab recorded none.

        Raises:
            CheckpointError: the record is damaged.
        """
        return read_record(self.folder)

    @property
    def places(self) -> tuple[str, ...]:
        """Where the data may be: where they were, and as they were named, from the folder here."""
        found = (str(self.config.get(name) or "") for name in ("location", "data"))
        return tuple(dict.fromkeys(filter(None, found)))

    def dataset(self, place: str = "", *, notify: Callable[[str], None] | None = None) -> Dataset:
        """Open the data as the run did, with the numbers and splits that images had.

        Args:
            place: where the data are now; empty for where they were.
            notify: told what is to be said of the data.

        Raises:
            DataError: they are not there, or no longer what they were.
            CheckpointError: the run does not say which images are in which split.
        """
        from reslab.data.open import first_there

        options = DataOptions.from_json(self.config.get("data_options"))
        there = place or first_there(self.places or ("",))
        options = options.moved(str(self.config.get("location") or ""), there).as_opened()
        try:
            dataset = self._opened(there, options, notify)
        except UsageError as error:
            if place:
                raise
            raise DataError(
                f"the images of {self.folder} are no longer there ({error.message})",
                remedy="name the place where they are now: --data PLACE",
            ) from error
        if self.images is None:
            return self._split_by_name(dataset, there)
        again = self.images.put_back(dataset, self.classes)
        if again is None:
            split = files.read_json(self.folder, files.SPLIT)
            names = recorded_names(self.images, split, self.classes)
            what = self.images.differences(dataset, self.classes, names)
            raise DataError(
                f"the images of '{there}' have changed since the run began: {what}",
                remedy="restore them, name the right place with --data, or start a new run",
            )
        return again

    def _opened(
        self, place: str, options: DataOptions, notify: Callable[[str], None] | None
    ) -> Dataset:
        from reslab.data.open import open_dataset

        skip_bad = bool(self.section("request").get("skip_corrupt"))
        dataset = open_dataset(place, options=options, skip_bad=skip_bad, notify=notify)
        if set(dataset.classes) == set(self.classes) or "label" in options.columns:
            return dataset
        # Older versions took another column of a table for the label: numbers beside names, say.
        column = label_column_of(place, self.classes)
        if column is None:
            return dataset
        columns = {**options.columns, "label": column}
        options = dataclasses.replace(options, columns=columns)
        return open_dataset(place, options=options, skip_bad=skip_bad)

    def _split_by_name(self, dataset: Dataset, place: str) -> Dataset:
        """Split the data of a run of an older reslab: by path, size and time of its files."""
        from reslab.data.split import splits_from_json

        if not dataset.has_fingerprint(str(self.section("dataset").get("fingerprint"))):
            raise DataError(
                f"the images or labels of '{place}' have changed since the run began, or were "
                "copied: this run of an older reslab knows its files by path, size and time of "
                "change",
                remedy="restore them with their times (cp -a, rsync -a), or start a new run",
            )
        return splits_from_json(dataset, files.read_json(self.folder, files.SPLIT))

    # What came out

    @functools.cached_property
    def splits(self) -> Mapping[str, Evaluation]:
        """ "test", "val" or, where there is neither, "train" -> what the network said of it."""
        found = {split: self._evaluation(split) for split in SPLIT_NAMES}
        return {split: one for split, one in found.items() if one is not None}

    @property
    def final_split(self) -> str:
        """The split that says how good the network is: test, else validation, else train."""
        return next((name for name in ("test", "val") if name in self.splits), "train")

    @functools.cached_property
    def temperature(self) -> float | None:
        """What the saved model divides its logits by, or None without a model."""
        model = self._object(f"{files.MODEL}/model.json")
        return float(model["temperature"]) if "temperature" in model else None

    @property
    def model(self) -> Artifact:
        """The trained network, its classes and its preprocessing.

        Raises:
            CheckpointError: there is none yet, or it is damaged.
        """
        from reslab import artifact

        return artifact.load(self.folder / files.MODEL)

    @property
    def gaps(self) -> Sequence[str]:
        """The files that are damaged, one sentence each."""
        for _ in (self.config, self.splits, self.temperature, self.status, self.results):
            pass  # each notes its damage when it is first read
        for _ in (self.events, self.check):
            pass
        return self._damage

    def _cells(self) -> list[dict[str, str]]:
        path = self.folder / files.RESULTS
        if not path.is_file():
            return []
        return list(csv.DictReader(io.StringIO(files.read_text(path))))

    def _object(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        if not path.is_file():
            return {}
        try:
            value = json.loads(files.read_text(path))
        except (OSError, ValueError) as error:
            self._damage.append(f"{path.name} cannot be read ({error}).")
            return {}
        if not isinstance(value, dict):
            self._damage.append(f"{path.name} is not an object.")
            return {}
        return value

    def _evaluation(self, split: str) -> Evaluation | None:
        path = self.folder / files.EVALUATION / f"{split}.safetensors"
        if not path.is_file():
            return None
        from safetensors import SafetensorError
        from safetensors.numpy import load

        from reslab.evaluate.evaluation import Evaluation

        try:
            tensors = load(path.read_bytes())
            return Evaluation(
                logits=tensors["logits"],
                labels=tensors["labels"].astype(np.int64),
                samples=tensors["samples"].astype(np.int64),
                classes=self.classes,
            )
        except (OSError, KeyError, ValueError, AssertionError, SafetensorError, ReslabError) as bad:
            self._damage.append(f"{files.EVALUATION}/{path.name} cannot be read ({bad}).")
            return None

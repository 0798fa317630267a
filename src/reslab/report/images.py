"""All pictures of a page, or the sentence that says why there are none."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

import numpy as np

from reslab.data.bit_depth import BIT_DEPTHS, FULL_BIT_DEPTH
from reslab.data.dataset import Dataset
from reslab.errors import DataError, ReslabError
from reslab.report.augmented import Views, augmented_views
from reslab.report.pictures import Picture, gallery, most_doubtful, surest_mistakes
from reslab.report.run import Run

MOST = 12


@dataclasses.dataclass(frozen=True)
class Images:
    """The pictures of a page.

    Args:
        mistakes: wrong answers, the surest first.
        doubtful: images between two classes, the most doubtful first.
        views: random views of training images.
        missing: why there are no pictures, as a sentence, or empty.
        missing_views: why there are no random views, as a sentence, or empty.
    """

    mistakes: Sequence[Picture] = ()
    doubtful: Sequence[Picture] = ()
    views: Sequence[Views] = ()
    missing: str = ""
    missing_views: str = ""


def pictures(run: Run, dataset: Dataset | None) -> Images:
    """Make the pictures of a run; what is in the way of them becomes a sentence."""
    try:
        dataset = dataset if dataset is not None else _reopen(run)
    except ReslabError as error:
        return Images(missing=f"The pictures are left out: {error}.")
    if dataset.classes != run.classes:
        return Images(missing="The pictures are left out: the data has other classes now.")
    images = Images()
    try:
        views = augmented_views(
            dataset, run.section("recipe"), run.section("preprocess"), int(run.config["seed"])
        )
        images = dataclasses.replace(images, views=views)
    except (ReslabError, KeyError, TypeError, ValueError, AssertionError) as error:
        reason = str(error) if isinstance(error, ReslabError) else "its settings cannot be read"
        images = dataclasses.replace(images, missing_views=f"They are left out: {reason}.")
    evaluation = run.splits.get(run.final_split)
    if evaluation is None or evaluation.samples.max() >= len(dataset.images):
        return images
    chances = evaluation.probabilities(run.temperature or 1.0)
    common = (evaluation.samples, evaluation.labels, chances)
    wrong = surest_mistakes(chances, evaluation.labels, MOST)
    doubt = most_doubtful(chances, MOST + len(wrong))
    recorded = run.section("preprocess").get("bit_depth")
    known = isinstance(recorded, int) and recorded in BIT_DEPTHS
    depth: int = recorded if known and recorded is not None else FULL_BIT_DEPTH
    doubt = doubt[~np.isin(doubt, wrong)][:MOST]
    return dataclasses.replace(
        images,
        mistakes=gallery(dataset, wrong, *common, guesses=1, bit_depth=depth),
        doubtful=gallery(dataset, doubt, *common, guesses=2, bit_depth=depth),
    )


def _reopen(run: Run) -> Dataset:
    """Open the data as the run did.

    Raises:
        DataError: it has gone or has changed since.
    """
    from reslab.data.open import first_there, open_dataset
    from reslab.data.options import DataOptions
    from reslab.data.record import read_record
    from reslab.data.split import splits_from_json

    places = (str(run.config.get(name) or "") for name in ("location", "data"))
    dataset = open_dataset(
        first_there(tuple(filter(None, places)) or ("",)),
        options=DataOptions.from_json(run.config.get("data_options")).as_opened(),
        skip_bad=bool(run.section("request").get("skip_corrupt")),
    )
    record = read_record(run.folder)
    if record is not None:
        again = record.put_back(dataset, run.classes)
        if again is None:
            what = record.differences(dataset, run.classes)
            raise DataError(f"the data has changed since the run ({what})")
        return again
    path = run.folder / "split.json"
    if path.is_file():
        try:
            value = json.loads(path.read_bytes().decode("utf-8", "surrogateescape"))
        except ValueError as error:
            raise DataError(f"{path.name} cannot be read ({error})") from error
        dataset = splits_from_json(dataset, value)
    expected = run.section("dataset").get("fingerprint")
    if expected and not dataset.has_fingerprint(str(expected)):
        raise DataError("the data has changed since the run")
    return dataset

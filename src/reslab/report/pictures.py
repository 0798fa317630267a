"""Images of a data set as small pictures inside the page, bounded in number and size."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from reslab.charts.pixels import picture_uri
from reslab.data.arrays import Pixels
from reslab.data.dataset import Dataset, FileImages, Images
from reslab.data.decode import FULL_BIT_DEPTH, Rules, decode_file
from reslab.display import wording
from reslab.display.short import short_repr
from reslab.errors import ReslabError


@dataclasses.dataclass(frozen=True)
class Guess:
    """A class and its probability."""

    name: str
    percent: str
    is_true: bool


@dataclasses.dataclass(frozen=True)
class Picture:
    """One picture of a gallery.

    Args:
        uri: the picture itself, as a data URI.
        name: of the image, for people.
        true: the class it is labelled as.
        guesses: what the network said, most probable first.
        pixelated: show its pixels as squares instead of blurring them.
    """

    uri: str
    name: str
    true: str
    guesses: Sequence[Guess]
    pixelated: bool

    __repr__ = short_repr


def surest_mistakes(
    probabilities: npt.NDArray[np.float64], labels: npt.NDArray[np.int64], most: int
) -> npt.NDArray[np.int64]:
    """Return the rows of wrong answers, most confident first."""
    said = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(said != labels)
    confidence = probabilities[wrong, said[wrong]]
    return wrong[np.argsort(-confidence, kind="stable")][:most]


def most_doubtful(probabilities: npt.NDArray[np.float64], most: int) -> npt.NDArray[np.int64]:
    """Return the rows whose two most probable classes are nearest to each other."""
    if probabilities.shape[1] < 2:
        return np.arange(0)
    top = np.partition(probabilities, -2, axis=1)[:, -2:]
    return np.argsort(top[:, 1] - top[:, 0], kind="stable")[:most]


def gallery(
    dataset: Dataset,
    rows: npt.NDArray[np.int64],
    samples: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float64],
    *,
    guesses: int,
    bit_depth: int = FULL_BIT_DEPTH,
) -> list[Picture]:
    """Make pictures of some rows of an evaluation; images that cannot be read are left out.

    Args:
        dataset: the images.
        rows: which rows of the evaluation to show.
        samples: of the evaluation: the image number of each row.
        labels: the class of each row.
        probabilities: (N, C).
        guesses: how many of the most probable classes to name, besides the true one.
        bit_depth: bits that 16-bit images use, as the model says.
    """
    pictures = []
    for row in rows.tolist():
        index = int(samples[row])
        try:
            uri, pixelated = picture_uri(_read(dataset.images, index, bit_depth))
        except ReslabError:
            continue
        order = np.argsort(-probabilities[row], kind="stable")[:guesses].tolist()
        order += [int(labels[row])] if labels[row] not in order else []
        pictures.append(
            Picture(
                uri=uri,
                name=dataset.images.name(index),
                true=dataset.classes[labels[row]],
                guesses=[
                    Guess(
                        dataset.classes[k],
                        wording.percent(100 * float(probabilities[row, k])),
                        k == labels[row],
                    )
                    for k in order
                ],
                pixelated=pixelated,
            )
        )
    return pictures


def _read(images: Images, index: int, bit_depth: int) -> Pixels:
    if isinstance(images, FileImages):
        return decode_file(images.name(index), rules=Rules(bit_depth=bit_depth))
    return images.read(index)

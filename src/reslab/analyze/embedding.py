"""Images as points: the vectors before the classifier, and maps of them in two dimensions."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from reslab.analyze.view import Progress, batches, view_of
from reslab.display.short import short_repr
from reslab.errors import DataError
from reslab.networks.network import Network

Floats = npt.NDArray[np.float64]
_PERPLEXITY = 30.0
_BEFORE_T_SNE = 50


@dataclasses.dataclass(frozen=True)
class Projection:
    """Vectors projected to their principal components.

    Args:
        points: float64 (N, count).
        shares: float64 (count,), the share of all variance along each.
    """

    points: Floats
    shares: Floats

    __repr__ = short_repr


def feature_vectors(
    network: Network,
    images: torch.Tensor,
    *,
    batch_size: int = 128,
    progress: Progress | None = None,
) -> Floats:
    """Compute the vector before the classifier for every image.

    Args:
        network: any network; it stays as it is.
        images: normalised, (N, in_chans, H, W).
        batch_size: images computed at once.
        progress: called with the images done, and all of them.

    Returns:
        float64 (N, num_features).

    Raises:
        DataError: there are no images.
    """
    view = view_of(network)
    vectors: list[torch.Tensor] = []
    with torch.inference_mode():
        for part in batches(view, images, batch_size):
            features = view.forward_head(view.forward_features(part), pre_logits=True)
            vectors.append(features.double().cpu())
            if progress is not None:
                progress(sum(map(len, vectors)), len(images))
    found: Floats = torch.cat(vectors).numpy()
    return found


def principal_components(vectors: Floats, count: int = 2) -> Projection:
    """Project onto the directions of largest variance, each pointing to its largest weight.

    Args:
        vectors: (N, D).
        count: components to keep; zero columns fill up where there are fewer.
    """
    centred = vectors - vectors.mean(axis=0)
    _, singular, directions = np.linalg.svd(centred, full_matrices=False)
    directions = directions[:count]
    # The sign of a component is arbitrary: fix it, so that the same data give the same map.
    largest = np.abs(directions).argmax(axis=1)
    signs = np.sign(directions[np.arange(len(directions)), largest])
    points = centred @ (directions * signs[:, None]).T
    total = float((singular**2).sum()) or 1.0
    shares = singular[:count] ** 2 / total
    missing = count - points.shape[1]
    return Projection(np.pad(points, ((0, 0), (0, missing))), np.pad(shares, (0, missing)))


def t_sne(vectors: Floats, *, seed: int = 0) -> Floats:
    """Place points in the plane so that neighbours stay neighbours; distances mean little.

    The vectors are reduced to at most 50 principal components first, as usual; the perplexity
    is 30, or a third of the number of points where there are few.

    Args:
        vectors: (N, D).
        seed: of the optimisation.

    Returns:
        float64 (N, 2); all zero where all vectors are equal.

    Raises:
        DataError: fewer than four points.

    Source: van der Maaten and Hinton 2008, Visualizing Data using t-SNE.
    """
    from sklearn.manifold import TSNE

    if len(vectors) < 4:
        raise DataError(f"t-SNE needs four images or more, received {len(vectors)}")
    reduced = principal_components(vectors, min(_BEFORE_T_SNE, *vectors.shape)).points
    if (vectors == vectors[0]).all():  # scikit-learn would divide by their spread, and crash
        return np.zeros((len(vectors), 2))
    scale = float(reduced.std())
    embedding: Any = TSNE(
        n_components=2,
        perplexity=min(_PERPLEXITY, (len(vectors) - 1) / 3),
        init="pca",
        learning_rate="auto",
        random_state=seed,
    ).fit_transform(reduced / scale)
    return np.asarray(embedding, dtype=np.float64)

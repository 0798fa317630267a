"""The images of a data set that make each unit respond most."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch

from reslab.analyze.kept import kept_outputs
from reslab.analyze.view import Progress, batches, view_of
from reslab.display.short import short_repr
from reslab.networks.network import Network


@dataclasses.dataclass(frozen=True)
class Maximal:
    """For each unit (channel) of one module, the images of its strongest responses.

    Args:
        module: whose output the units are.
        values: float32 (units, top), the responses, strongest first.
        images: int64 (units, top), the places of the images in the batch that was given.
        places: int64 (units, top, 2), row and column of the response in the map.
    """

    module: str
    values: torch.Tensor
    images: torch.Tensor
    places: torch.Tensor

    __repr__ = short_repr


def maximal_images(
    network: Network,
    images: torch.Tensor,
    modules: Sequence[str],
    *,
    top: int = 9,
    batch_size: int = 128,
    progress: Progress | None = None,
) -> list[Maximal]:
    """Find the images with the largest activation anywhere in a unit's map, for all units.

    Args:
        network: any network; it stays as it is.
        images: normalised, (N, in_chans, H, W).
        modules: whose outputs hold the units.
        top: how many images a unit; fewer where there are fewer images.
        batch_size: images computed at once.
        progress: called with the images done, and all of them.

    Returns:
        One result a module, in their order. Of equal responses the earlier image comes first.

    Source: Zeiler and Fergus 2013, figure 2: the top nine activations of a feature map.
    """
    found: dict[str, Maximal] = {}
    view = view_of(network)
    done = 0
    with torch.no_grad(), kept_outputs(view, modules) as kept:
        for part in batches(view, images, batch_size):
            view(part)
            for name in modules:
                new = _strongest(name, kept[name].float(), done)
                found[name] = _best(new if name not in found else _joined(found[name], new), top)
            done += len(part)
            if progress is not None:
                progress(done, len(images))
    return [found[name] for name in modules]


def _strongest(name: str, maps: torch.Tensor, first: int) -> Maximal:
    """Reduce (B, C, h, w) to the largest value of each image and channel, with its place."""
    values, flat = maps.flatten(2).max(dim=2)
    width = maps.shape[3]
    places = torch.stack([flat // width, flat % width], dim=2)
    numbers = torch.arange(first, first + len(maps))[None, :].expand(maps.shape[1], -1)
    return Maximal(name, values.T.cpu(), numbers, places.transpose(0, 1).cpu())


def _joined(old: Maximal, new: Maximal) -> Maximal:
    return Maximal(
        old.module,
        torch.cat([old.values, new.values], dim=1),
        torch.cat([old.images, new.images], dim=1),
        torch.cat([old.places, new.places], dim=1),
    )


def _best(all_: Maximal, top: int) -> Maximal:
    order = all_.values.argsort(dim=1, descending=True, stable=True)[:, :top]
    return Maximal(
        all_.module,
        all_.values.gather(1, order),
        all_.images.gather(1, order),
        all_.places.gather(1, order[..., None].expand(-1, -1, 2)),
    )

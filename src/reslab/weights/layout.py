"""How other programs name and arrange a network's tensors, and the way there and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Literal, get_args

import torch
from torch import nn

from reslab.data.preprocess import Preprocess
from reslab.display.short import short_repr
from reslab.errors import unknown
from reslab.networks import NetworkSpec
from reslab.networks.fully_connected import FIRST, FullyConnectedSpec
from reslab.networks.network import Network
from reslab.weights.zero_padding import padded_at_the_end, padded_on_both_sides

Names = Callable[[Network], Mapping[str, str]]
ZeroPadding = Literal["end", "both"]


@dataclasses.dataclass(frozen=True)
class Layout:
    """A program's names for the networks that both it and the catalogue have.

    Args:
        name: what users call it by.
        source: whose files have it.
        names: for each type of specification, our module names -> theirs, one to one.
        networks: our name -> its name for the network that computes the same function.
        preprocess: how its images are prepared, where the file does not say.
        zero_padding: on which side its option A puts the new channels: "end", or half on
            "both" sides.
        convolutions: linear layers of ours (by module name) that are convolutions there.
        small_stem: whether its networks for images of 224 pixels also come with the stem for
            small ones.
        writable: whether files for the program can be written, too.
    """

    name: str
    source: str
    names: Mapping[type[NetworkSpec], Names]
    networks: Mapping[str, str]
    preprocess: Callable[[NetworkSpec], Preprocess]
    zero_padding: ZeroPadding = "end"
    convolutions: tuple[str, ...] = ()
    small_stem: bool = False
    writable: bool = True

    @property
    def possessive(self) -> str:
        """Its name as an owner, for messages: timm's, transformers'."""
        return f"{self.name}'" if self.name.endswith("s") else f"{self.name}'s"

    __repr__ = short_repr

    def knows(self, spec: NetworkSpec) -> bool:
        """Tell whether there are names for this kind of network."""
        return type(spec) in self.names

    def keys(self, network: Network) -> dict[str, str]:
        """Return our key -> its key for every tensor of a network (of any device)."""
        modules = self.names[type(network.spec)](network)
        return {key: _renamed(key, modules) for key in network.state_dict()}

    def to_ours(
        self,
        network: Network,
        tensors: Mapping[str, torch.Tensor],
        zero_padding: ZeroPadding | None = None,
    ) -> dict[str, torch.Tensor]:
        """Rename, reshape and reorder those of its tensors that the network has a place for."""
        own = network.state_dict()
        found = {
            ours: _shaped(tensors[theirs], own[ours].shape)
            for ours, theirs in self.keys(network).items()
            if theirs in tensors
        }
        if _padding(zero_padding or self.zero_padding) == "both":
            found = padded_at_the_end(network, found)
        return found

    def to_theirs(self, network: Network) -> dict[str, torch.Tensor]:
        """Return the network's tensors as the program would have named and arranged them."""
        tensors = dict(network.state_dict())
        if self.zero_padding == "both":
            tensors = padded_on_both_sides(network, tensors)
        return {
            theirs: self._as_theirs(network, ours, tensors[ours].detach().cpu()).contiguous()
            for ours, theirs in self.keys(network).items()
        }

    def _as_theirs(self, network: Network, key: str, tensor: torch.Tensor) -> torch.Tensor:
        """Give a linear layer that is a convolution there the square kernel it has."""
        if key.removesuffix(".weight") not in self.convolutions or tensor.dim() != 2:
            return tensor
        side = 1
        if isinstance(network.spec, FullyConnectedSpec) and key.endswith(f"fc{FIRST}.weight"):
            side = network.spec.fc_grid
        return tensor.reshape(len(tensor), -1, side, side)


def modules_with_tensors(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield every module that holds parameters or buffers of its own, in order, by name."""
    for name, module in network.named_modules():
        if any(True for _ in module.parameters(recurse=False)) or any(
            True for _ in module.buffers(recurse=False)
        ):
            yield name, module


def each_module(rename: Callable[[str], str]) -> Names:
    """Make names from a function of one module's name."""

    def names(network: Network) -> dict[str, str]:
        return {name: rename(name) for name, _ in modules_with_tensors(network)}

    return names


def _renamed(key: str, modules: Mapping[str, str]) -> str:
    module, _, tensor = key.rpartition(".")
    return f"{modules[module]}.{tensor}"


def _shaped(tensor: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Turn a convolution over its whole input into the equal linear layer, and back."""
    linear_and_conv = {tensor.dim(), len(shape)} == {2, 4}
    if linear_and_conv and tensor.shape[0] == shape[0] and tensor.numel() == shape.numel():
        return tensor.reshape(shape)
    return tensor


def _padding(value: str) -> ZeroPadding:
    if value not in get_args(ZeroPadding):
        raise unknown("zero padding", value, get_args(ZeroPadding))
    return value  # type: ignore[return-value]

"""Residual networks as other people's scripts define them, written from their descriptions.

Each keeps its original's module names and its way of padding, so that its state dictionary is
one that people have on disk. None shares code with reslab.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class HalfPad(nn.Module):
    """Option A of akamaster/pytorch_resnet_cifar10: planes // 4 zeros before, as many after."""

    def __init__(self, planes: int) -> None:
        super().__init__()
        self.planes = planes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        quarter = self.planes // 4
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, quarter, quarter), "constant", 0)


class EndPad(nn.Module):
    """Option A of fb.resnet.torch: Concat(Identity, MulConstant(0)) behind the subsampling."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.avg_pool2d(x, 1, stride=2)
        return torch.cat([x, x * 0], dim=1)


class BasicBlock(nn.Module):
    """conv1, bn1, conv2, bn2 and a shortcut under the name that the script gives it."""

    def __init__(self, inside: int, planes: int, stride: int, option: str, name: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.name = name
        if stride == 1 and inside == planes:
            shortcut: nn.Module = nn.Sequential()
        elif option == "A both":
            shortcut = HalfPad(planes)
        elif option == "A end":
            shortcut = EndPad()
        else:
            shortcut = nn.Sequential(
                nn.Conv2d(inside, planes, 1, stride, bias=False), nn.BatchNorm2d(planes)
            )
        self.add_module(name, shortcut)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out = out + getattr(self, self.name)(x)
        return F.relu(out)


class ScriptResNet(nn.Module):
    """A network for small images: one 3x3 convolution, stages of equal depth, linear head.

    Args:
        blocks: a stage; 3 makes 20 layers of three stages.
        option: "A both", "A end" or "B".
        shortcut: name of the shortcut in a block.
        head: name of the classifier.
        widths: of the stages.
    """

    def __init__(
        self,
        blocks: int,
        option: str,
        *,
        shortcut: str,
        head: str,
        widths: tuple[int, ...] = (16, 32, 64),
    ) -> None:
        super().__init__()
        inside = widths[0]
        self.conv1 = nn.Conv2d(3, inside, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inside)
        self.layers = [f"layer{number}" for number in range(1, 1 + len(widths))]
        for number, planes in enumerate(widths):
            stage = []
            for place in range(blocks):
                stride = 2 if number > 0 and place == 0 else 1
                stage.append(BasicBlock(inside, planes, stride, option, shortcut))
                inside = planes
            self.add_module(self.layers[number], nn.Sequential(*stage))
        self.head = head
        self.add_module(head, nn.Linear(inside, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        for layer in self.layers:
            out = getattr(self, layer)(out)
        out = F.avg_pool2d(out, out.size()[3])
        return getattr(self, self.head)(out.view(out.size(0), -1))


def akamaster(depth: int) -> ScriptResNet:
    return ScriptResNet((depth - 2) // 6, "A both", shortcut="shortcut", head="linear")


class ConcatTable(nn.Sequential):
    """torch7's ConcatTable as converters write it: all children on the same input."""

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:  # type: ignore[override]
        return [module(x) for module in self]


class CAddTable(nn.Module):
    def forward(self, x: list[torch.Tensor]) -> torch.Tensor:
        return x[0] + x[1]


class Flattened(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(x.size(0), -1)


def fb_block(inside: int, planes: int, stride: int, kind: str, *, bias: bool) -> nn.Sequential:
    """One block of fb.resnet.torch: ConcatTable(branch, shortcut), CAddTable, ReLU."""

    def conv(a: int, b: int, kernel: int, step: int = 1) -> nn.Conv2d:
        return nn.Conv2d(a, b, kernel, step, kernel // 2, bias=bias)

    out = planes * (4 if kind == "bottleneck" else 1)
    if kind == "bottleneck":
        branch = nn.Sequential(
            conv(inside, planes, 1), nn.BatchNorm2d(planes), nn.ReLU(),
            conv(planes, planes, 3, stride), nn.BatchNorm2d(planes), nn.ReLU(),
            conv(planes, out, 1), nn.BatchNorm2d(out),
        )  # fmt: skip
    else:
        branch = nn.Sequential(
            conv(inside, planes, 3, stride), nn.BatchNorm2d(planes), nn.ReLU(),
            conv(planes, out, 3), nn.BatchNorm2d(out),
        )  # fmt: skip
    if inside == out:
        shortcut: nn.Module = nn.Identity()
    elif kind == "cifar":
        shortcut = EndPad()
    else:
        shortcut = nn.Sequential(conv(inside, out, 1, stride), nn.BatchNorm2d(out))
    return nn.Sequential(ConcatTable(branch, shortcut), CAddTable(), nn.ReLU())


def fb_resnet(depth: int, *, bias: bool = False, num_classes: int = 10) -> nn.Sequential:
    """fb.resnet.torch's network of a depth as a converter writes it: one nested Sequential."""
    shapes = {18: ("basic", (2, 2, 2, 2)), 50: ("bottleneck", (3, 4, 6, 3))}
    kind, counts = shapes.get(depth, ("cifar", ((depth - 2) // 6,) * 3))
    width = 16 if kind == "cifar" else 64
    layers: list[nn.Module] = [
        nn.Conv2d(3, width, 3 if kind == "cifar" else 7, 1 if kind == "cifar" else 2,
                  1 if kind == "cifar" else 3, bias=bias),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    ]  # fmt: skip
    if kind != "cifar":
        layers.append(nn.MaxPool2d(3, 2, 1))
    inside = width
    for number, count in enumerate(counts):
        planes, blocks = width * 2**number, []
        for place in range(count):
            stride = 2 if number and place == 0 else 1
            blocks.append(fb_block(inside, planes, stride, kind, bias=bias))
            inside = planes * (4 if kind == "bottleneck" else 1)
        layers.append(nn.Sequential(*blocks))
    pooled = nn.AdaptiveAvgPool2d(1)
    head = nn.Sequential(nn.Identity(), nn.Linear(inside, num_classes))
    return nn.Sequential(*layers, pooled, Flattened(), head)

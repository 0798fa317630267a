"""What training is, as data: every number of a recipe in one frozen dataclass.

Durations are in epochs (passes over the training split, fractions allowed) or in steps;
one step is one update of the weights with `batch_size` images over all processes together.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, Literal

from reslab import dataclass_json
from reslab.data.augment import Augment
from reslab.dataclass_json import check_literals, fit
from reslab.errors import UsageError, unknown

Optimizer = Literal["sgd", "adamw", "muon"]
ScheduleName = Literal["constant", "step", "plateau", "cosine", "one-cycle"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Monitor = Literal["none", "val_loss", "val_accuracy"]
InitialWeights = Literal["network", "he", "glorot", "gaussian"]
Normalisation = Literal["channel", "pixel-mean", "start"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides how a network is trained, besides the network and the data.

    Args:
        name: the recipe this one started from.
        epochs: passes over the training split; ignored where `steps` is given.
        steps: number of updates; 0 to use `epochs`.
        batch_size: images an update, over all processes and accumulated parts together.
        accumulate: parts that a process's batch is computed in, one after the other
            (batch-norm statistics are then per part).
        optimizer: "sgd" with momentum, "adamw", or "muon": SGD whose steps are orthogonal for
            the weights of convolutions.
        lr: peak learning rate.
        head_lr: that of the classifier, as a multiple of `lr`.
        bias_lr: that of biases and of norm scales and shifts, as a multiple of `lr`.
        momentum: of SGD (beta1 of AdamW).
        nesterov: Nesterov's form of momentum.
        weight_decay: L2 penalty (SGD) or decoupled decay (AdamW).
        decay_all: decay norm scales and biases too, not just weights of convolutions and
            linear layers.
        schedule: form of the learning rate over time.
        milestones: for "step": fractions of the whole run (0..1) after which it is divided.
        gamma: for "step" and "plateau": what it is multiplied with.
        plateau_patience: for "plateau": epochs without improvement.
        warmup_steps: length of the warm-up.
        warmup_lr: learning rate during a constant warm-up; 0 for a linear rise from zero.
        warmup_until_error_pct: end a constant warm-up as soon as the training error of the
            last 100 steps is below this (He et al. 2015, section 4.2: 80); 0 for never.
        smoothing: label smoothing.
        class_weights: weight the loss by inverse class frequency.
        balanced: draw every class equally often.
        clip: largest global gradient norm; 0 for none.
        max_filter_rms: largest root mean square of a convolution filter, which an update that
            exceeds it is scaled back to (Zeiler and Fergus 2013, section 3: 0.1); 0 for any.
        dropout: before the classifier; None for the network's own.
        ema: decay of the running average of the weights; 0 for none.
        initial_weights: law that weights are drawn from: the network's own, or one of
            `reslab.networks.init.redraw`.
        zero_last_scale: start the last norm scale of each residual branch at zero.
        patience: stop after so many epochs without improvement; 0 for never.
        monitor: what early stopping and the best checkpoint look at; "none" keeps the last.
        freeze: number of leading parts that stay fixed (stem = 1, then the stages);
            -1 freezes all but the classifier.
        precision: of the forward and backward pass.
        compile: compile the network with torch.compile.
        channels_last: keep activations with the channels last in memory (NHWC).
        checkpoint_activations: recompute activations in the backward pass to save memory.
        normalisation: per-channel mean and std, the paper's per-pixel mean, or "start": what the
            model that the run starts from was trained with.
        img_size: side of the network's input; 0 to choose from the data.
        early_size: side of the training images at the beginning of the run.
        early_share: share of the run (of its time, where that is limited) that trains on
            images of `early_size`; 0 for none.
        resize: how images of other shapes are fitted to a square.
        bit_depth: bits that 16-bit images use: 2**bit_depth - 1 is white; 0 to find it in the
            training images.
        val_fraction: share of train held out for validation where the data has no such split.
        track_test: measure the test split after each epoch too, as the papers' figures do;
            no decision ever looks at it.
        rows_per_epoch: how often an epoch is measured for the table and the curves.
        augment: the random views.
    """

    name: str
    epochs: float = 20.0
    steps: int = 0
    batch_size: int = 128
    accumulate: int = 1
    optimizer: Optimizer = "sgd"
    lr: float = 0.1
    head_lr: float = 1.0
    bias_lr: float = 1.0
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 1e-4
    decay_all: bool = False
    schedule: ScheduleName = "cosine"
    milestones: tuple[float, ...] = ()
    gamma: float = 0.1
    plateau_patience: int = 5
    warmup_steps: int = 0
    warmup_lr: float = 0.0
    warmup_until_error_pct: float = 0.0
    smoothing: float = 0.0
    class_weights: bool = False
    balanced: bool = False
    clip: float = 0.0
    max_filter_rms: float = 0.0
    dropout: float | None = None
    ema: float = 0.0
    initial_weights: InitialWeights = "network"
    zero_last_scale: bool = False
    patience: int = 0
    monitor: Monitor = "none"
    freeze: int = 0
    precision: Precision = "auto"
    compile: bool = False
    channels_last: bool = True
    checkpoint_activations: bool = False
    normalisation: Normalisation = "channel"
    img_size: int = 0
    early_size: int = 0
    early_share: float = 0.0
    resize: Literal["squash", "crop", "pad"] = "squash"
    bit_depth: int = 0
    val_fraction: float = 0.1
    track_test: bool = False
    rows_per_epoch: int = 1
    augment: Augment = dataclasses.field(default_factory=Augment)

    def __post_init__(self) -> None:
        check_literals(self)
        _need(self.epochs < float("inf"), "epochs", self.epochs, "finite")
        _need(self.steps > 0 or self.epochs > 0, "epochs", self.epochs, "more than 0")
        _need(self.steps >= 0, "steps", self.steps, "0 or more")
        for name in ("batch_size", "accumulate", "rows_per_epoch"):
            _need(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        for name, most in _MOST.items():
            _need(getattr(self, name) <= most, name, getattr(self, name), f"{most:,} or less")
        for name in ("lr", "head_lr", "bias_lr"):
            value = getattr(self, name)
            _need(0 < value < float("inf"), name, value, "more than 0 and finite")
        for name in ("weight_decay", "warmup_steps", "warmup_lr", "clip", "max_filter_rms"):
            value = getattr(self, name)
            _need(0 <= value < float("inf"), name, value, "0 or more and finite")
        for name in ("patience", "plateau_patience", "img_size", "early_size"):
            _need(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        _need(0 <= self.bit_depth <= 16, "bit_depth", self.bit_depth, "in 1..16, or 0 to find it")
        _need(0 < self.gamma <= 1, "gamma", self.gamma, "in (0, 1]")
        for name in ("momentum", "smoothing", "dropout", "ema", "val_fraction", "early_share"):
            value = getattr(self, name)
            _need(value is None or 0 <= value < 1, name, value, "in [0, 1)")
        for milestone in self.milestones:
            _need(0 < milestone < 1, "milestones", milestone, "fractions of the run, in (0, 1)")
        _need(self.freeze >= -1, "freeze", self.freeze, "-1 or more")
        if self.patience and self.monitor == "none":
            raise UsageError(
                "patience needs something to watch",
                remedy="set monitor to val_loss or val_accuracy",
            )

        if self.nesterov and self.momentum == 0 and self.optimizer == "sgd":
            raise UsageError(
                "Nesterov's momentum needs a momentum above 0, received 0",
                remedy="leave the momentum as it is, or set nesterov to false",
            )
        if self.warmup_until_error_pct > 0 and self.warmup_lr == 0:
            raise UsageError(
                "a warm-up until an error needs a learning rate of its own",
                remedy="set warmup_lr, to 0.01 say (He et al. 2015)",
            )
        if (self.early_share > 0) != (self.early_size > 0):
            raise UsageError(
                f"early_size and early_share go together, received {self.early_size} and "
                f"{self.early_share:g}"
            )

    def needs_validation(self) -> bool:
        """Tell whether the run takes a decision that must not look at the test split."""
        return self.monitor != "none" or self.schedule == "plateau"


# A slip of the finger: beyond these a run would only begin, and never end or fit anywhere.
_MOST = {
    "steps": 1 << 40,
    "epochs": 1 << 30,
    "batch_size": 1 << 24,
    "accumulate": 1 << 20,
    "rows_per_epoch": 1 << 20,
    "img_size": 1 << 14,
    "early_size": 1 << 14,
}


def override(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """Return a recipe with some fields changed; fields of `augment` go by their own names.

    Raises:
        UsageError: an unknown field or a value that the field does not allow.
    """
    own, views = typing.get_type_hints(Recipe), typing.get_type_hints(Augment)
    del own["augment"]
    for name in changes:
        if name not in own and name not in views:
            raise unknown("recipe field", name, own.keys() | views.keys())
    values = {k: fit(own.get(k) or views[k], v, k) for k, v in changes.items()}
    augment = dataclasses.replace(recipe.augment, **{k: v for k, v in values.items() if k in views})
    return dataclasses.replace(
        recipe, augment=augment, **{k: v for k, v in values.items() if k in own}
    )


def to_json(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as JSON values."""
    return dataclass_json.to_json(recipe)


def from_json(value: Mapping[str, Any]) -> Recipe:
    """Rebuild the recipe that `to_json` wrote.

    Raises:
        UsageError: a field that is unknown or of another type.
    """
    return dataclass_json.from_json(Recipe, value, "recipe")


def _need(condition: bool, name: str, value: object, allowed: str) -> None:
    if not condition:
        raise UsageError(f"{name} must be {allowed}, received {value}")

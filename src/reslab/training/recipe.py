"""What training is, as data: every number of a recipe in one frozen dataclass.

Durations are in epochs (passes over the training split, fractions allowed) or in steps;
one step is one update of the weights with `batch_size` images over all processes together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from reslab import dataclass_json
from reslab.aliases import OLD_NAMES, accept_old_names, current_names
from reslab.data.augment import Augment, AugmentFields
from reslab.errors import UsageError, unknown
from reslab.settings import (
    FACTOR,
    FINITE,
    NOT_NEGATIVE,
    POSITIVE,
    SHARE,
    Check,
    at_least,
    at_most,
    check_settings,
    need,
    setting,
    settings_of,
)

Optimizer = Literal["sgd", "adamw", "muon"]
ScheduleName = Literal["constant", "step", "plateau", "cosine", "one-cycle"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Monitor = Literal["none", "val_loss", "val_accuracy"]
InitialWeights = Literal["network", "he", "glorot", "gaussian"]
Normalization = Literal["channel", "pixel-mean", "start"]
Resize = Literal["squash", "crop", "pad"]

LENGTH = "length"
OPTIMIZER = "optimizer"
LOSS = "loss and regularization"
IMAGES = "images"
CONTROL = "control"
COMPUTATION = "computation"

BIT_DEPTH = Check("in 1..16, or 0 to find it", lambda bits: 0 <= bits <= 16)


@accept_old_names
@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides how a network is trained, besides the network and the data.

    `name` is the recipe that this one started from; each other field says what it is.

    Raises:
        UsageError: a value is not among those that its setting takes, or two contradict.
    """

    name: str

    epochs: float = setting(
        20.0,
        "passes over the training images; fractions allowed",
        FINITE,
        at_most(1 << 30),
        group=LENGTH,
        metavar="N",
    )
    steps: int = setting(
        0,
        "updates, instead of epochs (0: as many as the epochs have)",
        at_least(0),
        at_most(1 << 40),
        group=LENGTH,
        metavar="N",
    )
    batch_size: int = setting(
        128,
        "images per update, over all processes",
        at_least(1),
        at_most(1 << 24),
        group=LENGTH,
        metavar="N",
    )
    accumulate: int = setting(
        1,
        "compute a batch in N parts, for less memory; batch norm then sees one part",
        at_least(1),
        at_most(1 << 20),
        group=LENGTH,
        metavar="N",
    )

    optimizer: Optimizer = setting(
        "sgd", "muon: SGD whose steps are orthogonal for convolutions", group=OPTIMIZER
    )
    lr: float = setting(0.1, "peak learning rate", POSITIVE, group=OPTIMIZER, metavar="RATE")
    head_lr: float = setting(
        1.0,
        "rate of the classifier, in multiples of --lr",
        POSITIVE,
        group=OPTIMIZER,
        metavar="FACTOR",
    )
    bias_lr: float = setting(
        1.0,
        "rate of biases, norm scales and norm shifts, in multiples of --lr",
        POSITIVE,
        group=OPTIMIZER,
        metavar="FACTOR",
    )
    momentum: float = setting(0.9, "of SGD (beta1 of AdamW)", SHARE, group=OPTIMIZER, metavar="M")
    nesterov: bool = setting(False, "Nesterov's form of momentum", group=OPTIMIZER)
    weight_decay: float = setting(
        1e-4,
        "L2 penalty with SGD, decoupled with AdamW; on weights of convolutions and linear layers",
        NOT_NEGATIVE,
        group=OPTIMIZER,
        metavar="D",
    )
    decay_all: bool = setting(False, "decay norm scales and biases too", group=OPTIMIZER)
    schedule: ScheduleName = setting("cosine", "learning rate schedule", group=OPTIMIZER)
    milestones: tuple[float, ...] = setting(
        (),
        "step: fractions of the run after which the rate drops, as 0.5,0.75",
        Check(
            "fractions of the run, in (0, 1)",
            lambda milestones: all(0 < milestone < 1 for milestone in milestones),
        ),
        group=OPTIMIZER,
        metavar="A,B",
    )
    gamma: float = setting(
        0.1,
        "step, plateau: factor of the rate at each drop",
        FACTOR,
        group=OPTIMIZER,
        metavar="G",
    )
    plateau_patience: int = setting(
        5,
        "plateau: epochs without a lower validation loss before a drop",
        at_least(0),
        group=OPTIMIZER,
        metavar="N",
    )
    warmup_steps: int = setting(
        0, "length of the warm-up, updates", NOT_NEGATIVE, group=OPTIMIZER, metavar="N"
    )
    warmup_lr: float = setting(
        0.0,
        "constant rate of the warm-up (0: a linear rise from zero)",
        NOT_NEGATIVE,
        group=OPTIMIZER,
        metavar="RATE",
    )
    warmup_until_error_pct: float = setting(
        0.0,
        "with --warmup-lr: until the training error of the last 100 steps is below this "
        "(He et al. 2015: 80; 0: never)",
        group=OPTIMIZER,
        metavar="E",
    )
    clip_grad_norm: float = setting(
        0.0,
        "maximum gradient norm (0: no clipping)",
        NOT_NEGATIVE,
        group=OPTIMIZER,
        metavar="NORM",
        phrase="gradient norm clipped at {:g}",
    )
    max_filter_rms: float = setting(
        0.0,
        "maximum root mean square of a convolution filter, as ZFNet's 0.1 (0: no limit)",
        NOT_NEGATIVE,
        group=OPTIMIZER,
        metavar="R",
        phrase="filters kept to an RMS of {:g}",
    )
    ema: float = setting(
        0.0,
        "decay of the averaged weights (0: none)",
        SHARE,
        group=OPTIMIZER,
        metavar="DECAY",
        phrase="averaged weights with decay {:g}",
    )

    label_smoothing: float = setting(
        0.0,
        "share of the target spread over all classes",
        SHARE,
        group=LOSS,
        metavar="S",
        phrase="label smoothing {:g}",
    )
    dropout: float | None = setting(
        None,
        "before the classifier, in place of the network's own",
        SHARE,
        group=LOSS,
        metavar="P",
        phrase="dropout {:g}",
    )
    class_weights: bool = setting(
        False,
        "weight the loss by inverse class frequency",
        group=LOSS,
        phrase="loss weighted by class frequency",
    )
    balanced: bool = setting(
        False, "sample every class equally often", group=LOSS, phrase="classes drawn equally often"
    )
    initial_weights: InitialWeights = setting(
        "network",
        "distribution of the initial weights; network: its own, gaussian: std 0.01",
        group=LOSS,
        phrase="weights drawn by the law {!r}",
    )
    zero_init_residual: bool = setting(
        False,
        "start the last norm scale of each residual branch at zero",
        group=LOSS,
        phrase="residual branches start at zero",
    )

    augment: Augment = dataclasses.field(default_factory=Augment)

    img_size: int = setting(
        0,
        "side of the network's input, pixels (0: chosen from the data)",
        at_least(0),
        at_most(1 << 14),
        group=IMAGES,
        metavar="PX",
    )
    progressive_size: int = setting(
        0,
        "side of the training images early in the run, pixels",
        at_least(0),
        at_most(1 << 14),
        group=IMAGES,
        metavar="PX",
    )
    progressive_share: float = setting(
        0.0,
        "share of the run (of its time, with --time) that trains on images of that size (0: none)",
        SHARE,
        group=IMAGES,
        metavar="SHARE",
    )
    resize: Resize = setting("squash", "how images become square", group=IMAGES)
    bit_depth: int = setting(
        0,
        "bits in use of 16-bit images: 2^N - 1 is white (0: found in the images)",
        BIT_DEPTH,
        group=IMAGES,
        metavar="N",
    )
    normalization: Normalization = setting(
        "channel",
        "by channel mean and std, the paper's per-pixel mean, or as the model given with --start",
        group=IMAGES,
    )
    val_fraction: float = setting(
        0.1,
        "share of train held out for validation if the data have none",
        SHARE,
        group=IMAGES,
        metavar="SHARE",
    )
    track_test: bool = setting(
        False, "evaluate the test split after each epoch, for the curve only", group=IMAGES
    )
    rows_per_epoch: int = setting(
        1,
        "evaluations per epoch, for the table and the curves; patience still counts epochs",
        at_least(1),
        at_most(1 << 20),
        group=IMAGES,
        metavar="N",
    )

    monitor: Monitor = setting(
        "none", "metric for keeping the best weights and for early stopping", group=CONTROL
    )
    patience: int = setting(
        0,
        "with --monitor: stop after N epochs without improvement (0: never)",
        at_least(0),
        group=CONTROL,
        metavar="N",
    )
    freeze: int = setting(
        0,
        "leading parts to freeze: the stem, then the stages (-1: all but the classifier)",
        at_least(-1),
        group=CONTROL,
        metavar="N",
    )

    precision: Precision = setting("auto", "of the forward and backward pass", group=COMPUTATION)
    channels_last: bool = setting(
        True, "keep activations with the channels last in memory (NHWC)", group=COMPUTATION
    )
    compile: bool = setting(
        False,
        "compile the network with torch.compile; the first steps take long",
        group=COMPUTATION,
    )
    checkpoint_activations: bool = setting(
        False,
        "recompute activations in the backward pass: less memory, more time",
        group=COMPUTATION,
    )

    def __post_init__(self) -> None:
        check_settings(self)
        need(self.steps > 0 or self.epochs > 0, "epochs", self.epochs, "more than 0")
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
        if (self.progressive_share > 0) != (self.progressive_size > 0):
            raise UsageError(
                "progressive_size and progressive_share go together, received "
                f"{self.progressive_size} and {self.progressive_share:g}"
            )

    def needs_validation(self) -> bool:
        """Tell whether the run takes a decision that must not look at the test split."""
        return self.monitor != "none" or self.schedule == "plateau"


class RecipeFields(AugmentFields, total=False):
    """The fields of `Recipe` as keywords of `reslab.train`, for editors and type checkers.

    A test compares names and types with those of `Recipe` and `Augment`.
    """

    epochs: float
    steps: int
    batch_size: int
    accumulate: int
    optimizer: Optimizer
    lr: float
    head_lr: float
    bias_lr: float
    momentum: float
    nesterov: bool
    weight_decay: float
    decay_all: bool
    schedule: ScheduleName
    milestones: tuple[float, ...]
    gamma: float
    plateau_patience: int
    warmup_steps: int
    warmup_lr: float
    warmup_until_error_pct: float
    clip_grad_norm: float
    max_filter_rms: float
    ema: float
    label_smoothing: float
    dropout: float | None
    class_weights: bool
    balanced: bool
    initial_weights: InitialWeights
    zero_init_residual: bool
    img_size: int
    progressive_size: int
    progressive_share: float
    resize: Resize
    bit_depth: int
    normalization: Normalization
    val_fraction: float
    track_test: bool
    rows_per_epoch: int
    monitor: Monitor
    patience: int
    freeze: int
    precision: Precision
    channels_last: bool
    compile: bool
    checkpoint_activations: bool


def override(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """Return a recipe with some fields changed; fields of `augment` go by their own names.

    Raises:
        UsageError: an unknown field or a value that the field does not allow.
    """
    known = {each.name: each for each in settings_of(Recipe)}
    changes = current_names(changes)
    for name in changes:
        if name not in known:
            former = {old: new for old, new in OLD_NAMES.items() if new in known}
            raise unknown("recipe field", name, known, former)
    values = {name: known[name].fitting(value) for name, value in changes.items()}
    views = {each.name for each in settings_of(Augment)}
    augment = dataclasses.replace(recipe.augment, **{k: v for k, v in values.items() if k in views})
    own = {k: v for k, v in values.items() if k not in views}
    return dataclasses.replace(recipe, augment=augment, **own)


def to_json(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as JSON values."""
    return dataclass_json.to_json(recipe)


def from_json(value: Mapping[str, Any]) -> Recipe:
    """Rebuild the recipe that `to_json` wrote, also under older names of its fields.

    Raises:
        UsageError: a field that is unknown or of another type.
    """
    fields = current_names(value)
    if isinstance(fields.get("augment"), Mapping):
        fields["augment"] = current_names(fields["augment"])
    return dataclass_json.from_json(Recipe, fields, "recipe")

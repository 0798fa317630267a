"""Recipe fields as keywords: `reslab.train("photos", epochs=5, lr=0.1)`.

One place turns keywords into overrides; `reslab.training.recipe.RecipeFields` lists them with their
types for editors and type checkers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from reslab.aliases import OLD_NAMES, current_names
from reslab.errors import UsageError, nearest
from reslab.settings import settings_of
from reslab.training.recipe import Recipe

# What other libraries call the same thing, where no spelling is near.
OTHER_NAMES = {
    "learning_rate": "lr", "base_lr": "lr", "lr0": "lr", "max_lr": "lr", "eta": "lr",
    "num_epochs": "epochs", "n_epochs": "epochs", "max_epochs": "epochs", "epoch": "epochs",
    "max_steps": "steps", "iterations": "steps", "num_steps": "steps",
    "batch": "batch_size", "bs": "batch_size", "train_batch_size": "batch_size",
    "gradient_accumulation_steps": "accumulate", "accumulate_grad_batches": "accumulate",
    "optim": "optimizer", "scheduler": "schedule", "lr_scheduler": "schedule",
    "wd": "weight_decay", "decay": "weight_decay", "l2": "weight_decay",
    "ls": "label_smoothing", "drop": "dropout", "drop_rate": "dropout",
    "clip_grad": "clip_grad_norm", "max_grad_norm": "clip_grad_norm",
    "gradient_clip_val": "clip_grad_norm",
    "zero_init_last": "zero_init_residual", "zero_gamma": "zero_init_residual",
    "ema_decay": "ema", "model_ema": "ema", "warmup": "warmup_steps",
    "warmup_epochs": "warmup_steps", "early_stopping": "patience",
    "amp": "precision", "dtype": "precision", "fp16": "precision", "half": "precision",
    "image_size": "img_size", "imgsz": "img_size", "input_size": "img_size",
    "img_sz": "img_size", "size": "img_size", "resolution": "img_size",
    "progressive_resizing": "progressive_size", "normalize": "normalization",
    "val_split": "val_fraction", "validation_split": "val_fraction",
    "hflip": "flip", "horizontal_flip": "flip", "fliplr": "flip", "degrees": "rotate",
    "rotation": "rotate", "colour_jitter": "color_jitter", "reprob": "random_erasing",
    "scale": "crop_scale", "ratio": "crop_ratio", "pad": "pad_crop",
    "network": "model", "arch": "model", "architecture": "model", "backbone": "model",
    "output": "out", "output_dir": "out", "save_dir": "out", "project": "out",
    "time": "time_s", "time_limit": "time_s", "random_state": "seed",
    "weights": "start", "checkpoint": "start", "pretrained": "start", "finetune_from": "start",
    "verbose": "progress", "callbacks": "observer", "kwargs": "overrides",
}  # fmt: skip


def overrides_of(
    fields: Mapping[str, Any],
    overrides: Mapping[str, Any] | None,
    *,
    function: str,
    arguments: Sequence[str],
) -> dict[str, Any]:
    """Join keywords and `overrides` into what a request holds.

    Args:
        fields: keywords, by recipe field.
        overrides: the same as a mapping; None for none.
        function: who was called, for messages.
        arguments: the function's own arguments, which a wrong keyword may have meant.

    Raises:
        UsageError: no such field, or one that both give with different values.
    """
    known = {setting.name for setting in settings_of(Recipe)}
    for name in fields:
        if OLD_NAMES.get(name, name) not in known:
            raise _unknown(name, [*arguments, *sorted(known)], function)
    fields, joined = current_names(fields), current_names(overrides or {})
    for name, value in fields.items():
        if name in joined and joined[name] != value:
            raise UsageError(
                f"{name} is given twice: {value!r} as a keyword and {joined[name]!r} in overrides",
                remedy="leave one of them out",
            )
        joined[name] = value
    return joined


def _unknown(name: str, known: Sequence[str], function: str) -> UsageError:
    """Build the error for a keyword that is none, proposing what was probably meant."""
    from reslab.training.config import Request

    problem = f"{function} takes no argument '{name}'"
    meant = OTHER_NAMES.get(name.lower(), "")
    if meant in known:
        return UsageError(problem, remedy=f"did you mean '{meant}'?")
    if name in {field.name for field in dataclasses.fields(Request)}:
        remedy = (
            f"it is a field of Request: reslab.api.train_request(Request(data=..., {name}=...))"
        )
        return UsageError(problem, remedy=remedy)
    former = {old: new for old, new in OLD_NAMES.items() if new in known}
    hint = nearest(name, known, former) or "its docstring and `reslab train --help` list them"
    return UsageError(problem, remedy=hint)

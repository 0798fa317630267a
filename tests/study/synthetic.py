"""Results of a study as a runner would collect them, with numbers that are made up."""

from __future__ import annotations

import dataclasses
import random

from reslab.study import Arm, DoesNotRise, Fails, RisesWith, RunOutcome, Scale, Study, StudyResults
from reslab.training.recipe import override, to_json
from reslab.training.recipes import RECIPES, Situation

DEPTHS = (20, 56, 110)
PAPER = {20: 8.75, 56: 6.97, 110: 6.43}


def study() -> Study:
    """Return a study of plain and residual networks by depth."""
    arms = tuple(
        Arm(
            name=f"{kind}-{depth}",
            group=kind,
            model=f"{'plain' if kind == 'plain' else 'resnet'}{depth}",
            x=depth,
            paper={"test_error_pct": PAPER[depth]} if kind == "residual" else {},
            note="warms up first" if depth == 110 else "",
        )
        for kind in ("plain", "residual")
        for depth in DEPTHS
    )
    return Study(
        name="synthetic",
        title="Plain against residual networks <by depth>",
        question="Does the training error rise with depth?",
        source="He et al. 2015, Figure 6",
        metric="train_error_pct",
        x_label="depth, layers",
        scales={
            "tiny": Scale(data="digits", arms=arms, differs=("200 updates, not 64,000.",)),
            "paper": Scale(data="cifar10", arms=arms),
        },
        expectations=(
            RisesWith(sentence="The plain network's training error rises.", group="plain"),
            DoesNotRise(sentence="The residual network's does not rise.", group="residual"),
            Fails(sentence="Plain-110 fails.", arm="plain-110"),
        ),
        notes=("The numbers are made up.",),
    )


def results(*, data: str = "digits", missing: bool = False) -> StudyResults:
    """Return its results with three seeds; one run diverged, one failed, one may be missing."""
    made, generator = study(), random.Random(0)
    situation = Situation(num_train=1222, img_size=8, num_classes=10)
    recipe = to_json(override(RECIPES["he2015-cifar"](situation), {"steps": 200, "flip": False}))
    outcomes = []
    for seed in range(3):
        for arm in made.scale("tiny").arms:
            plain = arm.group == "plain"
            error = 3.0 + (0.12 * (arm.x or 0) if plain else 0.0) + generator.gauss(0, 0.4)
            rows = [
                {
                    "epoch": float(e), "step": 10 * e, "lr": 0.1,
                    "train_error_pct": error + 90 / (1 + e), "train_loss": 1 / e,
                    "test_error_pct": error + 1 + 80 / (1 + e), "val_error_pct": None,
                }
                for e in range(1, 21)
            ]  # fmt: skip
            outcomes.append(
                RunOutcome(
                    arm=arm.name, seed=seed, status="finished",
                    run_dir=f"{arm.name}/seed-{seed}", rows=rows, recipe=recipe,
                    metrics={
                        "train_error_pct": error, "test_error_pct": error + 1,
                        "params": 13_000.0 * (arm.x or 0), "macs": 1e6, "wall_s": 12.0 + seed,
                    },
                    series={"response_std": [1 / (i + 1) for i in range(int(arm.x or 0) // 4)]},
                )
            )  # fmt: skip
    outcomes[-1] = RunOutcome(
        arm="residual-110", seed=2, status="failed", error="MemoryError: out | of memory"
    )
    third = next(i for i, o in enumerate(outcomes) if (o.arm, o.seed) == ("plain-110", 1))
    outcomes[third] = dataclasses.replace(
        outcomes[third], status="diverged", error="the loss is NaN", metrics={}, rows=[]
    )
    if missing:
        outcomes[0] = RunOutcome(arm="plain-20", seed=0, status="missing")
    return StudyResults(
        study=made,
        scale_name="tiny",
        data={
            "asked_for": data, "name": data, "classes": [str(i) for i in range(10)],
            "counts": {"train": 1222, "val": 216, "test": 359}, "note": "", "img_size": 8,
            "in_chans": 1,
        },
        outcomes=tuple(outcomes),
        environment={"cpu": "two cores", "torch": "2.13.0", "precision": "fp32", "device": "cpu"},
    )  # fmt: skip

"""Lesions: what networks lose with one of their blocks, deleted or swapped."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from reslab import artifact
from reslab.analyze.ablation import Ablation, ablate_blocks
from reslab.analyze.sample import open_sample
from reslab.studies.scales import paper, small, tiny
from reslab.study import Arm, FinishedRun, Ordered, Study, StudyResults, Verdict
from reslab.study.study import Measured

IMAGES = 500


def lesioned(runs: Sequence[FinishedRun]) -> Measured:
    """Measure the error after each deletion and each swap."""
    model = artifact.load(runs[0].model)
    sample = open_sample(model, runs[0].run_dir, count=IMAGES)
    found = ablate_blocks(model.network, sample.images, sample.labels)
    measured: dict[str, float | list[float]] = {
        "error_after_deletions": [one.error_pct for one in found.deletions],
        "deletion_increase_pct": _mean(found.deletions),
    }
    if found.swaps:
        measured |= {
            "error_after_swaps": [one.error_pct for one in found.swaps],
            "swap_increase_pct": _mean(found.swaps),
        }
    return measured


def _mean(changes: Sequence[Ablation]) -> float:
    return sum(one.increase_pct for one in changes) / len(changes)


def arms(*depths: int) -> tuple[Arm, ...]:
    """Return plain and residual networks whose blocks are taken away."""
    return tuple(
        Arm(
            name=f"{kind}-{depth}",
            group=kind,
            model=f"{'plain' if kind == 'plain' else 'resnet'}{depth}",
            x=depth,
            measure=lesioned,
        )
        for kind in ("plain", "residual")
        for depth in depths
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Hurts:
    """A lesion raises the plain network's error more, at the largest depth of the scale.

    Args:
        sentence: the expectation in words.
        metric: the mean increase of the error.
    """

    sentence: str
    metric: str

    def test(self, results: StudyResults) -> Verdict:
        """Compare the two deepest networks."""
        deepest = max(arm.x or 0 for arm in results.arms)
        return Ordered(
            sentence=self.sentence,
            better=f"residual-{deepest:g}",
            worse=f"plain-{deepest:g}",
            metric=self.metric,
            smallest=1.0,
        ).test(results)


OTHER = "The paper deletes blocks of ResNet-110 and layers of VGG."
STUDY = Study(
    name="lesion",
    title="Lesions: networks without one of their blocks",
    question="Do residual networks survive the loss of a block, and plain ones not?",
    source="Veit et al. 2016 (arXiv 1605.06431), sections 4.1 and 4.3",
    metric="deletion_increase_pct",
    x_label="depth, layers",
    scales={
        "tiny": tiny(arms(20, 32), differs=(OTHER,)),
        "small": small(arms(20, 32), steps=600, differs=(OTHER,)),
        "paper": paper(arms(56, 110), seeds=3, differs=(OTHER,)),
    },
    expectations=(
        Hurts(
            sentence="Deleting a block hurts the residual network less than the plain one.",
            metric="deletion_increase_pct",
        ),
        Hurts(
            sentence="Swapping neighbours hurts the residual network less than the plain one.",
            metric="swap_increase_pct",
        ),
    ),
)

"""Layer responses: residual branches respond weakly, the deeper the weaker (Fig. 7)."""

from __future__ import annotations

from collections.abc import Sequence

from reslab import artifact
from reslab.analyze.responses import layer_responses
from reslab.analyze.sample import open_sample
from reslab.studies.scales import paper, small, tiny
from reslab.study import Arm, FallsWith, FinishedRun, Ordered, Study
from reslab.study.study import Measured

IMAGES = 1000


def responses(runs: Sequence[FinishedRun]) -> Measured:
    """Measure the standard deviation of each layer's response on test images."""
    model = artifact.load(runs[0].model)
    sample = open_sample(model, runs[0].run_dir, count=IMAGES)
    found = layer_responses(model.network, sample.images)
    return {
        "mean_response": sum(found.stds) / len(found.stds),
        "responses": list(found.stds),
        "responses_ranked": list(found.sorted_stds),
    }


def arms(*networks: tuple[str, int]) -> tuple[Arm, ...]:
    """Return plain and residual networks whose responses are measured."""
    return tuple(
        Arm(
            name=f"{kind}-{depth}",
            group=kind,
            model=f"{'plain' if kind == 'plain' else 'resnet'}{depth}",
            x=depth,
            measure=responses,
        )
        for kind, depth in networks
    )


FIGURE = (
    ("plain", 20), ("plain", 56), ("residual", 20), ("residual", 56), ("residual", 110),
)  # fmt: skip
STUDY = Study(
    name="layer-responses",
    title="Layer responses",
    question="Are the responses of residual layers weaker than those of plain layers?",
    source="He et al. 2015 (arXiv 1512.03385), section 4.2, Figure 7",
    metric="mean_response",
    x_label="depth, layers",
    scales={
        "tiny": tiny(arms(*FIGURE), steps=600),
        "small": small(arms(*FIGURE), steps=300),
        "paper": paper(arms(*FIGURE)),
    },
    expectations=(
        Ordered(
            sentence="Residual networks have weaker responses than their plain counterparts.",
            better="residual-56",
            worse="plain-56",
            smallest=0.01,
        ),
        FallsWith(
            sentence="The deeper the residual network, the weaker its responses.",
            group="residual",
            smallest=0.01,
        ),
    ),
    notes=(
        "The response of a 3x3 layer is what comes out of its batch norm, before the ReLU or the "
        "addition; its standard deviation is over images, channels and positions together. The "
        "paper does not say on which images: here 1,000 of the test, in evaluation mode.",
        "Behind a batch norm the deviation is about the norm's own scale, which begins at one. The "
        "paper's scales have changed over 64,000 updates with weight decay; those of a short run "
        "have hardly moved, whatever the depth.",
    ),
)

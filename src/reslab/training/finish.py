"""After the last step: evaluate, calibrate, save the model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from reslab import artifact
from reslab.data.dataset import Dataset, SplitName
from reslab.data.preprocess import Preprocess
from reslab.data.record import ImageRecord
from reslab.display import wording
from reslab.evaluate.evaluation import Evaluation, fit_temperature
from reslab.networks.network import build
from reslab.runs import checkpoint
from reslab.runs.config import Config
from reslab.runs.directory import RunDirectory
from reslab.runs.run import Run
from reslab.training.evaluating import averaged
from reslab.training.loop import Watch
from reslab.training.saving import agree
from reslab.training.step import Training


@dataclasses.dataclass(frozen=True)
class Result:
    """What a finished run hands back.

    Args:
        run_dir: its directory.
        model: the artifact's folder.
        test: the evaluation on the test split (validation, where there is no test).
        split: which split that was.
        wall_s: time of the whole run, all processes that worked on it, seconds.
        train_images_per_s: median training throughput.
        data: what the run was trained on, as it was named.
        network: the network's name.
        writes: whether this process wrote the run (rank 0 of several).
    """

    run_dir: Path
    model: Path
    test: Evaluation
    split: SplitName
    wall_s: float
    train_images_per_s: float
    data: str
    network: str
    writes: bool

    def lines(self) -> list[str]:
        """Say how well the model does and where everything is: what `train` prints at its end."""
        test = self.test
        low, high = test.ci95_pct
        return [
            f"{self.split} accuracy {test.accuracy_pct:.2f}%  (95% interval {low:.2f} to "
            f"{high:.2f}, {len(test.labels):,} images)  after {wording.clock(self.wall_s)}",
            f"  run     {self.run_dir}",
            f"  report  {self.run_dir / 'report.html'}",
            f"  model   {self.model}",
        ]

    def __repr__(self) -> str:
        first, run, *_ = self.lines()
        return f"Result: {self.network} on {self.data}\n  {first}\n{run}"

    def _repr_html_(self) -> str:
        from reslab.training.card import result_card

        return result_card(self)

    def to_json(self) -> dict[str, Any]:
        """Return what `train --json` prints."""
        measured = {
            "accuracy_pct": self.test.accuracy_pct,
            "ci95_pct": list(self.test.ci95_pct),
            "num_images": len(self.test.labels),
        }
        return {
            "run_dir": str(self.run_dir),
            "model": str(self.model),
            "test": None,  # where the data have no test split, the one measured stands beside it
            self.split: measured,
            "wall_s": round(self.wall_s, 2),
            "train_images_per_s": round(self.train_images_per_s, 1),
        }


def finish(
    training: Training,
    config: Config,
    dataset: Dataset,
    preprocess: Preprocess,
    measure: Callable[[SplitName], Evaluation],
    watch: Watch,
) -> Result:
    """Evaluate the weights that the run ends with, and save them with all that belongs to them.

    The weights are the best ones where the run monitors something, else the averaged ones
    where it averages, else the last. The test split is looked at here, once. Data without any
    held-out images are measured on the training split.

    Raises:
        Interrupted: a signal arrived while it evaluated; nothing was written.
    """
    run, network = watch.run, training.network
    raw: dict[SplitName, Evaluation] = {}
    agree(training)
    held_out: list[SplitName] = [s for s in ("val", "test") if s in dataset.splits]
    splits: list[SplitName] = held_out or ["train"]
    if training.ema is not None:
        raw = {split: measure(split) for split in splits}
    with averaged(training):
        if config.recipe.monitor != "none":
            best = checkpoint.load_best(run.checkpoints)
            network.load_state_dict(best)
        measured = {split: measure(split) for split in splits}
        tensors = {k: v.detach().cpu().clone() for k, v in network.state_dict().items()}
    final = splits[-1]
    fitted_on = splits[0]
    temperature = fit_temperature(measured[fitted_on].logits, measured[fitted_on].labels)
    speed = _median_speed(Run(run.path))
    wall_s = watch.clock.elapsed_s()
    if training.world.writes:
        metrics: dict[str, Any] = {split: value.to_json() for split, value in measured.items()}
        for split, value in raw.items():
            metrics[f"{split}_last_weights"] = {"accuracy_pct": value.accuracy_pct}
        for split, value in measured.items():
            run.write_evaluation(split, value)
        _write_artifact(run, config, dataset, preprocess, tensors, metrics, temperature)
    training.world.barrier()
    return Result(
        run_dir=run.path,
        model=run.model,
        test=measured[final],
        split=final,
        wall_s=wall_s,
        train_images_per_s=speed,
        data=config.here,
        network=config.spec.name,
        writes=training.world.writes,
    )


def _write_artifact(
    run: RunDirectory,
    config: Config,
    dataset: Dataset,
    preprocess: Preprocess,
    tensors: dict[str, torch.Tensor],
    metrics: dict[str, Any],
    temperature: float,
) -> None:
    network = build(config.spec).eval()
    network.load_state_dict(tensors)
    described = config.to_json()
    provenance = {
        key: described[key]
        for key in (
            "reslab",
            "command",
            "data",
            "data_options",
            "seed",
            "dataset",
            "recipe",
            "environment",
        )
    }
    artifact.save(
        artifact.Artifact(
            network=network,
            classes=dataset.classes,
            preprocess=preprocess,
            metrics=metrics,
            provenance=provenance,
            temperature=temperature,
            images=Run(run.path).images or ImageRecord.of(dataset),
        ),
        run.model,
    )


def _median_speed(run: Run) -> float:
    """Return the median throughput over the rows, images a second."""
    speeds = sorted(
        float(event["images_per_s"])
        for event in run.events
        if event.get("event") == "epoch" and event.get("images_per_s")
    )
    return speeds[len(speeds) // 2] if speeds else 0.0

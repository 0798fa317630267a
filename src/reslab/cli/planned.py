"""What `reslab plan` prints: a table or JSON, and the command that it proposes."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
from typing import TYPE_CHECKING, Any

from reslab.cli import train
from reslab.cli.arguments import Arguments
from reslab.cli.output import emit_json, table
from reslab.display.stderr import note
from reslab.display.wording import clock

if TYPE_CHECKING:
    from reslab.plan.compare import Comparison, Trial
    from reslab.plan.forecast import Forecast
    from reslab.plan.networks import Candidate, NetworkChoice

FIELDS = (
    "precision",
    "batch_size",
    "img_size",
    "compile",
    "channels_last",
    "checkpoint_activations",
)


UNSTEADY = 0.15
# Flags of `reslab train` that a proposed command does without.
NOT_TRAINING = ("json", "quiet")


def show_trials(
    args: argparse.Namespace, written: argparse.Namespace, comparison: Comparison
) -> None:
    """Print the ways to compute a training.

    Args:
        args: the flags, with what the environment and the file of settings add.
        written: the flags that were written; the proposed command repeats them.
        comparison: what was found.
    """
    proposed = comparison.proposed
    command = None if proposed is None else _command(written, comparison, proposed)
    if args.json:
        emit_json(
            {
                "network": comparison.trials[0].subject.chosen.spec.name,
                "rows": [_trial_json(trial) for trial in comparison.trials],
                "proposed": None if proposed is None else _trial_json(proposed),
                "why": comparison.why,
                "command": command,
            }
        )
        return
    columns = [
        ("precision", "left"),
        ("batch", "right"),
        ("size", "right"),
        ("", "left"),
        ("images/s", "right"),
        ("epoch", "right"),
        ("in all", "right"),
        ("memory", "right"),
        ("", "left"),
    ]
    table(columns, [_trial_cells(trial, proposed) for trial in comparison.trials])
    if not args.quiet:
        note("")
        note(comparison.why)
        if proposed is not None and proposed.prediction is not None:
            _explain(proposed.prediction)
            note(f"  {command}")


def show_networks(
    args: argparse.Namespace, written: argparse.Namespace, choice: NetworkChoice
) -> None:
    """Print the networks of a list, and how far each comes; see `show_trials`."""
    changes = {"model": choice.proposed.subject.chosen.spec.name}
    command = shlex.join(_words(written, changes))
    if args.json:
        emit_json(
            {
                "time_s": args.time,
                "networks": [_candidate_json(candidate) for candidate in choice.candidates],
                "proposed": changes["model"],
                "why": choice.why,
                "command": command,
            }
        )
        return
    columns = [
        ("network", "left"),
        ("params", "right"),
        ("MACs", "right"),
        ("images/s", "right"),
        ("epoch", "right"),
        ("epochs in time", "right"),
        ("wanted", "right"),
        ("memory", "right"),
        ("", "left"),
    ]
    table(columns, [_candidate_cells(part, choice.proposed) for part in choice.candidates])
    if not args.quiet:
        note("")
        note(f"{changes['model']}: {choice.why}")
        note(f"  {command}")


def _command(written: argparse.Namespace, comparison: Comparison, trial: Trial) -> str:
    """Return the command that trains as a trial says."""
    words = shlex.join(_words(written, comparison.changes(trial)))
    return f"OMP_NUM_THREADS={trial.variant.threads} {words}" if trial.variant.threads else words


def _words(written: argparse.Namespace, changes: dict[str, Any]) -> list[str]:
    """Write the training's command line: what the user gave, with some values changed."""
    values = {**vars(written), **changes}
    words = ["reslab", "train", "DATA" if written.data is None else str(written.data)]
    for action in Arguments.of(train.add_arguments).actions:
        value = values.get(action.dest)
        if not action.option_strings or action.dest in NOT_TRAINING or value is None:
            continue
        if isinstance(value, bool):
            words.append(action.option_strings[0 if value else -1])
        else:
            words += [action.option_strings[0], _written(value)]
    return words


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(_written(part) for part in value)
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _explain(prediction: Forecast) -> None:
    """Say what the time is made of, and how sure it is."""
    decoding = (
        f" ({clock(prediction.decode_s)} of it decoding, once)" if prediction.decode_s else ""
    )
    note(
        f"start {clock(prediction.start_s)}{decoding}, then {prediction.epochs:.4g} epochs of "
        f"{_time(prediction.epoch_s)}: {_time(prediction.total_s)} in all"
    )
    if prediction.unrest > UNSTEADY:
        note("other programs used the machine meanwhile: times with a ~ are uncertain")


def _time(seconds: float) -> str:
    """Write a duration, a short one with a tenth of a second."""
    return f"{seconds:.1f} s" if seconds < 10 else clock(seconds)


def _speed(prediction: Forecast) -> str:
    """Write images a second, marked where other programs were in the way."""
    uncertain = "~" if prediction.unrest > UNSTEADY else ""
    return f"{uncertain}{prediction.images_per_s:,.0f}"


def _trial_cells(trial: Trial, proposed: Trial | None) -> list[str]:
    recipe, prediction = trial.subject.chosen.recipe, trial.prediction
    how = ["compiled"] if recipe.compile else []
    how += [] if recipe.channels_last else ["NCHW"]
    how += ["recomputing"] if recipe.checkpoint_activations else []
    how += [f"{trial.variant.threads} threads"] if trial.variant.threads else []
    start = [str(trial.variant.changes["precision"]), str(recipe.batch_size), str(recipe.img_size)]
    start.append(", ".join(how))
    if prediction is None:
        return [*start, "", "", "", "too much", ""]
    mark = (
        "<- proposed" if trial is proposed else "" if trial.variant.free else "trains differently"
    )
    return [
        *start,
        _speed(prediction),
        _time(prediction.epoch_s),
        _time(prediction.total_s),
        f"{prediction.peak_mib:,.0f} MiB" + ("" if trial.fits else ", too much"),
        mark,
    ]


def _candidate_cells(candidate: Candidate, proposed: Candidate) -> list[str]:
    from reslab.cli.list import short

    prediction = candidate.prediction
    start = [candidate.subject.chosen.spec.name, short(candidate.params), short(candidate.macs)]
    if prediction is None:
        return [*start, "", "", "", f"{candidate.needed:g}", "", "not measured: too slow or large"]
    return [
        *start,
        _speed(prediction),
        _time(prediction.epoch_s),
        f"{candidate.epochs:.1f}",
        f"{candidate.needed:g}",
        f"{prediction.peak_mib:,.0f} MiB" + ("" if candidate.fits else ", too much"),
        "<- proposed" if candidate is proposed else "",
    ]


def _trial_json(trial: Trial) -> dict[str, Any]:
    recipe = trial.subject.chosen.recipe
    return {
        **{name: getattr(recipe, name) for name in FIELDS},
        "threads": trial.variant.threads,
        "may_be_proposed": trial.variant.free,
        "measured": trial.measured,
        "fits": trial.fits,
        "prediction": _prediction_json(trial.prediction),
    }


def _candidate_json(candidate: Candidate) -> dict[str, Any]:
    return {
        "network": candidate.subject.chosen.spec.name,
        "params": candidate.params,
        "macs": candidate.macs,
        "epochs_in_time": round(candidate.epochs, 2),
        "epochs_wanted": candidate.needed,
        "fits": candidate.fits,
        "prediction": _prediction_json(candidate.prediction),
    }


def _prediction_json(prediction: Forecast | None) -> dict[str, float] | None:
    if prediction is None:
        return None
    return {name: round(value, 4) for name, value in dataclasses.asdict(prediction).items()}

"""Ask a question of many training runs, and answer it with statistics over seeds.

NAME is a study that 'reslab study list' names, or a .py file that defines STUDY.
What is finished is not done again; what was interrupted goes on where it stands.

examples:
  reslab study list
  reslab study plan degradation --scale small
  reslab study run degradation
  reslab study run degradation --data photos/ --scale small --seeds 5 --jobs 2
  reslab study run my_question.py --out runs/my-question
  reslab study report degradation
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reslab.errors import UsageError

if TYPE_CHECKING:
    from reslab.study.expansion import Setting
    from reslab.study.forecast import StudyForecast
    from reslab.study.results import StudyResults

HELP = "ask a question of many runs, answered with statistics over seeds"
# Which flags belong to which action.
FLAGS = {
    "list": ("json", "quiet"),
    "plan": ("scale", "data", "seeds", "jobs", "device", "json", "quiet"),
    "run": ("scale", "data", "seeds", "jobs", "out", "retry", "device", "json", "quiet"),
    "report": ("scale", "data", "out", "json", "quiet"),
}
DEFAULTS = {"scale": "tiny", "jobs": 0, "device": "auto", "retry": False}
SCALES = ("tiny", "small", "paper")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of `reslab study`."""
    parser.add_argument("action", choices=tuple(FLAGS), help="what to do: %(choices)s")
    parser.add_argument("name", nargs="?", metavar="NAME", help="a shipped study, or a .py file")
    parser.add_argument("--scale", choices=SCALES, help="how much data and time (tiny)")
    parser.add_argument("--data", help="other data than the scale's: a folder, a CSV or a name")
    parser.add_argument("--seeds", type=int, metavar="N", help="seeds 0 to N-1 (the scale's)")
    parser.add_argument("--jobs", type=int, metavar="N", help="runs at once (0: one a core)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder (runs/study-NAME-SCALE)")
    parser.add_argument("--retry", action="store_true", default=None, help="try failed runs again")
    parser.add_argument("--device", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")


def run(args: argparse.Namespace) -> int:
    """Do what the action says."""
    _check(args)
    for flag, value in DEFAULTS.items():
        if getattr(args, flag) is None:
            setattr(args, flag, value)
    if args.action == "list":
        return _list(args)
    if args.name is None:
        raise UsageError(f"'study {args.action}' needs a study", remedy="see 'reslab study list'")
    if args.jobs < 0:
        raise UsageError(f"--jobs must be 0 or more, received {args.jobs}")
    return {"plan": _plan, "run": _run, "report": _report}[args.action](args)


def _check(args: argparse.Namespace) -> None:
    """Refuse a name and flags that belong to another action."""
    if args.action == "list" and args.name is not None:
        raise UsageError(
            f"'study list' takes no NAME, received {args.name}",
            remedy=f"see 'reslab study plan {args.name}'",
        )
    for flag in FLAGS["run"]:  # which takes them all
        if flag not in FLAGS[args.action] and getattr(args, flag) is not None:
            owners = " and ".join(name for name, flags in FLAGS.items() if flag in flags)
            raise UsageError(f"--{flag} belongs to reslab study {owners}, not {args.action}")


def _list(args: argparse.Namespace) -> int:
    from reslab import studies
    from reslab.cli import output

    found = [studies.shipped(name) for name in studies.SHIPPED]
    if args.json:
        output.emit_json(
            [
                {
                    "name": study.name,
                    "title": study.title,
                    "question": study.question,
                    "source": study.source,
                    "scales": {
                        name: {"data": scale.data, "arms": len(scale.arms), "seeds": scale.seeds}
                        for name, scale in study.scales.items()
                    },
                }
                for study in found
            ]
        )
        return 0
    columns = [("study", "left"), ("runs tiny/small/paper", "right"), ("question", "left")]
    rows = []
    for study in found:
        known = {str(name): scale for name, scale in study.scales.items()}
        sizes = [
            str(len(scale.arms) * scale.seeds) if (scale := known.get(name)) else "-"
            for name in SCALES
        ]
        rows.append([study.name, "/".join(sizes), study.question])
    output.table(columns, rows)
    return 0


def _plan(args: argparse.Namespace) -> int:
    from reslab.cli import output
    from reslab.cli.progress import duration
    from reslab.study.expansion import expand
    from reslab.study.forecast import forecast_study
    from reslab.study.load import load_study

    plan = expand(load_study(_reference(args.name)), _setting(args))
    note = None if args.quiet else output.note
    found = forecast_study(plan, jobs=args.jobs, note=note)
    if args.json:
        output.emit_json(_plan_json(found))
        return 0
    columns = [("run", "left"), ("network", "left"), ("time", "right"), ("memory", "right")]
    rows = [
        [
            each.run.id,
            each.run.arm.network or f"of {each.run.arm.combines}",
            "-" if each.total_s is None else duration(each.total_s),
            "-" if each.peak_mib is None else f"{each.peak_mib:,.0f} MiB",
        ]
        for each in found.runs
    ]
    output.table(columns, rows)
    output.note(
        f"{len(found.runs)} runs, {found.jobs} at once: about {duration(found.total_s)} and "
        f"{found.peak_mib:,.0f} MiB"
    )
    for why in sorted({each.why for each in found.runs if each.why and each.run.request}):
        output.note(f"no prediction: {why}")
    return 0


def _plan_json(found: StudyForecast) -> dict[str, Any]:
    return {
        "runs": [
            {
                "id": each.run.id,
                "arm": each.run.arm.name,
                "seed": each.run.seed,
                "network": each.run.arm.network,
                "needs": list(each.run.needs),
                "total_s": each.total_s,
                "peak_mib": each.peak_mib,
                "why": each.why,
            }
            for each in found.runs
        ],
        "jobs": found.jobs,
        "total_s": found.total_s,
        "peak_mib": found.peak_mib,
    }


def _run(args: argparse.Namespace) -> int:
    from reslab.cli.study_progress import make_study_observer
    from reslab.study.runner import run_study

    folder = _folder(args)
    results = run_study(
        _reference(args.name),
        _setting(args),
        folder,
        jobs=args.jobs,
        retry=args.retry,
        observer=make_study_observer(args.quiet),
    )
    return _tell(results, folder, as_json=args.json)


def _report(args: argparse.Namespace) -> int:
    from reslab.study.load import load_study
    from reslab.study.results import StudyResults

    folder = _folder(args)
    results = StudyResults.load(load_study(_reference(args.name)), folder)
    results.save(folder)  # its verdicts are those of the expectations as they are now
    return _tell(results, folder, as_json=args.json)


def _tell(results: StudyResults, folder: Path, *, as_json: bool) -> int:
    """Write the report, print the answer; 1 where a run failed or is missing."""
    from reslab.cli import output
    from reslab.study.report import write_report

    page = write_report(results, folder)
    bad = [o for o in results.outcomes if o.status in ("failed", "missing")]
    if as_json:
        value = results.to_json()
        for outcome in value["outcomes"]:
            del outcome["rows"]
        output.emit_json({**value, "folder": str(folder), "report": str(page)})
    else:
        output.table(*_table(results))
        output.note("")
        for verdict in results.verdicts():
            output.note(f"{verdict.outcome}: {verdict.expectation} {verdict.because}")
        output.note(f"  report   {page}")
    for outcome in bad:
        output.note(f"{outcome.status}: {outcome.arm}/seed-{outcome.seed} {outcome.error}")
    if any(outcome.status == "failed" for outcome in bad):
        output.note("failed runs are kept as they are; try them again with --retry")
    return 1 if bad else 0


def _table(results: StudyResults) -> tuple[list[tuple[str, str]], list[list[str]]]:
    """Make a row an arm: training and test error, and the study's own metric."""
    metrics = dict.fromkeys(("train_error_pct", "test_error_pct", results.study.metric))
    shown = [m for m in metrics if any(results.values(arm.name, m) for arm in results.arms)]
    columns = [("arm", "left"), ("network", "left"), ("n", "right")]
    columns += [(name.replace("_pct", " %").replace("_", " "), "right") for name in shown]
    columns += [("diverged", "right"), ("paper", "right")]
    rows = []
    for arm in results.arms:
        outcomes = results.of(arm.name)
        diverged = sum(outcome.status == "diverged" for outcome in outcomes)
        n = max((len(results.values(arm.name, name)) for name in shown), default=0)
        rows.append(
            [
                arm.name,
                arm.network or f"of {arm.combines}",
                str(n),
                *(_cell(results.values(arm.name, name)) for name in shown),
                str(diverged or ""),
                ", ".join(f"{value:g}" for value in arm.paper.values()),
            ]
        )
    return columns, rows


def _cell(values: Mapping[int, float]) -> str:
    from reslab.study.statistics import summarise

    if not values:
        return "-"
    found = summarise(list(values.values()))
    return f"{found.mean:.2f}" + ("" if found.sd is None else f" ± {found.sd:.2f}")


def _reference(name: str) -> str:
    from reslab import studies

    return studies.reference(name)


def _setting(args: argparse.Namespace) -> Setting:
    from reslab.study.expansion import Setting

    return Setting(scale=args.scale, data=args.data, seeds=args.seeds, device=args.device)


def _folder(args: argparse.Namespace) -> Path:
    """Return the study's folder: as asked, or one that its name, scale and data lead to."""
    import re

    if args.out is not None:
        return Path(args.out)
    words = [Path(args.name).stem if args.name.endswith(".py") else args.name, args.scale]
    words += [] if args.data is None else [Path(args.data).name or "data"]
    return Path("runs") / re.sub(r"[^\w.-]+", "-", "-".join(["study", *words]))

"""Ask a question of many training runs, and answer it with statistics over seeds.

NAME is a study that 'reslab study list' names, or a .py file that defines STUDY.
Finished runs are not repeated; interrupted ones continue where they stopped.

examples:
  reslab study list
  reslab study plan degradation --scale small
  reslab study run degradation
  reslab study run degradation --data photos/ --scale small --seeds 5 --jobs 2
  reslab study run my_question.py -o runs/my-question
  reslab study report degradation
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reslab.cli.actions import Action
from reslab.cli.arguments import Arguments
from reslab.cli.options import add_data_arguments, at_least, data_options_of

if TYPE_CHECKING:
    from reslab.study.expansion import Setting
    from reslab.study.forecast import StudyForecast
    from reslab.study.results import StudyResults

SCALES = ("tiny", "small", "paper")


def _add_list(parser: Arguments) -> None:
    _add_output(parser)


def _add_plan(parser: Arguments) -> None:
    _add_study(parser)
    _add_runs(parser)
    _add_output(parser)
    _add_options(parser)


def _add_run(parser: Arguments) -> None:
    _add_study(parser)
    _add_runs(parser)
    _add_folder(parser)
    parser.add_argument("--retry", action="store_true", help="try failed runs again")
    _add_output(parser)
    _add_options(parser)


def _add_report(parser: Arguments) -> None:
    _add_study(parser)
    _add_folder(parser)
    _add_output(parser)


def _add_study(parser: Arguments) -> None:
    parser.add_argument("name", metavar="NAME", help="a shipped study, or a .py file")
    parser.add_argument(
        "--scale", choices=SCALES, default="tiny", help="how much data and time (tiny)"
    )
    parser.add_argument("--data", help="other data than the scale's: a folder, a CSV or a name")


def _add_options(parser: Arguments) -> None:
    add_data_arguments(parser.add_argument_group("how --data is read"))


def _add_runs(parser: Arguments) -> None:
    parser.add_argument("--seeds", type=int, metavar="N", help="seeds 0 to N-1 (the scale's)")
    parser.add_argument(
        "--jobs", type=at_least(0), default=0, metavar="N", help="runs at once (0: one a core)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")


def _add_folder(parser: Arguments) -> None:
    parser.add_argument(
        "-o", "--out", type=Path, metavar="DIR", help="folder (runs/study-NAME-SCALE)"
    )


def _add_output(parser: Arguments) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--quiet", action="store_true", help="no progress on stderr")


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
    from reslab.display.stderr import note
    from reslab.display.wording import clock
    from reslab.study.expansion import expand
    from reslab.study.forecast import forecast_study
    from reslab.study.load import load_study

    plan = expand(load_study(_reference(args.name)), _setting(args))
    tell = None if args.quiet else note
    found = forecast_study(plan, jobs=args.jobs, note=tell)
    if args.json:
        output.emit_json(_plan_json(found))
        return 0
    columns = [("run", "left"), ("network", "left"), ("time", "right"), ("memory", "right")]
    rows = [
        [
            each.run.id,
            each.run.arm.network or f"of {each.run.arm.combines}",
            "-" if each.total_s is None else clock(each.total_s),
            "-" if each.peak_mib is None else f"{each.peak_mib:,.0f} MiB",
        ]
        for each in found.runs
    ]
    output.table(columns, rows)
    note(
        f"{len(found.runs)} runs, {found.jobs} at once: about {clock(found.total_s)} and "
        f"{found.peak_mib:,.0f} MiB"
    )
    for why in sorted({each.why for each in found.runs if each.why and each.run.request}):
        note(f"no prediction: {why}")
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
    from reslab.display.stderr import note
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
        note("")
        for verdict in results.verdicts():
            note(f"{verdict.outcome}: {verdict.expectation} {verdict.because}")
        note(f"  report   {page}")
    for outcome in bad:
        note(f"{outcome.status}: {outcome.arm}/seed-{outcome.seed} {outcome.error}")
    if any(outcome.status == "failed" for outcome in bad):
        note("failed runs are kept as they are; try them again with --retry")
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
    from reslab.study.statistics import summarize

    if not values:
        return "-"
    found = summarize(list(values.values()))
    return f"{found.mean:.2f}" + ("" if found.sd is None else f" ± {found.sd:.2f}")


def _reference(name: str) -> str:
    from reslab import studies

    return studies.reference(name)


def _setting(args: argparse.Namespace) -> Setting:
    from reslab.data.collect import DataOptions
    from reslab.errors import UsageError
    from reslab.study.expansion import Setting

    options = data_options_of(args)
    if options is not None and args.data is None:
        raise UsageError(
            "--columns, --root, --label-from-name and --merge-similar-classes are about --data",
            remedy="name the data, too",
        )
    return Setting(
        scale=args.scale,
        data=args.data,
        data_options=options or DataOptions(),
        seeds=args.seeds,
        device=args.device,
    )


def _folder(args: argparse.Namespace) -> Path:
    """Return the study's folder: as asked, or one that its name, scale and data lead to."""
    import re

    if args.out is not None:
        return Path(args.out)
    words = [Path(args.name).stem if args.name.endswith(".py") else args.name, args.scale]
    words += [] if args.data is None else [Path(args.data).name or "data"]
    return Path("runs") / re.sub(r"[^\w.-]+", "-", "-".join(["study", *words]))


ACTIONS = {
    "list": Action("list the studies that come with reslab", _add_list, _list),
    "plan": Action("predict what a study takes, run by run", _add_plan, _plan),
    "run": Action("make a study's runs, and answer its question", _add_run, _run),
    "report": Action("write the report of the runs there are", _add_report, _report),
}

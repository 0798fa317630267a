"""The results of a machine as Markdown."""

from __future__ import annotations

from typing import Any

from bench.verdict import limit_verdict, met

CEILINGS = {
    "bf16_gflops": ("bf16 product of {bf16_side} x {bf16_side}", "GFLOP/s"),
    "float32_gflops": ("float32 product of {float32_side} x {float32_side}", "GFLOP/s"),
    "copy_gb_s": ("memory copy, read and written", "GB/s"),
    "photographs_decoded_by_s": ("JPEG photographs of 500x375 decoded, all cores", "images/s"),
}

ONE_BY_ONE = ("starts", "runs")


def table(value: dict[str, Any]) -> str:
    """Write everything that was measured on one machine."""
    machine = value["machine"]
    cases = value["cases"]
    kind = f" with {machine['instructions'].upper()}" if machine.get("instructions") else ""
    lines = [
        "# Measured side by side",
        "",
        f"{machine['processor']}{kind}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{machine['system']}, Python {machine['python']}.",
        "",
    ]
    if value.get("quick"):
        lines += ["**A quick run on tiny images: it shows that everything works, not speed.**", ""]
    lines += ["| this machine at most | |", "|---|---|"]
    sides = {"bf16_side": 4096, "float32_side": 4096, **value["ceilings"]}
    lines += [
        f"| {what.format_map(sides)} | {value['ceilings'][key]:,.5g} {unit} |"
        for key, (what, unit) in CEILINGS.items()
    ]
    lines += [
        "",
        "Ratios are ours to theirs, the median of the pairs with the least and the greatest.",
        "",
        "| case | ours | beside | theirs | ratio | target |",
        "|---|---|---|---|---|---|",
    ]
    for found in cases.values():
        lines += _rows(found)
    lines += ["", "| case | program | peak memory, MiB | first answer after, s | warm after, s |"]
    lines += ["|---|---|---|---|---|"]
    for found in cases.values():
        lines += _costs(found)
    others = [line for found in cases.values() for line in _others(found)]
    if others:
        lines += ["", "Other candidates, measured in a trial of two chunks:", "", *others]
    lines += ["", *_fineprint(cases), ""]
    return "\n".join(lines)


def _rows(found: dict[str, Any]) -> list[str]:
    title = found["title"]
    if "skipped" in found:
        return [f"| {title} | | | | not measured: {found['skipped']} | |"]
    rows = []
    rate = _amount(found["ours"], found["unit"])
    if found["limit_s"] is not None:
        rows.append(f"| {title} | {rate} | | | | {limit_verdict(found).split('; ')[1]} |")
    for group, peer in found["groups"].items():
        if "skipped" in peer:
            rows.append(f"| {title} | {rate} | {group} | | not measured: {peer['skipped']} | |")
            continue
        ratio = peer["ratio"]
        theirs = _amount(peer, found["unit"])
        target = "" if peer["target"] is None else f"{peer['target']:g}"
        if target:
            target += ", met" if met(peer) else ", missed"
        rows.append(
            f"| {title} | {rate} | {group}: {peer['name']} | {theirs} "
            f"| **{ratio['median']:.2f}** ({ratio['least']:.2f} to {ratio['most']:.2f}) "
            f"| {target} |"
        )
    return rows


def _costs(found: dict[str, Any]) -> list[str]:
    if "skipped" in found:
        return []
    arms = [found["ours"], *(p for p in found["groups"].values() if "skipped" not in p)]
    rows = []
    for arm in arms:
        peak = arm.get("peak_mib")
        if peak is None or found["limit_s"] is not None:
            continue
        whole = arm["with_children_mib"]
        memory = f"{peak:,.0f}" + (f" ({whole:,.0f} with workers)" if whole > peak + 1 else "")
        first = arm["cold"].get("first_step_s")
        rows.append(
            f"| {found['title']} | {arm['name']} | {memory} | "
            f"{'' if first is None else f'{first:.1f}'} | {arm['cold']['ready_s']:.1f} |"
        )
    return rows


def _others(found: dict[str, Any]) -> list[str]:
    lines = []
    for peer in found.get("groups", {}).values():
        for name, trial in peer["trials"].items():
            if name == peer.get("name"):
                continue
            said = trial.get("failed") or f"{_number(trial['rate'])} {found['unit']}"
            lines.append(f"- {found['title']}: {name}: {said}")
    return lines


def _fineprint(cases: dict[str, Any]) -> list[str]:
    measured = [found for found in cases.values() if "versions" in found]
    lines = []
    for found in measured:
        key = (found["measured"], found["commit"], tuple(sorted(found["versions"].items())))
        if key not in [one for one, _ in lines]:
            lines.append((key, found))
    return [
        f"Measured {day} at {commit} with "
        + ", ".join(f"{name} {number}" for name, number in versions)
        + "."
        for (day, commit, versions), _ in lines
    ]


def _amount(arm: dict[str, Any], unit: str) -> str:
    """Say how fast an arm is, or how long one takes where that is what people wait for."""
    median = arm["rate"]["median"]
    if unit.split("/")[0] not in ONE_BY_ONE:
        return f"{_number(median)} {unit}"
    return f"{1 / median:,.2f} s" if median > 0.01 else f"{1 / median / 60:,.1f} min"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"

"""The results of a GPU as Markdown, each beside what the machine would allow at most."""

from __future__ import annotations

from typing import Any

from bench.gpu.cases import AS_FOUND, TUNED, WORK
from bench.verdict import met


def roofline(name: str, ceilings: dict[str, Any]) -> dict[str, float]:
    """Return images by the second at most: by arithmetic, and by bytes, fused and unfused."""
    work = WORK[name]
    return {
        "compute": ceilings["bf16_tflops"] * 1e3 / work.gflop,
        "fused_bytes": ceilings["copy_gb_s"] * 1e3 / work.fused_mb,
        "unfused_bytes": ceilings["copy_gb_s"] * 1e3 / work.unfused_mb,
    }


def table(value: dict[str, Any]) -> str:
    """Write everything that was measured on one GPU."""
    ceilings = value["ceilings"]
    lines = [f"# Training on {ceilings['device']}", ""]
    if value["quick"]:
        lines += ["**A quick run on tiny images: it shows that everything works, not speed.**", ""]
    cuda = f", CUDA {ceilings['cuda']}" if ceilings["cuda"] else ""
    lines += [
        f"torch {ceilings['torch']}{cuda}. At most: bf16 products "
        f"{ceilings['bf16_tflops']:,.4g} TFLOP/s, float32 {ceilings['float32_tflops']:,.4g}, "
        f"copies {ceilings['copy_gb_s']:,.5g} GB/s read and written.",
        "",
        "Ratios are ours to theirs, the median of the pairs with the least and the greatest.",
        "",
        "| case | ours, images/s | to as found | to tuned | peak GPU memory, MiB: ours / tuned |",
        "|---|---|---|---|---|",
    ]
    cases = value["cases"]
    lines += [_row(found) for found in cases.values()]
    lines += [
        "",
        "| case | arithmetic allows | bytes allow, fused | unfused | ours of the lesser of the "
        "first two |",
        "|---|---|---|---|---|",
    ]
    for name, found in cases.items():
        if "skipped" not in found:
            most = roofline(name, ceilings)
            share = found["ours"]["rate"]["median"] / min(most["compute"], most["fused_bytes"])
            rates = " | ".join(f"{rate:,.0f}" for rate in most.values())
            lines.append(f"| {found['title']} | {rates} | {100 * share:.1f}% |")
    lines += ["", "Each arm in a trial:", ""]
    for found in cases.values():
        for arm, rate in found.get("trials", {}).items():
            lines.append(f"- {found['title']}: {arm}: {rate:,.0f} images/s")
        for arm, reason in found.get("failed", {}).items():
            lines.append(f"- {found['title']}: {arm}: left out: {reason}")
    return "\n".join([*lines, ""])


def _row(found: dict[str, Any]) -> str:
    if "skipped" in found:
        return f"| {found['title']} | not measured: {found['skipped']} | | | |"
    ours, groups = found["ours"], found["groups"]
    ratios = " | ".join(_ratio(groups.get(group)) for group in (AS_FOUND, TUNED))
    theirs = groups.get(TUNED, {}).get("gpu_peak_mib")
    memory = f"{_mib(ours['gpu_peak_mib'])} / {_mib(theirs)}"
    rate = f"{ours['rate']['median']:,.0f} ({ours['name']})"
    return f"| {found['title']} | {rate} | {ratios} | {memory} |"


def _ratio(peer: dict[str, Any] | None) -> str:
    if peer is None:
        return ""
    if "skipped" in peer:
        return f"not measured: {peer['skipped']}"
    ratio = peer["ratio"]
    text = f"**{ratio['median']:.2f}** ({ratio['least']:.2f} to {ratio['most']:.2f})"
    if peer["target"] is None:
        return text
    return f"{text}; {peer['target']:g}: {'met' if met(peer) else 'missed'}"


def _mib(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"

"""What a measured ratio or time says of its target."""

from __future__ import annotations

from typing import Any


def verdict(peer: dict[str, Any]) -> str:
    """Say in one line how a comparison ended."""
    if "skipped" in peer:
        return f"skipped: {peer['skipped']}"
    ratio = peer["ratio"]
    text = (
        f"{ratio['median']:.2f} times {peer['name']} ({ratio['least']:.2f} to {ratio['most']:.2f})"
    )
    if peer["target"] is None:
        return text
    return f"{text}; target {peer['target']:g}: {'met' if met(peer) else 'missed'}"


def met(peer: dict[str, Any]) -> bool:
    """Tell whether the median ratio reaches its target."""
    return bool(peer["ratio"]["median"] >= peer["target"])


def limit_verdict(found: dict[str, Any]) -> str:
    """Say in one line how long one takes, beside the most it may."""
    seconds, limit = found["ours"]["seconds_each"]["median"], found["limit_s"]
    return f"{seconds:.2f} s; at most {limit:g} s: {'met' if seconds <= limit else 'missed'}"

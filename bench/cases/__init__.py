"""Every case by name. Declarations only: what an arm needs is imported in its own process."""

from __future__ import annotations

from bench.case import Case
from bench.cases import inference, loading, start, training

CASES: dict[str, Case] = {
    case.name: case for module in (training, loading, inference, start) for case in module.CASES
}

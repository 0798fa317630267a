from pathlib import Path

import pytest

from reslab import catalog

PAGE = (Path(__file__).parents[2] / "docs" / "networks.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", catalog.list_models())
def test_the_page_gives_the_measured_integers(name):
    cost, entry = catalog.costs()[name], catalog.entry(name)
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
    assert f"| {cost.params:,} | {cost.macs:,} |" in row
    if "error_pct" in entry.paper:
        assert f"{entry.paper['error_pct']:.2f}" in row
    assert entry.summary in row

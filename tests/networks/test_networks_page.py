from pathlib import Path

from reslab import networks
from reslab.networks import build_index as index

PAGE = (Path(__file__).parents[2] / "docs" / "networks.md").read_text(encoding="utf-8")


def test_the_page_is_what_the_catalogue_says():
    """After a change: python -m reslab.networks.build_index docs/networks.md"""
    assert index.with_tables(PAGE) == PAGE


def test_every_network_has_its_row_with_its_numbers():
    rows = {line.split("`")[1]: line for line in PAGE.splitlines() if line.startswith("| `")}
    assert set(rows) == set(networks.list_models())
    assert "| 269,722 | 40,551,040 | 3x32x32 | 8.75 | zero padding (A) |" in rows["resnet20"]
    assert "6.43 (6.61 ± 0.16)" in rows["resnet110"]
    assert "22.85 / 6.71" in rows["resnet50"]

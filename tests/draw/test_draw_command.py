"""`reslab draw` as its users meet it."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from reslab.cli.main import main


def test_three_networks_in_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "networks.svg"
    words = ["draw", "plain20", "resnet20", "preact_resnet20", "-o", str(out), "--title", "Three"]
    assert main(words) == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.strip() == f"drew plain20, resnet20, preact_resnet20 into {out}"
    written = [one.text for one in ElementTree.parse(out).iter() if one.text]
    assert {"Three", "plain20", "resnet20", "preact_resnet20"} <= set(written)
    assert written.count("fc 10") == 3


def test_options_change_the_network(tmp_path: Path) -> None:
    out = tmp_path / "small.html"
    words = ["draw", "resnet18", "--stem", "small", "--img-size", "32", "--num-classes", "7"]
    assert main([*words, "--in-chans", "1", "--fold", "--dark", "--out", str(out)]) == 0
    page = out.read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert ">fc 7<" in page
    assert ">image 32×32×1<" in page
    assert ">× 2<" in page


def test_folding_and_unfolding(tmp_path: Path) -> None:
    out = tmp_path / "n.svg"
    counts = []
    for flags in (["--fold"], ["--unfold"], []):
        assert main(["draw", "resnet56", "-o", str(out), *flags]) == 0
        counts.append(out.read_text(encoding="utf-8").count("conv, 16"))
    folded, unfolded, chosen = counts
    assert folded < unfolded == chosen


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["resnt34", "-o", "a.svg"], 2, "did you mean 'resnet34'"),
        (["resnet34", "resnet3", "-o", "a.svg"], 2, "unknown network 'resnet3'"),
        (["resnet34", "-o", "a.pgn"], 2, "did you mean '.png'"),
        (["resnet34", "-o", "a.pdf"], 2, ".svg, .png, .html"),
        (["resnet34", "-o", "a"], 2, "write to a.svg"),
        (["resnet34"], 2, "-o/--out"),
        (["-o", "a.svg"], 2, "NETWORK"),
        (["resnet20", "-o", "a.svg", "--fold", "--unfold"], 2, "not allowed with"),
        (["resnet20", "-o", "a.svg", "--drak"], 2, "did you mean '--dark'"),
        (["resnet20", "-o", "a.svg", "--img-size", "2"], 2, "at least 4x4 pixels"),
        (["resnet20", "-o", "a.svg", "--stem", "small", "--num-classes", "-1"], 2, "num_classes"),
        (["resnet20", "-o", "/proc/none/a.svg"], 5, "/proc/none"),
        (["resnet20", "-o", "there.svg"], 5, "there.svg"),
    ],
)
def test_misuse(
    words: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.svg").mkdir()
    assert main(["draw", *words]) == code
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["there.svg"]

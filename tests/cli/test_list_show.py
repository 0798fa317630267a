import json
import subprocess
import sys

import pytest

from reslab import networks
from reslab.cli.list import short
from reslab.cli.main import main

LIST_WITHOUT_TORCH = """
import sys
from reslab.cli.main import main
code = main(sys.argv[1:])
assert "torch" not in sys.modules, "listing networks must not wait for torch"
sys.exit(code)
"""


@pytest.mark.parametrize(
    "words", [["list"], ["list", "--json"], ["list", "--help"], ["show", "-h"]]
)
def test_list_needs_no_torch(words):
    done = subprocess.run(
        [sys.executable, "-c", LIST_WITHOUT_TORCH, *words], capture_output=True, text=True
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr


def test_list_json(capsys):
    assert main(["list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == networks.list_models()
    for row in rows:
        assert list(row) == [
            *("name", "family", "params", "macs", "img_size", "source", "paper", "deviations")
        ]
    row = next(row for row in rows if row["name"] == "resnet110")
    assert (row["family"], row["params"], row["macs"]) == ("resnet", 1_727_962, 252_887_680)
    assert (row["img_size"], row["paper"]["error_pct"], row["deviations"]) == (32, 6.43, [])


def test_list_table_goes_to_stdout_and_notes_to_stderr(capsys):
    assert main(["list", "resnet5*"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    names = [line.split()[0] for line in lines[2:]]
    assert names == networks.list_models("resnet5*")
    assert max(map(len, lines)) < 80
    assert lines[2].split()[:7] == ["resnet50", "resnet", "224", "25.56", "M", "3.86", "G"]
    assert "multiply-adds" in err


@pytest.mark.parametrize(
    ("pattern", "remedy"),
    [("rsnet20", "did you mean 'resnet20'?"), ("v15", "try 'reslab list \"*v15*\"'")],
)
def test_list_that_matches_nothing(capsys, pattern, remedy):
    assert main(["list", pattern]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert f"no network matches '{pattern}'; {remedy}" in err


def test_show_table(capsys):
    assert main(["show", "resnet34"]) == 0
    out, err = capsys.readouterr()
    header, _, table = out.partition("\n\n")
    assert header.startswith("resnet34: 34 weighted layers")
    assert "21,797,672 parameters, 3,663,761,408 multiply-adds" in header
    assert "24.52%" in header
    assert "differs" in header
    rows = [" ".join(line.split()) for line in table.splitlines()]
    assert "conv conv 7x7 / 2 64x112x112 9,536 118 M 7" in rows
    assert "block1.shortcut conv 1x1 / 2 128x28x28 8,448 6.42 M 59" in rows
    assert "stage4 13,114,368 642 M" in rows
    assert max(map(len, table.splitlines())) < 80
    assert "receptive field" in err


def test_show_json_of_a_changed_network(capsys):
    words = ["show", "resnet18", "--stem", "small", "--img-size", "32", "--num-classes", "10"]
    assert main([*words, "--in-chans", "1", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["params"] == 11_173_962 - 2 * 9 * 64
    assert shown["img_size"] == shown["spec"]["img_size"] == 32
    assert shown["spec"]["in_chans"] == 1
    assert sum(layer["macs"] for layer in shown["layers"]) == shown["macs"]
    assert any("stem" in text for text in shown["deviations"])
    assert list(shown["layers"][0]) == [
        *("name", "kind", "output_shape", "params", "macs", "receptive_field", "stride")
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["resnett50"], "did you mean 'resnet50'?"),
        (["resnet50", "--img-size", "16"], "at least 32x32 pixels, received 16x16"),
        (["resnet50", "--stem", "tiny"], "tiny"),
        (["resnet50", "--num-classes", "-3"], "num_classes must be 0 or more"),
        (["resnet50", "--in-chans", "0"], "in_chans must be 1 or more"),
    ],
)
def test_show_that_cannot_be(capsys, words, message):
    assert main(["show", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


def test_short_counts():
    texts = [short(n) for n in (640, 92_160, 269_722, 25_557_032, 252_887_680, 3_857_973_248)]
    assert texts == ["640", "92,160", "0.27 M", "25.56 M", "253 M", "3.86 G"]

"""Flags of `reslab study` that belong to another of its actions."""

import pytest

from reslab.cli.main import main


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["report", "degradation", "--seeds", "2"], "--seeds belongs to reslab study plan and run"),
        (["report", "degradation", "--jobs", "0"], "--jobs belongs to reslab study plan and run"),
        (["report", "degradation", "--retry"], "--retry belongs to reslab study run, not report"),
        (["report", "degradation", "--device", "auto"], "not report"),
        (["plan", "degradation", "--out", "x"], "--out belongs to reslab study run and report"),
        (["plan", "degradation", "--retry"], "--retry belongs to reslab study run, not plan"),
        (["report", "degradation", "--columns", "label=x"], "--columns belongs to reslab study"),
        (["plan", "degradation", "--root", "x"], "--merge-similar-classes are about --data"),
        (["list", "--scale", "tiny"], "--scale belongs to reslab study plan and run and report"),
        (["list", "degradation"], "unrecognized arguments: degradation"),
    ],
)
def test_a_flag_of_another_action_is_refused(words, said, capsys):
    assert main(["study", *words]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert not printed.out


def test_the_flags_of_an_action_are_taken(capsys, tmp_path):
    assert main(["study", "list", "--json", "--quiet"]) == 0
    words = ["study", "report", "degradation", "--scale", "small", "--data", "digits"]
    assert main([*words, "--out", str(tmp_path)]) != 2

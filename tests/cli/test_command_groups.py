"""Commands of a command, `reslab weights import`: their help, their errors, older spellings."""

from __future__ import annotations

import argparse
import json

import pytest

from reslab.cli.arguments import Parser
from reslab.cli.main import VERBS, actions_of, build_parser, build_parsers, main

GROUPS = {
    "weights": ("import", "export", "push", "pull"),
    "study": ("list", "plan", "run", "report"),
}
ACTIONS = [(group, name) for group, names in GROUPS.items() for name in names]


def test_the_groups_are_these():
    assert {verb: tuple(actions_of(verb)) for verb in VERBS if actions_of(verb)} == GROUPS


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_a_group_alone_prints_its_help(group, words, capsys):
    try:
        code = main([group, *words])
    except SystemExit as leaving:
        code = leaving.code
    assert code == 0
    shown = capsys.readouterr()
    assert not shown.err
    assert shown.out.startswith(f"usage: reslab {group} COMMAND")
    for name in GROUPS[group]:
        assert f"\n  {name} " in shown.out


@pytest.mark.parametrize(("group", "name"), ACTIONS)
def test_a_command_of_a_group_has_a_help_of_its_own(group, name, capsys):
    with pytest.raises(SystemExit) as leaving:
        main([group, name, "--help"])
    assert leaving.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: reslab {group} {name} ")
    own = build_parsers(group)[name]
    for other, parser in build_parsers(group).items():
        for flag in parser.arguments.options():
            if other != name and flag not in own.arguments.options():
                assert flag not in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["weights", "imprt", "x"], "did you mean 'import'?"),
        (["weights", "fetch", "x"], "known: import, export, push, pull"),
        (["study", "rn"], "did you mean 'run'?"),
        (["study", "degradation"], "known: list, plan, run, report"),
        (["study", "--json"], "no command named"),
        (["weights", "import"], "required: FILE; see 'reslab weights import --help'"),
        (["weights", "push", "m"], "required: REPO; see 'reslab weights push --help'"),
        (["study", "run"], "required: NAME; see 'reslab study run --help'"),
        (["study", "run", "x", "--seed", "3"], "did you mean '--seeds'?"),
        (["weights", "pull", "a/b", "--key=x"], "--key belongs to reslab weights import, not pull"),
    ],
)
def test_a_wrong_use_of_a_group_is_one_line(words, said, capsys):
    assert main(words) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.err.count("\n") == 1
    assert not shown.out


@pytest.mark.parametrize(
    "words",
    [
        ["run", "degradation", "--scale", "small", "--out", "run", "--json"],
        ["--scale", "small", "run", "degradation", "--out", "run", "--json"],
        ["--json", "--out", "run", "run", "--scale=small", "degradation"],
        ["run", "--json", "-o", "run", "degradation", "--scale", "small"],
    ],
)
def test_flags_may_stand_anywhere_as_before(words, monkeypatch):
    from reslab.cli import study

    seen: list[argparse.Namespace] = []
    kept = study.ACTIONS["run"]._replace(run=lambda args: seen.append(args) or 0)
    monkeypatch.setitem(study.ACTIONS, "run", kept)
    assert main(["study", *words]) == 0
    args = seen[0]
    assert (args.name, args.scale, str(args.out), args.json) == (
        "degradation",
        "small",
        "run",
        True,
    )


def test_an_action_of_a_group_runs(capsys):
    assert main(["study", "list", "--json"]) == 0
    assert "degradation" in {study["name"] for study in json.loads(capsys.readouterr().out)}


def every_parser() -> list[Parser]:
    alone = [build_parser(verb) for verb in VERBS if not actions_of(verb)]
    return alone + [parser for group in GROUPS for parser in build_parsers(group).values()]


def test_out_is_o_wherever_it_is():
    found = 0
    for parser in every_parser():
        for action in parser.arguments.actions:
            if "--out" in action.option_strings:
                assert "-o" in action.option_strings, parser.prog
                found += 1
    assert found >= 9

"""Older names of settings and flags are read everywhere, mean the same, and are shown nowhere."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from other_values import COMPANIONS, SETTINGS, as_text, other_value
from reslab import api, networks
from reslab.aliases import OLD_NAMES, current_config, current_names
from reslab.cli import completion, plan, train
from reslab.cli.arguments import Arguments, Parser
from reslab.cli.main import VERBS, actions_of, build_parser, build_parsers
from reslab.cli.options import fill_from_environment
from reslab.data.augment import Augment
from reslab.errors import UsageError
from reslab.runs.config import Config
from reslab.training import recipe as recipes
from reslab.training.config import Request
from reslab.training.keywords import overrides_of
from reslab.training.recipe import Recipe, override

OF_A_RECIPE = {old: new for old, new in OLD_NAMES.items() if new in SETTINGS}
OF_A_REQUEST = {"test": "test_fraction", "skip_bad": "skip_corrupt"}


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def every_parser() -> list[Parser]:
    alone = [build_parser(verb) for verb in VERBS if not actions_of(verb)]
    return alone + [p for verb in VERBS for p in build_parsers(verb).values()]


def test_every_old_name_leads_to_one_that_is_used_and_is_none_itself():
    flags = {name for parser in every_parser() for name in parser.arguments.options()}
    assert set(map(flag, OLD_NAMES)) | set(map(flag, OLD_NAMES.values())) <= flags
    fields = {field.name for cls in (Recipe, Augment, Request) for field in dataclasses.fields(cls)}
    assert not fields & set(OLD_NAMES)
    assert not set(OLD_NAMES) & set(OLD_NAMES.values())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (["train", "d", "--test", "0.3"], ["train", "d", "--test-fraction", "0.3"]),
        (["train", "d", "--skip-bad"], ["train", "d", "--skip-corrupt"]),
        (["train", "d", "--no-zero-last-scale"], ["train", "d", "--no-zero-init-residual"]),
        (["eval", "m", "d", "--views", "10-crop"], ["eval", "m", "d", "--tta", "10-crop"]),
        (["eval", "m", "d", "--views=centre"], ["eval", "m", "d", "--tta", "center"]),
        (["eval", "m", "d", "--skip-bad"], ["eval", "m", "d", "--skip-corrupt"]),
        (["predict", "m", "--measure"], ["predict", "m", "--benchmark"]),
        (["look", "m", "--against", "n"], ["look", "m", "--compare-to", "n"]),
        (["plan", "d", "--fresh"], ["plan", "d", "--no-cache"]),
        (["plan", "d", "--sched", "step"], ["plan", "d", "--schedule", "step"]),
        (["shapes", "d", "--grey"], ["shapes", "d", "--grayscale"]),
        (
            ["weights", "push", "m", "a/b", "--licence", "mit"],
            ["weights", "push", "m", "a/b", "--license", "mit"],
        ),
    ],
)
def test_an_old_flag_says_the_same(old, new):
    def parsed(words: list[str]) -> dict[str, object]:
        verb, *rest = words
        parser = build_parsers(verb)[rest.pop(0)] if actions_of(verb) else build_parser(verb)
        parser.check_flags(rest)
        return vars(parser.parse_intermixed_args(rest))

    plain = new[: next(i for i, word in enumerate(new) if word.startswith("--"))]
    assert parsed(old) == parsed(new)
    assert parsed(new) != parsed(plain) or "center" in new


@pytest.mark.parametrize("old", OF_A_RECIPE)
def test_an_old_name_of_a_recipe_sets_the_same_everywhere(old, monkeypatch, tmp_path):
    new = OF_A_RECIPE[old]
    value = other_value(SETTINGS[new])
    words = [flag(old)] if value is True else [flag(old), as_text(value)]
    asked = []
    monkeypatch.setattr(api, "train_request", lambda request, _: asked.append(request))

    def given(*words: str) -> dict[str, object]:
        with pytest.raises(AttributeError):  # there is no result: nothing was trained
            train.run(build_parser("train").parse_intermixed_args([*words, "digits", "--quiet"]))
        return asked[-1].overrides

    assert given(*words) == {new: value}
    file = tmp_path / "flags.toml"
    file.write_text(f"{old} = {json.dumps(value)}\n")
    assert given("--config", str(file)) == {new: value}
    monkeypatch.setenv("RESLAB_" + old.upper(), as_text(value).lower())
    assert given() == {new: value}
    assert overrides_of({old: value}, None, function="f", arguments=()) == {new: value}
    assert Request(data="d", overrides={old: value}).overrides == {new: value}
    more = COMPANIONS.get(new, {})
    wanted = override(Recipe(name="x"), {new: value, **more})
    assert override(Recipe(name="x"), {old: value, **more}) == wanted
    if new in {field.name for field in dataclasses.fields(Augment)}:
        assert Augment(**{old: value}) == wanted.augment
    else:
        assert Recipe(name="x", **{old: value}, **more) == wanted


def test_a_config_of_an_older_run_is_read():
    recipe = Recipe(
        name="x", label_smoothing=0.1, clip_grad_norm=2, zero_init_residual=True,
        normalization="pixel-mean", progressive_size=6, progressive_share=0.5,
        augment=Augment(color_jitter=0.2, pca_color=0.1, random_erasing=0.25),
    )  # fmt: skip
    config = Config(
        request=Request(data="d", skip_corrupt=True, overrides={"label_smoothing": 0.1}),
        spec=networks.entry("resnet20").spec, recipe=recipe, choices=(), dataset={},
        preprocess={}, cost={}, environment={},
    )  # fmt: skip
    written = json.dumps(config.to_json())
    for old, new in {**OF_A_RECIPE, "skip_bad": "skip_corrupt"}.items():
        if old not in ("opt", "sched", "val"):  # these were names of flags alone
            assert f'"{new}"' in written
            written = written.replace(f'"{new}"', f'"{old}"')
    older = json.loads(written)
    assert Config.from_json(older) == config
    assert recipes.from_json(older["recipe"]) == recipe
    assert current_config(older)["recipe"] == json.loads(json.dumps(recipes.to_json(recipe)))


@pytest.mark.parametrize("damaged", [{}, {"recipe": None}, {"recipe": {"augment": 3}, "x": 1}])
def test_a_damaged_config_stays_as_it_is(damaged):
    assert current_config(damaged) == damaged


def test_two_names_with_two_values_are_refused():
    assert current_names({"clip": 1, "clip_grad_norm": 1}) == {"clip_grad_norm": 1}
    with pytest.raises(UsageError, match="clip is 1 and clip_grad_norm is 2"):
        current_names({"clip": 1, "clip_grad_norm": 2})


def test_old_names_are_shown_nowhere():
    for parser in every_parser():
        text = parser.format_help()
        own = {option for action in parser.arguments.actions for option in action.option_strings}
        for old in map(flag, OLD_NAMES):
            assert old not in own
            assert f"{old} " not in text.replace(",", " ").replace("\n", " "), (parser.prog, old)
    offered = {name for c in completion.commands() for f in c.flags for name in f.names}
    assert not offered & set(map(flag, OLD_NAMES))
    assert flag("label_smoothing") in offered


def test_docs_use_the_names_of_today():
    # CHANGELOG.md tells of the past.
    for page in (Path(__file__).parents[1] / "docs").glob("*.md"):
        words = page.read_text("utf-8").replace("`", " ").replace("[", " ").split()
        found = set(map(flag, OLD_NAMES)) & set(words)
        assert not found, page


def test_arguments_of_a_command_are_listed_without_parsing():
    names = Arguments.of(train.add_arguments).names()
    assert names["smoothing"].dest == names["label-smoothing"].dest == "label_smoothing"
    assert "no-flip" not in names
    assert "no-cache" in Arguments.of(plan.add_arguments).names()


@pytest.mark.parametrize(
    ("value", "old", "new"),
    [
        (Recipe(name="r", smoothing=0.1), "smoothing", "label_smoothing"),
        (Augment(jitter=0.2), "jitter", "color_jitter"),
        (Request(data="d", skip_bad=True), "skip_bad", "skip_corrupt"),
    ],
)
def test_old_names_read_and_replace(value, old, new):
    assert getattr(value, old) == getattr(value, new)
    other = {"smoothing": 0.3, "jitter": 0.4, "skip_bad": False}[old]
    assert getattr(dataclasses.replace(value, **{old: other}), new) == other
    assert getattr(dataclasses.replace(value, **{new: other}), new) == other


@pytest.mark.parametrize(
    ("verb", "typed", "proposed"),
    [
        ("train", "--smothing", "--label-smoothing"),
        ("train", "--jiter", "--color-jitter"),
        ("train", "--zero-last", "--zero-init-residual"),
        ("train", "--no-skip-bd", "--no-skip-corrupt"),
        ("predict", "--mesure", "--benchmark"),
        ("plan", "--frsh", "--no-cache"),
    ],
)
def test_a_near_miss_of_an_old_flag_leads_to_the_one_of_today(verb, typed, proposed):
    with pytest.raises(UsageError) as caught:
        build_parser(verb).check_flags([typed])
    assert f"did you mean '{proposed.replace('no-skip', 'skip')}'?" in str(caught.value.remedy)


def test_a_misspelled_field_is_told_what_it_is_called_today():
    with pytest.raises(UsageError) as caught:
        override(Recipe(name="r"), {"erse": 0.3})
    assert caught.value.remedy == "did you mean 'random_erasing'?"
    with pytest.raises(UsageError, match="no argument 'views'"):
        overrides_of({"views": 1}, None, function="train", arguments=[])


def fill(*words: str) -> None:
    args = build_parser("train").parse_args(["d", *words])
    fill_from_environment(Arguments.of(train.add_arguments), args)


def test_two_names_with_two_values_are_refused_wherever_they_are_written(monkeypatch, tmp_path):
    file = tmp_path / "both.toml"
    file.write_text("smoothing = 0.1\nlabel_smoothing = 0.2\n")
    with pytest.raises(UsageError, match="two names of one setting"):
        fill("--config", str(file))
    monkeypatch.setenv("RESLAB_SMOOTHING", "0.1")
    monkeypatch.setenv("RESLAB_LABEL_SMOOTHING", "0.2")
    with pytest.raises(UsageError, match="two names of one setting"):
        fill()
    damaged = {"recipe": {"smoothing": 1, "label_smoothing": 2}}
    assert current_config(damaged) == damaged

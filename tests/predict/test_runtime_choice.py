"""Which runtime is taken: the one that is done first, and only with torch's answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import pytest
import torch
from torch import Tensor

from reslab.durable.cache import cache_folder
from reslab.errors import MachineError
from reslab.networks import replace
from reslab.networks.network import Network, build
from reslab.networks.resnet import ResNetSpec, StageSpec, StemSpec
from reslab.predict.runtimes import (
    RUNTIMES,
    Auto,
    Candidate,
    Runtime,
    RuntimeKind,
    choose,
    remember,
    survey,
)
from reslab.predict.runtimes.agreement import agreement, close_calls, close_margin, same_labels
from reslab.predict.runtimes.eager import reference
from tolerance import assert_same

CPU = torch.device("cpu")
Change = Callable[[Tensor], Tensor]


@pytest.fixture(autouse=True)
def own_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESLAB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    spec = ResNetSpec(
        name="small",
        num_classes=6,
        img_size=8,
        stem=StemSpec(width=4, kernel=3, stride=1, max_pool=False),
        stages=(StageSpec(width=4, depth=1, stride=1),),
    )
    made = build(spec).eval()
    with torch.no_grad():
        made.get_classifier().weight.mul_(30)  # type: ignore[operator, union-attr]
    return made


@pytest.fixture
def only_kinds(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Replace the kinds by some that compute what torch does, changed; return those built."""

    def use(**kinds: tuple[Change, float, dict[str, float]]) -> list[str]:
        built: list[str] = []

        def kind(
            name: str, change: Change, startup_s: float, speed: dict[str, float]
        ) -> RuntimeKind:
            def make(net: Network, shape: object, precision: str, device: object) -> Change:
                built.append(f"{name} {precision}")

                def compute(images: Tensor) -> Tensor:
                    with torch.inference_mode():
                        return change(net(images))

                return compute

            return RuntimeKind(name, make, startup_s, speed)

        made = {name: kind(name, *known) for name, known in kinds.items()}
        monkeypatch.setattr(RUNTIMES, "_values", made)
        return built

    return use


def unchanged(logits: Tensor) -> Tensor:
    return logits


def auto(network: Network, **settings: object) -> tuple[Auto, list[str]]:
    said: list[str] = []
    settings = {"precision": "fp32", "notify": said.append, **settings}
    return Auto(network, 1.0, device=CPU, **settings), said  # type: ignore[arg-type]


def images(count: int = 16) -> Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("training", [True, False])
def test_the_network_stays_as_it_is(
    network: Network, only_kinds: Callable[..., list[str]], training: bool
):
    only_kinds()
    with torch.inference_mode():
        wanted = network(images())
    network.train(training)
    chosen, _ = auto(network)
    assert_same(network, chosen(images()), wanted)
    assert all(module.training == training for module in network.modules())

    network.train()  # nor does what becomes of it later change the answers
    with torch.no_grad():
        network.get_classifier().weight.zero_()  # type: ignore[operator, union-attr]
    assert_same(network, chosen(images()), wanted)


def test_the_network_stays_on_its_device(network: Network):
    reference(network, torch.device("meta"))
    assert {value.device for value in network.state_dict().values()} == {CPU}


def test_few_images_are_computed_at_once(network: Network, only_kinds: Callable[..., list[str]]):
    built = only_kinds(quick=(unchanged, 3600.0, {"fp32": 100.0}))
    chosen, said = auto(network)
    chosen.expect(32)
    with torch.inference_mode():
        wanted = network(images())
    for _ in range(2):
        assert_same(network, chosen(images()), wanted)
    assert (built, said) == ([], [])


def test_many_images_are_worth_a_startup(network: Network, only_kinds: Callable[..., list[str]]):
    built = only_kinds(
        quick=(unchanged, 10.0, {"fp32": 3.0}),
        late=(unchanged, 1e9, {"fp32": 1000.0}),
    )
    chosen, said = auto(network)
    chosen.expect(10**9)
    wanted = chosen(images())
    assert built == ["quick fp32"]
    (quick, late) = chosen.candidates
    assert quick.measured
    assert not late.measured
    assert quick.startup_s < 10.0
    # It is torch itself: what it was measured to be worth decides, not what was promised.
    assert bool(said) == (quick.speed > 1.0)
    assert_same(network, chosen(images()), wanted)


def test_without_a_count_the_past_is_the_guess(
    network: Network, only_kinds: Callable[..., list[str]]
):
    built = only_kinds(quick=(unchanged, 1e-7, {"fp32": 2.0}))
    chosen, _ = auto(network)
    chosen.expect(None)
    chosen(images())
    assert built == ["quick fp32"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda logits: logits.roll(1, 1), "16 of 16 images get another label"),
        (lambda logits: logits * 1.1, "a probability differs"),
        (lambda logits: logits * torch.nan, "label|differs"),
    ],
)
def test_other_answers_are_never_taken(
    network: Network, only_kinds: Callable[..., list[str]], change: Change, why: str
):
    built = only_kinds(wrong=(change, 0.0, {"fp32": 1e6}))
    chosen, said = auto(network)
    chosen.expect(10**9)
    for _ in range(2):
        with torch.inference_mode():
            assert_same(network, chosen(images()), network(images()))
    assert built == ["wrong fp32"], "once is enough"
    assert said == []
    (candidate,) = chosen.candidates
    assert candidate.runtime is None
    assert re.search(why, candidate.problem)


def test_what_cannot_be_built_is_left_out(network: Network, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object) -> Change:
        raise RuntimeError("no such operator\nsecond line")

    monkeypatch.setattr(
        RUNTIMES, "_values", {"broken": RuntimeKind("broken", broken, 0.0, {"fp32": 9.0})}
    )
    chosen, _ = auto(network)
    chosen.expect(10**9)
    chosen(images())
    assert "no such operator second line" in chosen.candidates[0].problem
    named, _ = auto(network, only="broken")
    named.expect(1)
    with pytest.raises(MachineError, match="no such operator"):
        named(images())


def test_a_name_is_used_whatever_it_costs(network: Network, only_kinds: Callable[..., list[str]]):
    built = only_kinds(
        slow=(unchanged, 1e9, {"fp32": 0.01}), quick=(unchanged, 0.0, {"fp32": 100.0})
    )
    chosen, said = auto(network, only="slow")
    chosen.expect(16)
    chosen(images())
    assert built == ["slow fp32"]
    assert said[0].startswith("runtime slow fp32, ")


def test_the_second_time_nothing_is_measured(
    network: Network, only_kinds: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
):
    only_kinds(quick=(unchanged, 0.0, {"fp32": 50.0}))
    first, _ = auto(network, only="quick")
    first.expect(16)
    first(images())
    speed = first.candidates[0].speed
    torch.nn.init.normal_(network.get_classifier().weight)  # type: ignore[arg-type, union-attr]
    second, _ = auto(network, only="quick")
    second.expect(16)
    second(images())
    assert second.candidates[0].measured
    assert second.candidates[0].speed == speed, "weights do not count"
    assert second.candidates[0].agreement is not None, "answers are compared every time"


def test_what_is_remembered_belongs_to_network_batch_and_machine(
    network: Network, monkeypatch: pytest.MonkeyPatch
):
    key = remember.key_of(network, (16, 3, 8, 8), CPU)
    remember.keep(key, {"eager fp32": (0.5, 2.0)})
    remember.keep(key, {"compiled fp32": (40.0, 3.0)})
    assert remember.recall(key) == {"eager fp32": (0.5, 2.0), "compiled fp32": (40.0, 3.0)}
    other = build(replace(network.spec, num_classes=7))
    assert remember.key_of(other, (16, 3, 8, 8), CPU) != key
    assert remember.key_of(network, (1, 3, 8, 8), CPU) != key
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        assert remember.key_of(network, (16, 3, 8, 8), CPU) != key
    finally:
        torch.set_num_threads(threads)
    assert remember.key_of(network, (16, 3, 8, 8), CPU) == key


@pytest.mark.parametrize("text", ["", "[1, 2]", '{"eager fp32": 3}', '{"eager fp32": "ab"}'])
def test_a_damaged_memory_is_no_memory(network: Network, text: str):
    key = remember.key_of(network, (16, 3, 8, 8), CPU)
    remember.keep(key, {"eager fp32": (0.5, 2.0)})
    (cache_folder(remember.KIND) / f"{key}.json").write_text(text)
    assert remember.recall(key) == {}
    remember.keep(key, {"eager fp32": (0.5, 2.0)})
    assert remember.recall(key) == {"eager fp32": (0.5, 2.0)}


def test_a_memory_that_cannot_be_written_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: Network
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RESLAB_CACHE", str(tmp_path / "file"))
    remember.keep("0", {"eager fp32": (0.5, 2.0)})
    assert remember.recall("0") == {}


def test_expected_time_counts_the_startup_once():
    candidate = Candidate("quick", "fp32", startup_s=10.0, speed=4.0)
    assert candidate.seconds_for(100, 0.2) == 10 + 100 * 0.2 / 4
    candidate.runtime = Runtime("quick", "fp32", unchanged)
    assert candidate.seconds_for(100, 0.2) == 100 * 0.2 / 4


@hypothesis.given(
    wanted=st.lists(
        st.lists(st.floats(-5, 5, width=32), min_size=3, max_size=3), min_size=1, max_size=6
    ),
    seed=st.integers(0, 2**32),
    error=st.floats(0, 2),
)
def test_labels_are_those_of_float32(wanted: list[list[float]], seed: int, error: float):
    """Wherever the shorter type errs no more than it was seen to, the label is the right one."""
    exact = torch.tensor(wanted)
    noise = (torch.rand(exact.shape, generator=torch.Generator().manual_seed(seed)) - 0.5) * error
    short = Runtime("short", "bf16", lambda rows: exact[rows] + noise[rows])
    full = Runtime("full", "fp32", lambda rows: exact[rows])
    rows = torch.arange(len(exact))
    guarded = same_labels(short, full, close_margin(short(rows), exact))
    found = guarded(rows)
    assert agreement(found, exact, 1.0).changed == 0
    sure = ~close_calls(short(rows), close_margin(short(rows), exact))
    assert torch.equal(found[sure], short(rows)[sure]), "the others stay as they were"


def test_bf16_that_errs_between_two_classes_is_decided_by_float32(
    network: Network, only_kinds: Callable[..., list[str]]
):
    only_kinds(
        short=(lambda logits: logits.bfloat16().float(), 0.0, {"fp32": 1.0, "bf16": 1e6}),
    )
    chosen, _ = auto(network, precision="bf16")
    chosen.expect(10**9)
    with torch.inference_mode():
        wanted = network(images())
    assert torch.equal(chosen(images()).argmax(1), wanted.argmax(1))
    (short,) = chosen.candidates
    assert short.problem == ""
    assert 0 <= short.redone < 1
    assert short.agreement is not None
    assert short.agreement.changed == 0
    assert short.agreement.difference < 0.03


def test_close_calls_and_ties():
    logits = torch.tensor([[3.0, 1.0, 2.5], [3.0, 1.0, 0.0], [torch.nan, 1.0, 0.0]])
    assert close_calls(logits, 0.5).tolist() == [True, False, True]
    assert close_calls(torch.zeros(2, 1), 0.5).tolist() == [False, False]
    tie = torch.tensor([[1.0, 1.0, 0.0]])
    assert agreement(torch.tensor([[1.0, 1.1, 0.0]]), tie, 10.0).changed == 0
    assert agreement(torch.tensor([[1.0, 1.0, 1.1]]), tie, 10.0).changed == 1


def test_temperature_belongs_to_the_comparison():
    wanted, found = torch.tensor([[2.0, 1.0]]), torch.tensor([[2.2, 1.0]])
    hot, cold = (agreement(found, wanted, t).difference for t in (100.0, 1.0))
    assert hot < 1e-3 < cold


def test_a_survey_tries_all_and_keeps_the_fastest(
    network: Network, only_kinds: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(choose, "MEASURE_S", 0.0)
    built = only_kinds(
        quick=(unchanged, 1e9, {"fp32": 1.0}), wrong=(lambda x: -x, 0.0, {"fp32": 1.0})
    )
    rows = survey(network, 1.0, images(), device=CPU, precision="fp32")
    assert built == ["quick fp32", "wrong fp32"]
    assert [row.name for row in rows] == ["torch", "quick", "wrong"]
    assert [row.changed for row in rows] == [0, 0, 16]
    assert all(row.images_per_s is not None and row.images_per_s > 0 for row in rows)
    assert "another label" in rows[2].remark
    assert set(remember.recall(remember.key_of(network, (16, 3, 8, 8), CPU))) == {
        "quick fp32",
        "wrong fp32",
    }

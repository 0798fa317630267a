"""Studies of a few steps, run for real: kept, resumed, refused, and killed."""

from __future__ import annotations

import contextlib
import functools
import json
import queue
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from reslab import artifact
from reslab.child import ChildEnded
from reslab.cli.main import main
from reslab.errors import MachineError, UsageError
from reslab.runs.directory import RunDirectory
from reslab.study.expansion import Setting, expand
from reslab.study.folder import StudyFolder
from reslab.study.load import load_study
from reslab.study.results import StudyResults
from reslab.study.worker import RunEvents, execute
from reslab.study.worker_pool import WorkerPool, processes

DOCS = Path(__file__).parents[2] / "docs" / "studies.md"
SOURCE = """
from reslab import networks, networks
from reslab.study import After, Arm, Ordered, Scale, Study

net = networks.entry("resnet20").spec
thin = networks.replace(net, name="thin", stages=net.stages[:1])


def count(runs):
    return {"members": len(runs), "seeds": [run.seed for run in runs]}


STUDY = Study(
    name="question",
    title="A question",
    question="Is it so?",
    source="nobody",
    scales={"tiny": Scale(
        data="digits",
        overrides={"steps": STEPS, "flip": False, "pad_crop": 1},
        arms=(
            Arm(name="thin", group="g", x=8, model=thin, measure=count),
            Arm(name="again", group="g", model="thin", after=After("thin", "start")),
            Arm(name="wild", group="g", model=thin, overrides={"lr": 1e12, "steps": 20}),
            Arm(name="lost", group="g", model=thin, overrides={"freeze": 99}),
            Arm(name="after-lost", group="g", model="thin", after=After("lost", "start")),
            Arm(name="together", group="g", combines="thin", measure=count),
        ),
        seeds=2,
    )},
    expectations=(Ordered(sentence="Training on helps.", better="again", worse="thin"),),
)
"""


class Nobody:
    """A parent that does not listen."""

    def send(self, value: Any) -> None:
        """Drop a value."""


@pytest.fixture
def question(tmp_path: Path) -> Path:
    path = tmp_path / "question.py"
    path.write_text(SOURCE.replace("STEPS", "4"))
    return path


def errors_of(results: StudyResults) -> list[Any]:
    """Return the table that a study is about, without times."""
    return [
        (o.arm, o.seed, o.status, o.error, {k: v for k, v in o.metrics.items() if "_s" not in k})
        for o in results.outcomes
    ]


def test_one_run_from_nothing_to_its_numbers(question, tmp_path):
    study, setting = load_study(str(question)), Setting(seeds=1)
    plan = {run.arm.name: run for run in expand(study, setting)}
    folder = StudyFolder(tmp_path / "study")
    folder.claim(study, setting)

    def work(arm: str, *, retry: bool = False) -> Any:
        return execute(plan[arm], folder, RunEvents(Nobody(), plan[arm].id), retry=retry)

    thin, again = work("thin"), work("again")
    assert (thin.status, thin.run_dir) == ("finished", "thin/seed-0")
    assert thin.metrics["members"] == 1
    assert thin.series == {"seeds": [0.0]}
    assert thin.metrics["train_images_measured"] == 1438
    assert len(thin.rows) == 1
    assert thin.recipe["steps"] == 4
    assert again.metrics["train_loss"] < thin.metrics["train_loss"]
    test_pct = json.loads((folder.path / "thin/seed-0/evaluation/test.json").read_text())
    assert thin.metrics["test_error_pct"] == pytest.approx(100 - test_pct["accuracy_pct"])
    assert artifact.load(folder.path / "thin/seed-0").network.spec.name == "thin"
    assert (folder.path / "thin/seed-0/report.html").is_file()

    wild, lost = work("wild"), work("lost")
    assert (wild.status, wild.metrics) == ("diverged", {})
    assert "no longer finite" in wild.error
    assert lost.status == "failed"
    assert "freeze must be -1 to" in lost.error
    assert work("together").series == {"seeds": [0.0]}

    # With another seed to come the same arm has more runs to put together.
    wider = {run.id: run for run in expand(study, Setting(seeds=2))}
    assert folder.stage(plan["together"]) == "done"
    assert folder.stage(wider["together/seed-0"]) == "measure"

    # What is done is not done again; a run whose outcome was lost is only measured again.
    before = (folder.path / "thin/seed-0/config.json").stat().st_mtime_ns
    assert work("thin") == thin
    folder.outcome_file("thin/seed-0").unlink()
    assert folder.stage(plan["thin"]) == "measure"
    assert work("thin") == thin
    assert (folder.path / "thin/seed-0/config.json").stat().st_mtime_ns == before
    assert folder.stage(plan["lost"]) == "failed"
    assert folder.stage(plan["lost"], retry=True) == "new"


def test_training_error_is_that_of_the_finished_network_without_augmentation(question, tmp_path):
    """Against the command that evaluates any model on any split."""
    study, setting = load_study(str(question)), Setting(seeds=1)
    run, folder = expand(study, setting)[0], StudyFolder(tmp_path / "study")
    outcome = execute(run, folder, RunEvents(Nobody(), run.id), retry=False)
    out = tmp_path / "eval.json"
    with open(out, "w") as file, contextlib.redirect_stdout(file):
        model = str(folder.path / run.id)
        assert main(["eval", model, "digits", "--split", "train", "--json"]) == 0
    found = re.search(r'"accuracy_pct": ([\d.]+)', out.read_text())
    assert found is not None
    assert outcome.metrics["train_error_pct"] == pytest.approx(100 - float(found[1]))


def test_a_folder_keeps_to_one_study(question, tmp_path):
    study, folder = load_study(str(question)), StudyFolder(tmp_path / "study")
    folder.claim(study, Setting())
    folder.claim(study, Setting(seeds=5))  # more seeds are welcome
    with pytest.raises(UsageError, match="holds another study: data digits -> fashion-mnist"):
        folder.claim(study, Setting(data="fashion-mnist"))
    killed = StudyFolder(tmp_path / "killed")  # during its first write
    killed.path.mkdir()
    (killed.path / ".study.json.0123abcd.partial").touch()
    killed.claim(study, Setting())
    killed.recover(expand(study, Setting()))
    assert [path.name for path in killed.path.iterdir()] == ["study.json"]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(UsageError, match="is not empty and no study's"):
        StudyFolder(tmp_path / "other").claim(study, Setting())


def test_a_run_with_other_settings_is_not_taken_for_the_same(question, tmp_path):
    run, folder = expand(load_study(str(question)), Setting())[0], StudyFolder(tmp_path / "study")
    execute(run, folder, RunEvents(Nobody(), run.id), retry=False)
    question.write_text(SOURCE.replace("STEPS", "5"))
    changed = expand(load_study(str(question)), Setting())[0]
    with pytest.raises(UsageError, match=r"other settings: overrides .*4.* -> .*5"):
        folder.stage(changed)


def test_a_run_that_never_got_to_its_configuration_begins_anew(question, tmp_path):
    run, folder = expand(load_study(str(question)), Setting())[0], StudyFolder(tmp_path / "study")
    (folder.path / run.id).mkdir(parents=True)
    (folder.path / run.id / "check.json").write_text("{}")
    assert folder.stage(run) == "new"
    folder.clear(run)
    assert not (folder.path / run.id).exists()


def next_event(pool: WorkerPool) -> Any:
    received = None
    while received is None:
        received = pool.recv()
    return received


def test_a_worker_that_is_killed_is_heard_of(question, tmp_path):
    setup = {"study": "nowhere.py", "setting": {}, "folder": str(tmp_path), "retry": False}
    run = expand(load_study(str(question)), Setting())[0]
    with WorkerPool(setup, 1, processes(tmp_path, 1)) as pool:
        pool.submit(run)
        assert not pool.has_room
        pool._workers[0].executor.process.kill()
        assert next_event(pool) == (
            run,
            {"event": "gone", "why": "its process was ended by SIGKILL (too little memory?)"},
        )
        assert pool.has_room


class Elsewhere:
    """A worker that is no process of this machine: it says that a run is done, or is gone."""

    def __init__(self, number: int) -> None:
        self.number, self.sent, self.ended = number, [], False
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def send(self, value: Any) -> None:
        self.sent.append(value)
        self._inbox.put(value)

    def recv(self) -> dict[str, Any]:
        name = self._inbox.get()
        if name is None or str(name).startswith("wild"):
            raise ChildEnded("the node was taken away", exit_code=1)
        return {"event": "done", "run": name} if isinstance(name, str) else self.recv()

    def stop(self) -> None:
        """Ignore it."""

    def end(self, *, within_s: float) -> None:
        self.ended = True

    def exit_reason(self) -> str:
        return "the node was taken away"


def test_a_worker_need_be_no_process(question):
    plan = {run.id: run for run in expand(load_study(str(question)), Setting(seeds=1))}
    started: list[Elsewhere] = []

    def start(number: int) -> Elsewhere:
        started.append(Elsewhere(number))
        return started[-1]

    with WorkerPool({"study": "q"}, 1, start) as pool:
        for name, event in (
            ("thin/seed-0", {"event": "done", "run": "thin/seed-0"}),
            ("wild/seed-0", {"event": "gone", "why": "the node was taken away"}),
            ("lost/seed-0", {"event": "done", "run": "lost/seed-0"}),
        ):
            pool.submit(plan[name])
            assert next_event(pool) == (plan[name], event)
    first, second = started  # one worker did two runs and died, another the last one
    assert first.sent == [{"study": "q"}, "thin/seed-0", "wild/seed-0", None]
    assert second.sent == [{"study": "q"}, "lost/seed-0", None]
    assert first.ended
    assert second.ended


def start(question: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    words = ["study", "run", str(question), "--out", str(out), "--jobs", "2", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "reslab", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition: Any, process: subprocess.Popen[str]) -> None:
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def under_way(out: Path, began: float, least_finished: int = 0) -> bool:
    """Tell whether a run is in progress since `began`, and so many are finished."""
    paths = list(out.glob("*/seed-*/status.json"))
    found = {path: json.loads(path.read_text())["state"] for path in paths}
    running = any(s == "running" and p.stat().st_mtime > began for p, s in found.items())
    return running and list(found.values()).count("finished") >= least_finished


@pytest.mark.slow
def test_a_study_that_is_killed_again_and_again_ends_with_the_same_table(tmp_path):
    question = tmp_path / "question.py"
    question.write_text(SOURCE.replace("STEPS", "60"))
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    output, notes = start(question, whole, "--json").communicate()
    assert json.loads(output)["complete"] is True
    expected = StudyResults.load(load_study(str(question)), whole)
    assert {o.status for o in expected.outcomes} == {"finished", "failed", "diverged"}

    # kill -9 before the first run, while runs are in progress, and after some are finished.
    process = start(question, broken)
    wait_for(broken.is_dir, process)
    process.kill()
    process.communicate()
    for least_finished in (0, 1, 2):
        began, process = time.time(), start(question, broken)
        wait_for(functools.partial(under_way, broken, began, least_finished), process)
        process.kill()
        process.communicate()
    # A polite end: everything is saved, and said how to go on.
    began, process = time.time(), start(question, broken)
    wait_for(functools.partial(under_way, broken, began), process)
    process.send_signal(signal.SIGTERM)
    _, notes = process.communicate()
    assert process.returncode == 143, notes
    assert "the same command continues from here" in notes

    process = start(question, broken)
    output, notes = process.communicate()
    assert process.returncode == 1, notes  # some runs failed, as they do in the other folder
    found = StudyResults.load(load_study(str(question)), broken)
    assert str(errors_of(found)).replace(str(broken), "") == str(errors_of(expected)).replace(
        str(whole), ""
    )
    assert found.verdicts() == expected.verdicts()
    for name in ("thin", "again"):
        for seed in (0, 1):
            one, other = (RunDirectory(out / name / f"seed-{seed}") for out in (whole, broken))
            weights = "model.safetensors"
            assert (one.model / weights).read_bytes() == (other.model / weights).read_bytes()


@pytest.mark.slow
def test_two_commands_do_not_run_one_study_at_once(question, tmp_path, capsys):
    from reslab.study.runner import run_study

    began, process = time.time(), start(question, tmp_path / "study")
    wait_for(functools.partial(under_way, tmp_path / "study", began), process)
    with pytest.raises(MachineError, match="is in use by process"):
        run_study(str(question), Setting(), tmp_path / "study")
    process.communicate()


def example() -> str:
    """Return the study of one's own that the documentation shows."""
    found = re.search(r"```python\n(# my_question\.py\n.*?)```", DOCS.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def test_the_documented_study_of_ones_own_is_short_and_can_be_planned(tmp_path):
    text = example()
    assert len(text.splitlines()) < 25
    (tmp_path / "my_question.py").write_text(text)
    study = load_study(str(tmp_path / "my_question.py"))
    assert len(expand(study, Setting())) == 6
    assert study.expectations


@pytest.mark.slow
def test_the_documented_study_of_ones_own_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("my_question.py").write_text(example())
    words = ["study", "run", "my_question.py", "--seeds", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "reslab", *words], capture_output=True, text=True, check=True
    )
    assert "not decidable: " in done.stderr  # one seed decides nothing
    assert "paper" in done.stdout
    folder = Path("runs/study-my_question-tiny")
    assert {path.name for path in folder.iterdir()} >= {"results.json", "report.html", "study.json"}
    whole = (folder / "results.json").read_text()
    (folder / "results.json").write_text(whole.replace("not decidable", "reproduced"))
    assert main(["study", "report", "my_question.py"]) == 0
    assert (folder / "results.json").read_text() == whole  # verdicts are found anew

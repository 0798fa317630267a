"""The notebook of the documentation, run by a real kernel."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

import reslab
from reslab.display.notebook import in_notebook

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebooks" / "quickstart.ipynb"
# The cells by their first words.
TRAIN, RESULT, NETWORK, COMPARISON, MODEL, PREDICTIONS = (
    "run = reslab.train", "run", "reslab.create_model", "plain = ", "model = ", "digits = ",
)  # fmt: skip


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> NotebookNode:
    """Run the notebook, with half of its epochs."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace("epochs=4", "epochs=2")
    folder = tmp_path_factory.mktemp("notebook")
    NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    ).execute(env={**os.environ, "OMP_NUM_THREADS": "1", "JUPYTER_PLATFORM_DIRS": "1"})
    return notebook


def outputs_of(notebook: NotebookNode, begins: str) -> list[NotebookNode]:
    cell = next(
        cell
        for cell in notebook.cells
        if cell.cell_type == "code"
        and (cell.source == begins if begins == RESULT else cell.source.startswith(begins))
    )
    return list(cell.outputs)


def html_of(notebook: NotebookNode, begins: str) -> str:
    shown = [one for one in outputs_of(notebook, begins) if one.output_type == "execute_result"]
    assert len(shown) == 1
    html = shown[0].data["text/html"]
    assert "<script" not in html
    assert "http" not in html
    assert html.count("<div") == html.count("</div>")
    return str(html)


def test_the_notebook_is_kept_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    assert NOTEBOOK.stat().st_size < 10_000


def test_training_shows_a_bar_and_the_lines_of_the_command(executed):
    outputs = outputs_of(executed, TRAIN)
    bars = [one for one in outputs if one.output_type == "display_data"]
    assert len(bars) == 1  # moved in its place, not printed again and again
    assert "100%" in bars[0].data["text/html"]
    assert "epoch 2.0" in bars[0].data["text/plain"]
    assert "left" not in bars[0].data["text/plain"]
    assert outputs[0].output_type == "display_data"
    lines = "".join(one.text for one in outputs if one.output_type == "stream").splitlines()
    assert {one.name for one in outputs if one.output_type == "stream"} == {"stdout"}
    assert "recipe: small-images (1,438 images of 8 px, from scratch)" in lines
    epochs = [line for line in lines if line.startswith("epoch ")]
    assert len(epochs) == 2
    assert all("train loss" in line and "val loss" in line for line in epochs)
    assert re.match(r"test accuracy \d+\.\d\d%  \(95% interval", lines[-4])
    assert lines[-3] == "  run     runs/digits-1"


def test_progress_can_be_switched_off(executed):
    kinds = [one.output_type for one in outputs_of(executed, COMPARISON)]
    assert kinds == ["execute_result"]


def test_a_result_shows_accuracy_interval_curve_matrix_and_worst_classes(executed):
    html = html_of(executed, RESULT)
    text = re.sub(r"<[^>]+>", " ", html)
    found = re.search(
        r"([\d.]+) &nbsp;%.* (\d+) of (\d+) images right; 95% interval ([\d.]+) to ([\d.]+)%", text
    )
    assert found is not None
    accuracy, right, count, low, high = map(float, found.groups())
    assert count == 359
    assert accuracy == pytest.approx(100 * right / count, abs=0.051)
    assert low < accuracy < high
    for words in ("resnet20", "on digits", "test accuracy", "10 classes", "Worst classes"):
        assert words in text
    assert len(re.findall(r"<path d=\"M[\d. L]+\" stroke=\"#", html)) == 2  # two curves
    cells = re.findall(r'title="(\d+) of (\d+) (\d): (\d)">', html)
    assert len(cells) == 100
    assert sum(int(n) for n, _, true, given in cells if true == given) == right
    assert sum(int(n) for n, *_ in cells) == count


def test_a_network_shows_its_cost_and_parts(executed):
    text = re.sub(r"<[^>]+>", " ", html_of(executed, NETWORK))
    for words in ("resnet20", "269,434 parameters", "2.52 million multiply-adds", "stage3"):
        assert words in text


def test_a_comparison_shows_its_finding_and_tests(executed):
    text = re.sub(r"<[^>]+>", " ", html_of(executed, COMPARISON))
    for words in ("digits-1", "digits-2", "plain20", "points on 359 images", "Paired tests"):
        assert words in text


def test_nothing_prints_arrays_or_long_texts(executed):
    shown = 0
    for begins in (RESULT, NETWORK, COMPARISON, MODEL, PREDICTIONS):
        for one in outputs_of(executed, begins):
            if one.output_type == "execute_result":
                text = one.data["text/plain"]
                assert "array(" not in text
                assert "tensor(" not in text
                assert len(text.splitlines()) <= 8
                shown += 1
    assert shown == 5


def test_this_is_no_notebook_and_neither_is_ipython_on_a_terminal(tmp_path):
    assert not in_notebook()
    code = (
        "from reslab.display.notebook import in_notebook as f; import ipykernel; print('is', f())"
    )
    found = subprocess.run(
        [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "IPYTHONDIR": str(tmp_path)},
    )
    assert found.stdout.strip() == "is False", found.stderr


SCRIPT = """
import sys
import reslab

for number, progress in enumerate((None, True)):
    print("next", file=sys.stderr)
    reslab.train(
        "digits", model="resnet20", steps=1, device="cpu", out=f"run-{number}", progress=progress
    )
"""


@pytest.mark.slow
def test_a_script_is_quiet_unless_asked(tmp_path):
    words = [sys.executable, "-c", SCRIPT]
    found = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert found.returncode == 0
    assert not found.stdout
    _, default, asked = found.stderr.split("next\n")
    assert not default
    lines = asked.splitlines()
    assert lines[0].startswith("img-size: 8")
    assert any(line.startswith("test accuracy ") for line in lines)


def test_an_observer_of_ones_own_hears_everything_once(tmp_path):
    class Listener:
        def __init__(self) -> None:
            self.notes: list[str] = []
            self.steps = self.closed = 0

        def note(self, text: str) -> None:
            self.notes.append(text)

        def decoding(self, done: int, total: int) -> None:
            pass

        def step(self, event: object) -> None:
            self.steps += 1

        def epoch(self, row: object) -> None:
            pass

        def close(self) -> None:
            self.closed += 1

    listener = Listener()
    reslab.train(
        "digits", model="resnet20", steps=1, device="cpu", out=tmp_path / "run", observer=listener
    )
    assert listener.steps == 1
    assert listener.closed >= 1
    assert not any("accuracy" in note for note in listener.notes)

"""Progress in a notebook: a bar that moves in its place, and the lines of the command below it."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from reslab.display import card
from reslab.display.progress import Lines
from reslab.display.wording import clock

if TYPE_CHECKING:
    from reslab.training.observe import StepEvent
    from reslab.training.state import EpochRow

# Each update is a message to the browser, and is kept in a queue where that is slow.
EVERY_S = 0.25


def in_notebook() -> bool:
    """Tell whether this is a notebook's kernel: Jupyter, VS Code, Colab, Kaggle and the like.

    IPython on a terminal is none. Nothing is imported that is not there already.
    """
    if "IPython" not in sys.modules or "ipykernel" not in sys.modules:
        return False
    shell = sys.modules["IPython"].get_ipython()
    return shell is not None and hasattr(shell, "kernel")


class Position:
    """Where a run stands, as a notebook shows it: a bar, or a line of text.

    Args:
        share: done, 0 to 1.
        words: what stands beside the bar, in order.
        left: the time that is left, or empty.
    """

    def __init__(self, share: float, words: tuple[str, ...], left: str = "") -> None:
        self.share, self.left = share, left
        self.words = words

    def __repr__(self) -> str:
        return "  ".join(filter(None, (f"{100 * self.share:3.0f}%", *self.words, self.left)))

    def _repr_html_(self) -> str:
        beside = "".join(
            f'<span style="white-space:nowrap">{card.text(word)}</span>'
            for word in (*self.words, self.left)
            if word
        )
        style = f"{card.FONT};font-size:13px;color:inherit;display:flex;flex-wrap:wrap"
        return (
            f'<div style="{style};gap:2px 16px;align-items:center;padding:3px 2px">'
            f"{card.bar(self.share, width=260)}"
            f'<span style="min-width:3em;font-weight:600">{100 * self.share:.0f}%</span>'
            f"{beside}</div>"
        )


class NotebookBar:
    """An observer that shows a bar in a notebook, and prints what the command prints.

    The lines go to stdout: notebooks print stderr on red.
    """

    def __init__(self) -> None:
        self._lines = Lines(lambda line: print(line, flush=True))
        self._handle: Any = None
        self._position = Position(0.0, ())
        self._shown = 0.0

    def note(self, text: str) -> None:
        """Print a line, below the bar."""
        if self._handle is None:
            self._show()
        self._lines.note(text)

    def decoding(self, done: int, total: int) -> None:
        """Move the bar of decoded images."""
        words = (f"decoded {done:,} of {total:,} images",)
        self._move(Position(done / max(1, total), words), last=done == total)

    def step(self, event: StepEvent) -> None:
        """Move the bar, four times a second at most."""
        self._lines.hear(event)
        last = event.step >= event.total_steps
        words = (
            f"epoch {event.epoch:.1f}",
            f"loss {event.loss:.3f}",
            f"error {event.error_pct:.1f}%",
            f"{event.images_per_s:,.0f} images/s",
        )
        left = "" if last else f"{clock(event.remaining_s)} left"
        self._move(Position(event.step / max(1, event.total_steps), words, left), last=last)

    def epoch(self, row: EpochRow) -> None:
        """Print the row, one a second at most."""
        self._lines.epoch(row)

    def close(self) -> None:
        """Leave the bar where the run has left it, whole or not."""
        self._lines.close()
        if self._handle is not None and self._position.left:
            self._position.left = ""
            self._show()

    def _move(self, position: Position, *, last: bool) -> None:
        self._position = position
        now = time.monotonic()
        if now - self._shown < EVERY_S and not last:
            return
        self._shown = now
        self._show()

    def _show(self) -> None:
        if self._handle is None:
            from IPython.display import display

            self._handle = display(self._position, display_id=True)
        else:
            self._handle.update(self._position)

"""Which runtime: the one that is expected to be done first, tried and compared with torch."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from reslab.errors import MachineError
from reslab.machine import autocast_dtype
from reslab.networks.network import Network
from reslab.predict.runtimes import remember
from reslab.predict.runtimes.agreement import (
    Agreement,
    agreement,
    close_calls,
    close_margin,
    same_labels,
)
from reslab.predict.runtimes.eager import reference
from reslab.predict.runtimes.kinds import build_runtime
from reslab.predict.runtimes.runtime import RUNTIMES, Runtime, shape_of

MEASURE_S = 0.3
LEAST_CALLS = 3


@dataclasses.dataclass
class Candidate:
    """A runtime that may be used, and what is known of it so far.

    Args:
        name: of its kind.
        precision: of its convolutions.
        startup_s: what building it takes, seconds; expected until it was built.
        speed: its images a second, torch in float32 being 1; expected until it was measured.
        measured: whether both are measurements.
        agreement: how its answers compare with torch's; None until it was tried.
        redone: share of the images that float32 had to decide.
        problem: why it must not be used, or empty.
        runtime: what was built; None before and after its use.
    """

    name: str
    precision: str
    startup_s: float
    speed: float
    measured: bool = False
    agreement: Agreement | None = None
    redone: float = 0.0
    problem: str = ""
    runtime: Runtime | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.precision}"

    def seconds_for(self, images: int, exact_image_s: float) -> float:
        """Expect how long it takes from here to the logits of so many images."""
        startup = 0.0 if self.runtime is not None else self.startup_s
        return startup + images * exact_image_s / self.speed


class Auto:
    """Compute logits, first as torch does in float32, then by whatever is done sooner.

    A runtime is worth trying when its startup and its expected speed promise to be done before
    the one at work. It is then built, compared on the images at hand with torch in float32, and
    measured. Where the shorter type is in doubt between two classes, float32 decides.

    Args:
        network: what is computed; it stays as it is.
        temperature: what logits are divided by for probabilities.
        device: where.
        precision: "fp32", "bf16" or "fp16"; "auto" for bf16 where the machine computes it
            natively and the answers stay, else fp32.
        only: the one kind to use, whatever its startup costs; None for all that are here.
        keep_labels: let float32 decide close calls.
        notify: told in a line what is used.

    Attributes:
        candidates: the runtimes that may be used, with what is known of each.
        exact_image_s: seconds an image of torch in float32; infinite until it was measured.
    """

    def __init__(
        self,
        network: Network,
        temperature: float,
        *,
        device: torch.device,
        precision: str = "auto",
        only: str | None = None,
        keep_labels: bool = True,
        notify: Callable[[str], None] | None = None,
    ) -> None:
        self._network = network
        self._temperature = temperature
        self._device = device
        self._only = only
        self._keep_labels = keep_labels
        self._notify = notify or (lambda line: None)
        self._exact = Candidate("torch", "fp32", 0.0, 1.0, runtime=reference(network, device))
        self._now = self._exact
        self.exact_image_s = float("inf")
        self._timed = False
        self._seen = 0
        self._left: int | None = None
        self._key = ""
        names = RUNTIMES if only is None else [only]
        self.candidates = list(_candidates(names, precision, device))

    def expect(self, images: int | None) -> None:
        """Say how many images will come; None where nobody knows."""
        self._seen, self._left = 0, images

    def __call__(self, images: Tensor) -> Tensor:
        """Return float32 logits (B, num_classes) of normalised images, on the CPU."""
        assert self._now.runtime is not None
        began = time.perf_counter()
        logits = self._now.runtime(images)
        took = time.perf_counter() - began
        self._seen += len(images)
        # As much again as there was, where nobody knows: a wrong guess costs at most twice.
        left = self._seen if self._left is None else max(0, self._left - self._seen)
        exact = self._now is self._exact
        if exact:
            self.exact_image_s = min(self.exact_image_s, took / len(images))
        if (left or self._only) and (not exact or torch.isfinite(logits).all()):
            self._choose(images, logits if exact else None, left)
        return logits

    def measure(self, images: Tensor) -> Runtime:
        """Try every candidate on these images, and take the fastest whatever its startup."""
        assert self._exact.runtime is not None
        self._key = remember.key_of(self._network, shape_of(images), self._device)
        wanted = self._exact.runtime(images)
        self._measure_exact(images)
        for candidate in self.candidates:
            if not candidate.problem:
                self._try(candidate, images, wanted, again=True)
                if candidate.runtime is not None:
                    self._leave_only(max(self._usable(), key=_speed_if_built))
        self._keep()
        self._now = max(self._usable(), key=_speed_if_built)
        assert self._now.runtime is not None
        return self._now.runtime

    def _choose(self, images: Tensor, wanted: Tensor | None, left: int) -> None:
        self._recall(images)
        before = self._now
        while True:
            best = min(self._usable(), key=lambda c: c.seconds_for(left, self.exact_image_s))
            if best.runtime is not None:
                break
            assert self._exact.runtime is not None
            wanted = self._exact.runtime(images) if wanted is None else wanted
            self._try(best, images, wanted)
            self._keep()
        self._leave_only(best)
        self._now = best
        if best is not before:
            self._notify(self._said(best))

    def _leave_only(self, best: Candidate) -> None:
        """Give the memory of the other candidates back."""
        for candidate in self.candidates:
            if candidate is not best:
                candidate.runtime = None

    def _usable(self) -> list[Candidate]:
        found = [c for c in self.candidates if not c.problem]
        if self._only is None:
            return [self._exact, *found]
        if not found:
            why = "; ".join(f"{c.precision}: {c.problem}" for c in self.candidates)
            raise MachineError(
                f"runtime {self._only} cannot be used for {self._network.spec.name}: {why}",
                remedy="use --runtime auto",
            )
        return found

    def _try(
        self, candidate: Candidate, images: Tensor, wanted: Tensor, *, again: bool = False
    ) -> None:
        """Build a candidate, compare it with torch's logits, and measure it."""
        assert self._exact.runtime is not None
        self._measure_exact(images)
        began = time.perf_counter()
        try:
            runtime = build_runtime(
                candidate.name, self._network, shape_of(images), candidate.precision, self._device
            )
            found = runtime(images)
        except MachineError as error:
            candidate.problem = error.message
            return
        candidate.startup_s = time.perf_counter() - began
        if candidate.precision != "fp32" and self._keep_labels:
            margin = close_margin(found, wanted)
            candidate.redone = float(close_calls(found, margin).float().mean())
            runtime = same_labels(runtime, self._exact.runtime, margin)
            found = runtime(images)
        candidate.agreement = agreement(found, wanted, self._temperature)
        if self._keep_labels:
            candidate.problem = candidate.agreement.problem(candidate.precision)
        if again or not candidate.measured:
            candidate.speed = self.exact_image_s * len(images) / _seconds(runtime, images)
            candidate.measured = True
        if not candidate.problem:
            candidate.runtime = runtime

    def _measure_exact(self, images: Tensor) -> None:
        assert self._exact.runtime is not None
        if not self._timed:
            self.exact_image_s = _seconds(self._exact.runtime, images) / len(images)
            self._timed = True

    def _recall(self, images: Tensor) -> None:
        if self._key:
            return
        self._key = remember.key_of(self._network, shape_of(images), self._device)
        known = remember.recall(self._key)
        for candidate in self.candidates:
            if str(candidate) in known:
                candidate.startup_s, candidate.speed = known[str(candidate)]
                candidate.measured = True

    def _keep(self) -> None:
        if self._key:
            measured = [c for c in self.candidates if c.measured]
            remember.keep(self._key, {str(c): (c.startup_s, c.speed) for c in measured})

    def _said(self, chosen: Candidate) -> str:
        line = f"runtime {chosen}, {chosen.speed:.1f} times as fast as torch in float32"
        if chosen.agreement is not None:
            count = chosen.agreement.images
            line += f"; compared on {count} images: the same labels, probabilities within "
            line += f"{max(chosen.agreement.difference, 1e-6):.1g}"
        return line


def _candidates(names: Iterable[str], precision: str, device: torch.device) -> Iterable[Candidate]:
    native = autocast_dtype("auto", device) == torch.bfloat16
    wanted = {"auto": ("fp32", "bf16") if native else ("fp32",)}.get(precision, (precision,))
    for kind in (RUNTIMES[name] for name in names):
        lacking = kind.lacking(device)
        for one in kind.precisions:
            if one in wanted:
                yield Candidate(kind.name, one, kind.startup_s, kind.speed[one], problem=lacking)


def _speed_if_built(candidate: Candidate) -> float:
    return candidate.speed if candidate.runtime is not None else 0.0


def _seconds(runtime: Runtime, images: Tensor) -> float:
    """Measure a call: the shortest of some, as other processes only make it longer."""
    runtime(images)
    taken: list[float] = []
    while len(taken) < LEAST_CALLS or sum(taken) < MEASURE_S:
        began = time.perf_counter()
        runtime(images)
        taken.append(time.perf_counter() - began)
    return min(taken)

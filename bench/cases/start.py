"""How long people wait before anything happens; a command counts from its start to its end."""

from __future__ import annotations

from bench.case import OURS, Arm, Case

COMMANDS = "bench.commands"


def _command(name: str, group: str, *argv: str, needs: tuple[str, ...] = ()) -> Arm:
    return Arm(name=name, group=group, module=COMMANDS, settings={"argv": argv}, needs=needs)


CASES = (
    Case(
        name="start-training",
        title="first training step, from the command on",
        unit="starts/s",
        ours=_command("import reslab, reslab.train", OURS, "-m", "bench.ours.first_step"),
        peers=(
            _command(
                "import torch, torchvision; DataLoader with 2 workers, ResNet-20",
                "as found",
                "-m",
                "bench.peers.first_step",
                needs=("torchvision",),
            ),
        ),
        limit_s=5.0,
        seconds=5.0,
    ),
    Case(
        name="start-help",
        title="--help, from the command on",
        unit="starts/s",
        ours=_command("reslab --help", OURS, "-m", "reslab", "--help"),
        limit_s=0.3,
        seconds=1.0,
    ),
    Case(
        name="start-list",
        title="list of networks, from the command on",
        unit="starts/s",
        ours=_command("reslab list", OURS, "-m", "reslab", "list"),
        peers=(
            _command(
                "timm.list_models()",
                "as found",
                "-m",
                "bench.peers.list_models",
                needs=("timm", "torchvision"),
            ),
        ),
        limit_s=0.3,
        seconds=1.0,
    ),
)

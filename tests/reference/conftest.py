"""The end of a test run says how many networks were compared with other people's."""

from __future__ import annotations

import peers
import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for program, networks in sorted(peers.COMPARED.items()):
        names = ", ".join(sorted(networks))
        terminalreporter.write_line(
            f"{program}: the same logits for {len(networks)} networks ({names})"
        )

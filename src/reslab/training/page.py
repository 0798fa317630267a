"""The tables of settings on the page about recipes, made from the fields of `Recipe`.

``python -m reslab.training.page docs/recipes.md`` puts them between the page's two markers; a
test holds the page against the fields.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from reslab.settings import Setting, grouped
from reslab.training.recipe import Recipe

BEGIN, END = "<!-- settings -->", "<!-- /settings -->"


def tables() -> str:
    """Return a heading and a table for each group of settings."""
    return "\n\n".join(
        "\n".join(
            [
                f"### {group.capitalize()}",
                "",
                "| flag | default | meaning |",
                "|---|---|---|",
                *map(_row, settings),
            ]
        )
        for group, settings in grouped(Recipe).items()
    )


def with_tables(page: str) -> str:
    """Return the page with what stands between its markers made again."""
    before, rest = page.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


def _row(setting: Setting) -> str:
    value = "\\|".join(setting.choices) or setting.metavar
    flag = f"{setting.flag} {value}".rstrip()
    help = re.sub(r"(?<!\S)--[a-z-]+", r"`\g<0>`", setting.help)
    return f"| `{flag}` | {_default(setting)} | {help} |"


def _default(setting: Setting) -> str:
    default = setting.default
    if isinstance(default, bool):
        return "on" if default else "off"
    if isinstance(default, tuple):
        return ", ".join(f"{part:.3g}" for part in default) or "none"
    if isinstance(default, str):
        return f"`{default}`"
    return "none" if default is None else f"{default:g}"


def main(arguments: Sequence[str]) -> int:
    """Write the tables of a page again."""
    page = Path(arguments[0])
    page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Who may import whom (docs/design.md), what is loaded when, and names that say nothing."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "reslab"
FILES = sorted(SOURCE.rglob("*.py"))
ANYONE_MAY = {
    "errors",
    "registry",
    "settings",
    "aliases",
    "display",
    "import_path",
    "child",
    "child_program",
    "dataclass_json",
    "log",
}
# What the core may import of an extra, and nothing else (docs/design.md says why).
CORE_USES = {("models", "weights.source"), ("training", "analyze.probed")}
PLAIN = ANYONE_MAY | {"durable", "charts", "pages", "cli", "", "__main__"}
PLAIN_NETWORKS = ("__init__", "index", "spec")
PLAIN_DATA = (
    *("open", "sources", "collect", "dataset", "decode", "repair", "preprocess", "augment"),
    *("check", "duplicates", "mending", "record", "split"),
)


def package_of(path: Path) -> str:
    """Return "training" for training/loop.py, "api" for api.py, "" for the package itself."""
    first = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imports(tree: ast.AST, *, top_level: bool = False) -> Iterator[str]:
    """Yield the modules that are imported, those for the type checker apart."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.expr):
            continue  # an import is a statement, and most of a tree are expressions
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif not (top_level and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            yield from imports(node, top_level=top_level)


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def module_of(name: str) -> str:
    """Return "data.open" for reslab.data.open.open_dataset: the module that is imported."""
    parts = name.split(".")[1:]
    while len(parts) > 1 and not SOURCE.joinpath(*parts).with_suffix(".py").is_file():
        if (SOURCE.joinpath(*parts) / "__init__.py").is_file():
            break
        parts.pop()
    return ".".join(parts)


@functools.cache
def modules_used(path: Path) -> set[str]:
    """Return the modules of other packages that a file imports, but for those that anyone may."""
    names = (name for name in imports(tree_of(path)) if name.startswith("reslab."))
    used = {module_of(name) for name in names}
    free = {package_of(path), "__version__", *ANYONE_MAY}
    return {module for module in used if package_in(module) not in free}


def package_in(module: str) -> str:
    return module.partition(".")[0]


def table(heading: str) -> dict[str, set[str]]:
    """Read a table of docs/design.md: package -> packages and modules that it may import."""
    text = (ROOT / "docs" / "design.md").read_text()
    rows = text.partition(f"| {heading} | may import |\n|---|---|\n")[2].partition("\n\n")[0]
    found = re.findall(r"^\| `(\w+)` \| (.+?) \|$", rows, re.MULTILINE)
    return {package: set(re.findall(r"`([\w.]+)`", cell)) for package, cell in found}


CORE, EXTRAS = table("core"), table("extra")


def test_the_tables_name_every_package():
    packages = {package_of(path) for path in FILES} - {"", "__main__"} - ANYONE_MAY
    assert set(CORE) - ANYONE_MAY | set(EXTRAS) == packages
    assert not CORE.keys() & EXTRAS.keys()


def test_imports_keep_to_the_tables():
    allowed, offenders = CORE | EXTRAS, []
    for path in FILES:
        package = package_of(path)
        if package in ("", "cli", "__main__"):
            continue
        offenders += [
            f"{path.relative_to(SOURCE)} imports {module}"
            for module in sorted(modules_used(path))
            if not any(f"{module}.".startswith(f"{token}.") for token in allowed[package])
        ]
    assert offenders == []


def test_a_row_names_nothing_that_is_not_used():
    unused = []
    for package, tokens in (CORE | EXTRAS).items():
        used = {m for path in FILES if package_of(path) == package for m in modules_used(path)}
        for token in tokens if package != "cli" else ():
            if not any(f"{module}.".startswith(f"{token}.") for module in used):
                unused.append(f"{package}: {token}")
    assert unused == []


def test_the_core_does_without_extras():
    named = {
        (package, token)
        for package, tokens in CORE.items()
        for token in tokens
        if package_in(token) in EXTRAS and package != "cli"
    }
    assert named == CORE_USES


def is_plain(path: Path) -> bool:
    package, rest = package_of(path), path.relative_to(SOURCE).parts[1:]
    if package == "data":
        return bool(rest) and rest[0].removesuffix(".py") in PLAIN_DATA
    if package == "networks":
        return len(rest) == 1 and rest[0].removesuffix(".py") in PLAIN_NETWORKS
    return package in PLAIN


def test_no_torch_before_it_is_needed():
    plain = [path for path in FILES if is_plain(path)]
    assert plain
    assert [path for path in plain if "torch" in packages_loaded_with(path)] == []


def packages_loaded_with(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(tree_of(path), top_level=True)}


def test_names_say_what_is_inside():
    nothing_said = {"utils", "util", "helpers", "common", "io", "inspect", "misc"}
    assert [path for path in FILES if path.stem in nothing_said] == []


def test_only_the_command_line_reads_arguments_and_it_and_display_print():
    for path in FILES:
        if package_of(path) in ("cli", "__main__", "display"):
            assert package_of(path) != "display" or "argparse" not in set(imports(tree_of(path)))
            continue
        tree = tree_of(path)
        called = {
            node.func.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert "print" not in called, path
        assert not {"argparse", "rich"} & {n.split(".")[0] for n in imports(tree)}, path


def test_our_own_formats_are_never_unpickled():
    for path in FILES:
        tree = tree_of(path)
        if "torch" in {n.split(".")[0] for n in imports(tree)}:
            assert "pickle" not in {n.split(".")[0] for n in imports(tree)}, path
        assert not {"torch.load", "torch.save"} & set(imports(tree)), path


def calls_of_torch(path: Path, function: str) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == function
        and ast.unparse(node.func) == f"torch.{function}"
    ]


def test_other_programs_files_are_read_in_one_place_as_plain_tensors():
    reading = [(path, call) for path in FILES for call in calls_of_torch(path, "load")]
    assert [path for path, _ in reading] == [SOURCE / "weights" / "torch_file.py"]
    for _, call in reading:
        given = {word.arg: ast.unparse(word.value) for word in call.keywords}
        assert given["weights_only"] == "True"
    writing = [path for path in FILES if calls_of_torch(path, "save")]
    assert writing == [SOURCE / "weights" / "write.py"]


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["list"], ["list", "--json"], ["train", "--help"]]
)
def test_quick_commands_leave_torch_alone(words):
    script = (
        "import sys\n"
        "from reslab.cli.main import main\n"
        "try: code = main(sys.argv[1:])\n"
        "except SystemExit as leaving: code = leaving.code\n"
        "loaded = {'torch', 'sklearn', 'matplotlib', 'PIL'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
        "sys.exit(code)\n"
    )
    found = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert found.stdout


def test_importing_the_package_costs_nothing():
    script = "import sys, reslab; assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)

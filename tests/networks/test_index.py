"""The generated table of the networks: true, complete, and all that a name needs."""

import json
import subprocess
import sys

import pytest

from reslab import networks
from reslab.errors import UsageError
from reslab.networks import build_index as index
from reslab.networks import index as table

NAME_TO_NETWORK = """
import json, sys
import torch
before = set(sys.modules)
import reslab
network = reslab.create_model("shufflenet_v1_g3")
after_create = set(sys.modules) - before
from reslab import networks
spec = networks.from_json({"kind": "zfnet", "name": "z", "convolutions": [{"width": 8}] * 5})
loaded = {"create": after_create, "from_json": set(sys.modules) - before - after_create}
print(json.dumps({k: [m for m in v if m.startswith("reslab")] for k, v in loaded.items()}))
"""


def test_the_table_is_what_the_families_declare():
    """After a change: python -m reslab.networks.build_index docs/networks.md"""
    old = table.read()
    text = (index.Path(table.__file__).parent / table.FILE).read_text(encoding="utf-8")
    assert index.index_text(old, index.known_costs(old)) == text


def test_new_sections_come_last_and_the_others_keep_their_order():
    old = table.read()
    first, second, *rest = old["sections"]
    for known in ([second, *rest], [second, first, *rest]):
        made = json.loads(index.index_text({"sections": known}, index.known_costs(old)))
        titles = [section["title"] for section in made["sections"]]
        expected = [section["title"] for section in known]
        assert titles == (expected if first in known else [*expected, first["title"]])


def test_an_entry_is_that_of_the_table():
    for name in networks.list_models():
        entry, info = networks.entry(name), networks.info(name)
        assert (entry.name, entry.family, entry.summary) == (name, info.family, info.summary)
        assert (entry.spec.kind, entry.spec.img_size) == (info.kind, info.img_size)


def test_an_unknown_kind_is_told_all_kinds():
    with pytest.raises(UsageError, match=r"unknown spec kind 'zfnett'.*did you mean 'zfnet'"):
        networks.from_json({"kind": "zfnett", "name": "z"})


def test_a_name_leads_to_its_network_through_few_files():
    """The package, index, spec, network, blocks, and the family: nothing of other families."""
    done = subprocess.run(
        [sys.executable, "-c", NAME_TO_NETWORK], capture_output=True, text=True, check=True
    )
    loaded = json.loads(done.stdout)
    files = [name for name in loaded["create"] if name.startswith("reslab.networks")]
    assert len(files) <= 6, files
    assert len(loaded["create"]) <= 12, loaded["create"]
    families = {name for name in loaded["from_json"] if name.startswith("reslab.networks")}
    shared = {f"reslab.networks.{name}" for name in ("init", "lrn", "fully_connected")}
    assert families - shared == {"reslab.networks.zfnet", "reslab.networks.alexnet"}

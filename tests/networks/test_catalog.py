import json
import re

import pytest

from reslab import networks
from reslab.errors import UsageError
from reslab.networks.resnet import ResNetSpec

PAPER_KEYS = {
    *("error_pct", "top5_error_pct", "error_mean_pct", "error_std_pct", "runs"),
    *("params", "macs", "protocol"),
}
PAPER_NAMES = {
    *(f"plain{depth}" for depth in (18, 34, 20, 32, 44, 56, 110)),
    *(f"resnet{depth}" for depth in (18, 34, 50, 101, 152, 20, 32, 44, 56, 110, 1202, 164, 1001)),
}


def test_every_network_of_the_paper_is_there():
    assert set(networks.list_models()) >= PAPER_NAMES


def test_list_models_takes_a_pattern():
    assert networks.list_models("resnet*_v15") == ["resnet50_v15", "resnet101_v15", "resnet152_v15"]
    assert networks.list_models("nothing*") == []


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'resnet110'"):
        networks.entry("resnett110")


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("plain18", 27.94),
        ("resnet18_a", 27.88),
        ("plain34", 28.54),
        ("resnet34_a", 25.03),
        ("resnet34", 24.52),
        ("resnet34_c", 24.19),
        ("resnet50", 22.85),
        ("resnet101", 21.75),
        ("resnet152", 21.43),
        ("resnet20", 8.75),
        ("resnet32", 7.51),
        ("resnet44", 7.17),
        ("resnet56", 6.97),
        ("resnet110", 6.43),
        ("resnet1202", 7.93),
    ],
)
def test_published_errors(name, error):
    """Tables 2, 3 and 6 of He et al. 2015."""
    assert networks.entry(name).paper["error_pct"] == error


def is_complete(entry):
    keys = set(entry.paper)
    json.dumps(dict(entry.paper))
    return (
        bool(entry.family)
        and bool(entry.source)
        and 0 < len(entry.summary) <= 18  # it is a column of a table 80 wide
        and keys <= PAPER_KEYS
        and ("protocol" in keys) == bool({"error_pct", "top5_error_pct"} & keys)
    )


def test_entries_are_complete():
    entries = {name: networks.entry(name) for name in networks.list_models()}
    assert all(entry.name == name for name, entry in entries.items())
    assert [name for name, entry in entries.items() if not is_complete(entry)] == []


def test_names_count_the_weighted_layers():
    """Convolutions of the branches, the stem's, and the linear layer; projections don't count."""
    miscounted = []
    for name in networks.list_models():
        spec = networks.entry(name).spec
        if isinstance(spec, ResNetSpec):
            convolutions = {"basic": 2, "bottleneck": 3}[spec.branch]
            layers = convolutions * sum(stage.depth for stage in spec.stages) + 2
            if layers != int(re.findall(r"\d+", name)[0]):
                miscounted.append((name, layers))
    assert not miscounted


def test_no_two_networks_are_the_same():
    specs = [repr(networks.entry(name).spec).replace(name, "") for name in networks.list_models()]
    assert len(set(specs)) == len(specs)


def test_what_no_paper_has_says_so():
    for name in networks.list_models():
        if name not in PAPER_NAMES | {"resnet18_a", "resnet34_a", "resnet34_c"}:
            entry = networks.entry(name)
            assert entry.deviations or entry.paper, name

import pytest
import torch
from torch import nn

from families import EVERY, slow_unless
from reslab import networks
from reslab.models import named_spec
from reslab.networks.cost import measure, with_norms_folded
from reslab.networks.network import build
from reslab.networks.trace import WHOLE_IMAGE, Field, Trace

# Exact integers: (trainable values, multiply-adds of convolutions and linear layers).
PUBLISHED = {
    "plain18": (11_515_688, 1_794_805_760),
    "resnet18_a": (11_515_688, 1_794_805_760),
    "resnet18": (11_689_512, 1_814_073_344),
    "plain34": (21_623_848, 3_644_493_824),
    "resnet34_a": (21_623_848, 3_644_493_824),
    "resnet34": (21_797_672, 3_663_761_408),
    "resnet34_c": (22_716_840, 3_830_747_136),
    "resnet50": (25_557_032, 3_857_973_248),
    "resnet50_v15": (25_557_032, 4_089_184_256),
    "resnet50_c": (40_128_552, 6_324_224_000),
    "resnet101": (44_549_160, 7_570_194_432),
    "resnet101_v15": (44_549_160, 7_801_405_440),
    "resnet152": (60_192_808, 11_282_415_616),
    "resnet152_v15": (60_192_808, 11_513_626_624),
    "plain20": (269_722, 40_551_040),
    "resnet20": (269_722, 40_551_040),
    "resnet32": (464_154, 68_862_592),
    "resnet44": (658_586, 97_174_144),
    "resnet56": (853_018, 125_485_696),
    "resnet110": (1_727_962, 252_887_680),
    "resnet1202": (19_421_274, 2_829_238_912),
    "resnet20_b": (272_474, 40_551_040 + 262_144),
    "resnet32_b": (466_906, 68_862_592 + 262_144),
    "resnet44_b": (661_338, 97_174_144 + 262_144),
    "resnet56_b": (855_770, 125_485_696 + 262_144),
    "resnet110_b": (1_730_714, 252_887_680 + 262_144),
    "resnet1202_b": (19_424_026, 2_829_238_912 + 262_144),
    "resnet110_conv_shortcut": (1_826_202, 266_781_312),
    "resnet110_exclusive_gate": (1_824_186, 266_781_312),
    "resnet164": (1_704_154, 244_500_992),
    "resnet1001": (10_328_602, 1_487_849_984),
    "resnet200": (64_673_832, 14_776_270_848),
    "preact_resnet18": (11_687_720, 1_814_073_344),
    "preact_resnet34": (21_795_880, 3_663_761_408),
    "preact_resnet50": (25_549_352, 4_089_184_256),
    "preact_resnet101": (44_541_480, 7_801_405_440),
    "preact_resnet152": (60_185_128, 11_513_626_624),
    "preact_resnet200": (64_666_152, 15_007_481_856),
    "preact_resnet110": (1_727_962, 252_887_680),
    "preact_resnet164": (1_703_258, 244_500_992),
    "preact_resnet1001": (10_327_706, 1_487_849_984),
    "alexnet": (60_965_224, 724_406_816),
    "alexnet_owt": (61_100_840, 714_188_480),
    "zfnet": (62_357_608, 1_168_032_896),
    "zfnet_b": (107_627_624, 2_476_704_896),
    "vgg11": (132_863_336, 7_609_090_048),
    "vgg11_lrn": (132_863_336, 7_609_090_048),
    "vgg13": (133_047_848, 11_308_466_176),
    "vgg16_c": (133_638_952, 11_770_888_192),
    "vgg16": (138_357_544, 15_470_264_320),
    "vgg19": (143_667_240, 19_632_062_464),
    "googlenet": (13_378_280, 1_582_671_872),
    "googlenet_bn": (13_004_888, 1_498_376_192),
    "inception_v4": (42_679_816, 12_253_974_624),
    "inception_resnet_v1": (22_756_328, 6_206_361_696),
    "inception_resnet_v2": (32_433_928, 9_257_953_632),
    "inception_resnet_v2_slim": (55_843_464, 13_155_794_016),
    "squeezenet1_0": (1_248_424, 832_667_936),
    "squeezenet1_0_complex": (1_589_672, 1_183_953_184),
    "squeezenet1_1": (1_235_496, 387_747_520),
    "mobilenet_v1": (4_231_976, 568_740_352),
    "mobilenet_v1_075": (2_585_560, 325_400_448),
    "mobilenet_v1_050": (1_331_592, 149_497_088),
    "mobilenet_v1_025": (470_072, 41_030_272),
    "mobilenet_v1_shallow": (2_887_976, 307_323_392),
    "mobilenet_v1_conv": (29_294_088, 4_867_293_184),
    # ShuffleNet's paper leaves the classifier's multiply-adds out.
    "shufflenet_v1_g1": (1_531_936, 142_502_976 + 576_000),
    "shufflenet_v1_g2": (1_733_848, 140_036_512 + 800_000),
    "shufflenet_v1_g3": (1_865_728, 136_500_672 + 960_000),
    "shufflenet_v1_g4": (1_968_344, 133_251_776 + 1_088_000),
    "shufflenet_v1_g8": (2_434_768, 136_829_952 + 1_536_000),
    "highway19": (2_256_838, 330_826_728),
    "keras_preact_9_9_9": (877_072, 150_473_216),
    "keras_preact_3_4_6": (2_154_576, 282_858_496),
    "keras_preact_9_9_9_cifar": (873_872, 132_581_888),
    "keras_preact_3_4_6_cifar": (2_151_376, 264_967_168),
}


def test_the_table_of_costs_has_the_exact_integers():
    found = {name: networks.info(name) for name in PUBLISHED}
    assert {name: (info.params, info.macs) for name, info in found.items()} == PUBLISHED


@pytest.mark.parametrize("name", EVERY)
def test_the_table_of_costs_is_that_of_the_built_networks(name):
    cost = measure(networks.entry(name).spec)
    info = networks.info(name)
    assert (info.params, info.macs) == (cost.params, cost.macs), (
        f"run python -m reslab.networks.build_index docs/networks.md {name}"
    )
    unseen = cost.params - sum(layer.params for layer in cost.layers)
    if unseen:  # heads that only the loss runs
        with torch.device("meta"):
            heads = build(networks.entry(name).spec).auxiliary
        assert unseen == sum(p.numel() for p in heads.parameters())
    assert sum(layer.macs for layer in cost.layers) == cost.macs


@pytest.mark.parametrize(
    ("name", "changes", "params", "macs"),
    [
        ("resnet20", {"num_classes": 100}, 275_572, 40_551_040 + 90 * 64),
        ("resnet110", {"num_classes": 100}, 1_733_812, 252_887_680 + 90 * 64),
        ("resnet18", {"num_classes": 10, "img_size": 32, "stem": "small"}, 11_173_962, 555_422_720),
        ("highway19", {"num_classes": 100}, 2_265_928, 330_835_728),
        ("mobilenet_v1", {"img_size": 192}, 4_231_976, 418_121_728),
        ("mobilenet_v1", {"img_size": 160}, 4_231_976, 290_675_200),
        ("mobilenet_v1", {"img_size": 128}, 4_231_976, 186_400_768),
        ("mobilenet_v1_050", {"img_size": 160}, 1_331_592, 76_524_800),
        ("squeezenet1_0", {"img_size": 224}, 1_248_424, 818_924_576),
        ("squeezenet1_1", {"img_size": 224}, 1_235_496, 349_151_936),
        ("resnet20", {"in_chans": 1}, 269_722 - 288, 40_551_040 - 288 * 1024),
        ("resnet20", {"num_classes": 0}, 269_722 - 650, 40_551_040 - 640),
    ],
)
def test_changed_networks(name, changes, params, macs):
    cost = measure(named_spec(name, **changes))
    assert (cost.params, cost.macs) == (params, macs)


@pytest.mark.parametrize(
    ("name", "last"),
    [("resnet18", 435), ("resnet34", 899), ("resnet50", 483), ("resnet50_v15", 427)],
)
def test_receptive_field_of_the_last_map(name, last):
    """By hand: 3x3 convolutions add 2 x stride; the stem sees 11 pixels at stride 4."""
    layers = measure(networks.entry(name).spec).layers
    assert max(layer.receptive_field for layer in layers) == last
    assert layers[-3].stride == 32
    assert layers[-1].receptive_field == 0


@pytest.mark.parametrize("name", slow_unless({"resnet20"}, ["resnet20", "resnet20_b", "plain32"]))
def test_receptive_field_is_what_gradients_say(name):
    """The pixels that one value of a map depends on, found by differentiation."""
    spec = networks.replace(networks.entry(name).spec, img_size=160)
    layer = next(x for x in measure(spec).layers if x.name == "stages.stage2.block2.branch.conv2")
    torch.manual_seed(0)
    network = build(spec).double().eval()
    maps = {}
    network.stages.stage2.block2.branch.conv2.register_forward_hook(
        lambda _m, _i, y: maps.update(y=y)
    )
    image = torch.randn(1, 3, 160, 160, dtype=torch.float64, requires_grad=True)
    network(image)
    maps["y"][0, :, 40, 40].sum().backward()
    rows = image.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    assert rows[-1] - rows[0] + 1 == layer.receptive_field
    assert layer.stride == 2


def test_layers_of_resnet20():
    layers = measure(networks.entry("resnet20").spec).layers
    first, last = layers[0], layers[-1]
    assert (first.name, first.kind, first.output_shape) == ("stem.conv", "conv 3x3", (16, 32, 32))
    assert (first.params, first.macs, first.receptive_field, first.stride) == (432, 442_368, 3, 1)
    assert (last.name, last.kind, last.output_shape) == ("head.classifier", "linear", (10,))
    assert (last.params, last.macs) == (650, 640)
    kinds = [layer.kind for layer in layers]
    assert kinds.count("conv 3x3") == 17
    assert kinds.count("conv 3x3 / 2") == kinds.count("zero pad") == 2
    assert kinds.count("batch norm") == 19
    assert kinds.count("global average") == 1
    assert len(kinds) == 42


def test_folding_norms_keeps_the_sums():
    layers = measure(networks.entry("resnet50").spec).layers
    folded = with_norms_folded(layers)
    assert sum(x.params for x in folded) == sum(x.params for x in layers)
    assert not any(x.kind == "batch norm" for x in folded)
    assert folded[0].params == 9408 + 128


class Odd(nn.Module):
    """What irregular networks have: groups, dilation, pools, concatenation, slices."""

    def __init__(self):
        super().__init__()
        self.grouped = nn.Conv2d(4, 8, 3, padding=1, groups=2)
        self.dilated = nn.Conv2d(8, 8, 3, padding=2, dilation=2)
        self.pool = nn.AvgPool2d(2)
        self.wide = nn.Conv2d(16, 2, (1, 5), padding=(0, 2))
        self.adaptive = nn.AdaptiveAvgPool2d(1)

    def forward(self, x):
        x = self.grouped(x)
        x = torch.cat([self.dilated(x), x], dim=1)
        x = self.wide(self.pool(x))
        return x, self.adaptive(x[:, :, ::2, ::2])


def test_trace_of_an_irregular_network():
    with torch.device("meta"):
        network, image = Odd(), torch.empty(1, 4, 16, 16)
    with torch.no_grad(), Trace() as trace:
        trace.mark(image, Field(size=1, stride=1))
        x, vector = network(image)
    # 3 (grouped), + 4 (dilated), + 1 (pool); then a kernel of 5 at stride 2.
    assert trace.field(x) == Field(size=16, stride=2)
    assert trace.field(vector) == WHOLE_IMAGE
    assert trace.macs == 256 * (8 * 2 * 9 + 8 * 8 * 9) + 64 * (2 * 16 * 5)

"""What a network is, as data: frozen, comparable, JSON in and out, no torch.

A specification says everything the builder needs and nothing else. The common one,
`ResNetSpec`, describes the regular networks: a stem, stages of equal blocks, a linear head.
Irregular networks have a module of their own here, which registers its kind with `spec_kind`;
each is named below so that JSON of any kind can be read back.
"""

from reslab.spec import (
    alexnet as _alexnet,
)
from reslab.spec import (
    googlenet as _googlenet,
)
from reslab.spec import (
    highway as _highway,
)
from reslab.spec import (
    ideas as _ideas,
)
from reslab.spec import (
    identity as _identity,
)
from reslab.spec import (
    inception as _inception,
)
from reslab.spec import (
    keras_tutorial as _keras_tutorial,
)
from reslab.spec import (
    mobilenet as _mobilenet,
)
from reslab.spec import (
    preact as _preact,
)
from reslab.spec import (
    shufflenet as _shufflenet,
)
from reslab.spec import (
    squeezenet as _squeezenet,
)
from reslab.spec import (
    vgg as _vgg,
)
from reslab.spec import (
    whitened as _whitened,
)
from reslab.spec import (
    zfnet as _zfnet,
)
from reslab.spec.network import NetworkSpec, Stem, from_json, replace, spec_kind, to_json
from reslab.spec.resnet import (
    Branch,
    ResNetSpec,
    ShortcutOption,
    StageSpec,
    StemSpec,
    StrideOn,
)

del (
    _alexnet,
    _googlenet,
    _highway,
    _ideas,
    _identity,
    _inception,
    _keras_tutorial,
    _mobilenet,
    _preact,
    _shufflenet,
    _squeezenet,
    _vgg,
    _whitened,
    _zfnet,
)

__all__ = [
    "Branch",
    "NetworkSpec",
    "ResNetSpec",
    "ShortcutOption",
    "StageSpec",
    "Stem",
    "StemSpec",
    "StrideOn",
    "from_json",
    "replace",
    "spec_kind",
    "to_json",
]

"""The older name of `reslab.analyze.ablation`, which scripts may still import."""

from reslab.analyze.ablation import Ablation as Lesion
from reslab.analyze.ablation import Ablations as Lesions
from reslab.analyze.ablation import ablate_blocks as lesions

__all__ = ["Lesion", "Lesions", "lesions"]

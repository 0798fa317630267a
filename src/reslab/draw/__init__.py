"""Networks as pictures: layers as boxes, shortcuts as arcs, side by side by output size."""

from reslab.draw.compose import draw
from reslab.draw.files import FORMATS, check_format, render
from reslab.draw.shapes import Drawing

__all__ = ["FORMATS", "Drawing", "check_format", "draw", "render"]

"""Pictures of what a trained network does: one offline page, and figures for anywhere."""

from reslab.look.inside import DEFAULT, SECTIONS, Look, look_inside
from reslab.look.surface import surface_figure

__all__ = ["DEFAULT", "SECTIONS", "Look", "look_inside", "surface_figure"]

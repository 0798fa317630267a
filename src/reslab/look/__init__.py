"""Pictures of what a trained network does: one offline page, and figures for anywhere."""

from reslab.charts.loss_surface import surface_figure
from reslab.look.inside import DEFAULT, SECTIONS, Look, look_inside

__all__ = ["DEFAULT", "SECTIONS", "Look", "look_inside", "surface_figure"]

"""Charts as SVG, and pictures from pixels: one `Figure`, whatever draws it.

A chart is markup without colors or sizes of its own: `plots.css` with the values of
`display.theme` gives them, on pages and in files of their own. No torch.
"""

"""Figures: each function draws one thing and returns a matplotlib figure; matplotlib loads on use.

On a machine without a display matplotlib itself falls back to Agg, which draws into files.
"""

from tinygrad_llm.plot.curves import curves, descent
from tinygrad_llm.plot.style import save
from tinygrad_llm.plot.tape import graph, tape

__all__ = ["curves", "descent", "graph", "save", "tape"]

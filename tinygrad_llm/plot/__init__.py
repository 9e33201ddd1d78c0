"""Floor 8: figures. Each function draws one thing and returns a matplotlib figure.

matplotlib loads on use; without a display it falls back by itself to Agg, which draws into files.
"""

from tinygrad_llm.plot.attention import attention_maps
from tinygrad_llm.plot.concepts import CONCEPTS, Concept, concept_map
from tinygrad_llm.plot.curves import curves, training_curves
from tinygrad_llm.plot.fonts import readable
from tinygrad_llm.plot.layers import by_depth, gradient_flow, histograms
from tinygrad_llm.plot.matrices import confusion_matrix, heat_maps, images
from tinygrad_llm.plot.paths import descent, paths, surface_of_paths
from tinygrad_llm.plot.projection import projection
from tinygrad_llm.plot.search import search
from tinygrad_llm.plot.shares import shares
from tinygrad_llm.plot.style import save
from tinygrad_llm.plot.surface import Surface, loss_surface, surface_values
from tinygrad_llm.plot.tape import graph, tape
from tinygrad_llm.plot.timings import profile
from tinygrad_llm.plot.tokens import by_vocabulary, pieces

__all__ = [
    "CONCEPTS",
    "Concept",
    "Surface",
    "attention_maps",
    "by_depth",
    "by_vocabulary",
    "concept_map",
    "confusion_matrix",
    "curves",
    "descent",
    "gradient_flow",
    "graph",
    "heat_maps",
    "histograms",
    "images",
    "loss_surface",
    "paths",
    "pieces",
    "profile",
    "projection",
    "readable",
    "save",
    "search",
    "shares",
    "surface_of_paths",
    "surface_values",
    "tape",
    "training_curves",
]

"""Floor 2: the tape. Nodes, the modes under which they are made, and the walk back through them."""

from tinygrad_llm.graph.modes import (
    current_mode,
    detect_anomaly,
    enable_grad,
    keep_values,
    mode,
    no_grad,
)
from tinygrad_llm.graph.nodes import Edge, Node, begin_call, behind, end_call, leaf, record
from tinygrad_llm.graph.walk import Accumulator, Lift, unbroadcast, walk_back

__all__ = [
    "Accumulator",
    "Edge",
    "Lift",
    "Node",
    "begin_call",
    "behind",
    "current_mode",
    "detect_anomaly",
    "enable_grad",
    "end_call",
    "keep_values",
    "leaf",
    "mode",
    "no_grad",
    "record",
    "unbroadcast",
    "walk_back",
]

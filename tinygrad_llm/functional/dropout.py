"""Dropout: elements set to zero by chance, in training."""

from __future__ import annotations

from typing import Any

from tinygrad_llm.backend import random
from tinygrad_llm.functional.arguments import floating, probability
from tinygrad_llm.ops.dropout import Dropout
from tinygrad_llm.tensor import Tensor, apply


def dropout(x: Any, p: float = 0.5, training: bool = True, stream: str = "dropout") -> Tensor:
    """Each element 0 with probability p, else x / (1 − p); the identity out of training (F50).

    p is rounded to a multiple of 1/65,536. The mask comes from the named random stream and is drawn
    again, not stored, in backward.
    Raises ValueError for p outside [0, 1].
    """
    p = probability("dropout: p", p)
    x = floating(x)
    if not training or p == 0.0:
        return x
    return apply(Dropout, x, p=p, draw=random.stream(stream).next())

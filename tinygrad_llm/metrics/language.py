"""How well a language model predicts a text."""

from __future__ import annotations

import math


def perplexity(mean_nll: float) -> float:
    """exp of the mean negative log-likelihood of a token, in nats: inf where that overflows.

    A model that is as unsure as among k equally likely tokens has perplexity k.
    """
    try:
        return math.exp(float(mean_nll))
    except OverflowError:
        return math.inf

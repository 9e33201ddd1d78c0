"""One continuation of each row, token by token: the most probable one, or one drawn by chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tinygrad_llm.backend import random
from tinygrad_llm.generation.configuration import GenerationConfig
from tinygrad_llm.generation.processors import Processor, log_softmax, softmax
from tinygrad_llm.generation.rows import Rows


class Sampler:
    """Draws a token for each of N rows, from random numbers of its own for every row.

    Row i gets the same numbers whatever the other rows are, and however long they go on.
    """

    def __init__(self, rows: int, seed: int | None):
        stream = random.stream("generation") if seed is None else random.Stream("generation", seed)
        draw = stream.next()
        self._generators = [draw.part(row).generator() for row in range(rows)]

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """scores (N, V) -> tokens (N,): where the cumulated probabilities pass a number drawn
        evenly from 0 to their sum. A token of probability 0 never comes."""
        mass = softmax(scores).cumsum(axis=-1)
        drawn = np.array([each.random() for each in self._generators])
        tokens = (mass <= drawn[:, None] * mass[:, -1:]).sum(axis=-1)
        last = (mass < mass[:, -1:]).sum(axis=-1)  # rounding may take the number up to the sum
        return np.minimum(tokens, last)


def continue_rows(
    rows: Rows,
    config: GenerationConfig,
    processors: Sequence[Processor],
    stream: Callable[[int], object] | None,
) -> np.ndarray:
    """Append tokens to rows that have been read, until each ends or is as long as it may be.

    Returns (N,): each row's log-probability, the sum of log p of the tokens up to its end, under
    the processed scores by which they were chosen.
    """
    count, steps = len(rows.ids), config.most_new_tokens(rows.ids.shape[1])
    choose = Sampler(count, config.seed) if config.do_sample else _most_probable
    going, total = np.ones(count, dtype=bool), np.zeros(count)
    for step in range(steps):
        if step:
            rows.read()
        scores = rows.logits
        for process in processors:
            scores = process(rows.ids, scores)
        tokens = np.full(count, config.fill_id)
        _check_choice(scores, going)
        tokens[going] = choose(scores)[going]
        ...
    return total

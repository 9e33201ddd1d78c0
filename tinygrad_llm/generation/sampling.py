"""One continuation of each row, token by token: the most probable one, or one drawn by chance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinygrad_llm.backend import random
from tinygrad_llm.generation.configuration import GenerationConfig
from tinygrad_llm.generation.processors import softmax
from tinygrad_llm.generation.rows import Rows
from tinygrad_llm.ops.softmax import log_softmax

Choice = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""scores (N, V), and which rows these are (N,) -> tokens (N,)."""


class Sampler:
    """Draws a token for each row, by random numbers of its own for every one of them.

    Row i gets the same numbers whatever the other rows are, and however long they go on.
    """

    def __init__(self, rows: int, seed: int | None):
        stream = random.stream("generation") if seed is None else random.Stream("generation", seed)
        draw = stream.next()
        self._generators = [draw.part(row).generator() for row in range(rows)]

    def __call__(self, scores: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Where the cumulated probabilities pass a number drawn evenly from 0 to their sum.

        A token of probability 0 never comes. Numbers drawn are at most 1 - 2**-53, so that their
        products with the sum are less than it, rounded too: there is always a place.
        """
        mass = softmax(scores).cumsum(axis=-1)
        drawn = np.array([self._generators[row].random() for row in rows])[:, None]
        return (mass <= drawn * mass[:, -1:]).sum(axis=-1)


def most_probable(scores: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The token of the greatest score; of equal ones the first."""
    return scores.argmax(axis=-1)


def continue_rows(
    rows: Rows,
    config: GenerationConfig,
    processed: Callable[[Rows], np.ndarray],
    stream: Callable[[int], object] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Lengthen rows that have been read, until each has ended or is as long as it may be.

    Rows that have ended are not read again. Returns ids (N, T), filled up after the end, and each
    row's log-probability (N,): that of its tokens up to the end, under the processed scores.
    """
    prompts, (count, prompt) = rows.ids, rows.ids.shape
    steps = config.most_new_tokens(prompt)
    choose: Choice = Sampler(count, config.seed) if config.do_sample else most_probable
    columns: list[np.ndarray] = []
    total, going = np.zeros(count), np.arange(count)
    while going.size:
        scores = _with_ends(processed(rows), rows, config, len(columns) + 1)
        tokens = choose(scores, going)
        columns.append(np.full(count, config.fill_id))
        columns[-1][going] = tokens
        total[going] += log_softmax(np, scores, -1)[np.arange(len(going)), tokens]
        if stream is not None:
            stream(int(tokens[0]))
        going = _go_on(rows, tokens, going, config, last=len(columns) == steps)
    return np.column_stack([prompts, *columns]), total


def _go_on(
    rows: Rows, tokens: np.ndarray, going: np.ndarray, config: GenerationConfig, last: bool
) -> np.ndarray:
    """Append the tokens, and read on with the rows that they do not end: returns those."""
    rows.append(tokens)
    stay = ~(np.isin(tokens, config.eos_ids) | last)
    if stay.any():
        rows.select(np.flatnonzero(stay))
        rows.read()
    return going[stay]


def _with_ends(scores: np.ndarray, rows: Rows, config: GenerationConfig, step: int) -> np.ndarray:
    """The scores; in a row where no token may come only the end has a probability, and that is 1.

    So the other rows go on. Raises ValueError where no token ends a text.
    """
    stuck = np.isneginf(scores.max(axis=-1))
    if not stuck.any():
        return scores
    if not config.eos_ids:
        raise ValueError(
            f"generate: every token is ruled out in row {rows.numbers[stuck.argmax()]} at new "
            f"token {step}: give an eos_token_id, which then ends the row, a greater "
            "no_repeat_ngram_size or fewer new tokens, or look at your logits_processor"
        )
    scores = scores.copy()
    scores[stuck, config.eos_ids[0]] = 0.0
    return scores

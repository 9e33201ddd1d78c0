"""One continuation of each row, token by token: the most probable one, or one drawn by chance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinygrad_llm.backend import random
from tinygrad_llm.generation.configuration import GenerationConfig
from tinygrad_llm.generation.processors import log_softmax, softmax
from tinygrad_llm.generation.rows import Rows

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
    count, prompt = rows.ids.shape
    most = prompt + config.most_new_tokens(prompt)
    choose: Choice = Sampler(count, config.seed) if config.do_sample else most_probable
    ids = np.full((count, most), config.fill_id)
    ids[:, :prompt] = rows.ids
    total, going = np.zeros(count), np.arange(count)
    while going.size:
        scores = _allowed(processed(rows), going)
        tokens = choose(scores, going)
        length = rows.ids.shape[1]
        ids[going, length] = tokens
        total[going] += log_softmax(scores)[np.arange(len(going)), tokens]
        if stream is not None:
            stream(int(tokens[0]))
        going = _go_on(rows, tokens, going, config, most)
    return ids[:, : rows.ids.shape[1]], total


def _go_on(
    rows: Rows, tokens: np.ndarray, going: np.ndarray, config: GenerationConfig, most: int
) -> np.ndarray:
    """Append the tokens, and read on with the rows that they do not end: returns those."""
    rows.append(tokens)
    stay = ~np.isin(tokens, config.eos_ids) & (rows.ids.shape[1] < most)
    if stay.any():
        rows.select(np.flatnonzero(stay))
        rows.read()
    return going[stay]


def _allowed(scores: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The scores themselves, once every row is known to have a token that may come."""
    if np.isneginf(scores.max(axis=-1)).any():
        row = rows[np.isneginf(scores.max(axis=-1)).argmax()]
        raise ValueError(
            f"generate: every token is ruled out in row {row}: take a greater "
            "no_repeat_ngram_size, fewer new tokens, or look at your logits_processor"
        )
    return scores

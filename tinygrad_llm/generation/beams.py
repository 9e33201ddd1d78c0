"""Beam search: of all continuations of a row, the few most probable are followed side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tinygrad_llm.generation.configuration import GenerationConfig
from tinygrad_llm.generation.rows import Rows


class Text(NamedTuple):
    """A finished text: its score, log-probability / length ** length_penalty, and its ids (T,).

    The length is that of the new tokens, the end included.
    """

    score: float
    ids: np.ndarray


class Finished:
    """The best finished texts of one prompt, at most num_beams, best first; of equals the older.

    steps: how many new tokens a text may have.
    """

    def __init__(self, config: GenerationConfig, steps: int):
        self._config, self.steps = config, steps
        self.texts: list[Text] = []
        self.closed = False

    def add(self, log_probability: float, ids: np.ndarray, length: int) -> None:
        """Take in a text with so many new tokens."""
        score = float(log_probability / length**self._config.length_penalty)
        texts = sorted([*self.texts, Text(score, ids)], key=lambda text: -text.score)
        self.texts = texts[: self._config.num_beams]

    def close(self, best: float, length: int) -> None:
        """End the search if beams, of which the best has this log-probability and length, need not
        be followed: by the rule of early_stopping, or because there are none (-inf)."""
        full = len(self.texts) == self._config.num_beams
        penalty, early = self._config.length_penalty, self._config.early_stopping
        reach = self.steps if early == "never" and penalty > 0.0 else length
        hopeless = full and best / reach**penalty <= self.texts[-1].score
        self.closed = hopeless or (full and early is True) or best == -np.inf


class Beams(NamedTuple):
    """The beams of one prompt after a step, best first: log-probabilities (K,), which beams they
    go on from (K,), and by which tokens (K,). One of log-probability -inf is an empty place."""

    scores: np.ndarray
    parents: np.ndarray
    tokens: np.ndarray


def beam_search(
    rows: Rows, config: GenerationConfig, processed: Callable[[Rows], np.ndarray]
) -> list[list[Text]]:
    """The finished texts of each prompt, best first, by Hugging Face's rules, of rows just read.

    Texts that reach the greatest length are finished by it. Prompts whose search has ended are not
    read again. There are fewer texts than beams where no more exist.
    """
    batch, prompt = rows.ids.shape
    width, steps = config.num_beams, config.most_new_tokens(prompt)
    rows.select(np.repeat(np.arange(batch), width))
    found = [Finished(config, steps) for _ in range(batch)]
    going, live = np.arange(batch), np.full((batch, width), -np.inf)
    live[:, 0] = 0.0  # the other beams are the same text, which would be found once for each
    while going.size:
        scores = live[:, :, None] + processed(rows).reshape(len(going), width, -1)
        for i, number in enumerate(going):
            _end_where_stuck(scores[i], live[i], found[number], config)
        length = rows.ids.shape[1] + 1 - prompt
        texts = rows.ids.reshape(len(going), width, -1)
        beams = [
            _step(scores[i], texts[i], found[number], length, config)
            for i, number in enumerate(going)
        ]
        stay = np.array([not found[i].closed for i in going])
        if stay.any():
            _go_on(rows, beams, stay)
        live = np.array([each.scores for each in beams])[stay]
        going = going[stay]
    return [each.texts for each in found]


def _end_where_stuck(
    scores: np.ndarray, live: np.ndarray, finished: Finished, config: GenerationConfig
) -> None:
    """Let the beams of a prompt end as they are, if no token may come in any of them and too few
    texts are finished: scores (K, V) of continuations, live (K,) of the beams."""
    few = len(finished.texts) < config.num_return_sequences
    if few and config.eos_ids and scores.max() == -np.inf:
        scores[:, config.eos_ids[0]] = live


def _step(
    scores: np.ndarray, ids: np.ndarray, finished: Finished, length: int, config: GenerationConfig
) -> Beams:
    """One more token for the beams of a prompt: scores (K, V) of all continuations, ids (K, T).

    So many candidates are looked at that K of them do not end; only the first K may finish a text.
    """
    width, vocabulary = scores.shape
    places = best(scores.ravel(), max(2, 1 + len(config.eos_ids)) * width)
    values = scores.ravel()[places]
    parents, tokens = np.divmod(places, vocabulary)
    ends = np.isin(tokens, config.eos_ids) | (length == finished.steps)
    for i in np.flatnonzero(ends[:width]):
        finished.add(values[i], np.append(ids[parents[i]], tokens[i]), length)
    on = np.flatnonzero(~ends)[:width]
    finished.close(values[on[0]] if on.size else -np.inf, length)
    empty = (0, width - len(on))
    return Beams(
        np.pad(values[on], empty, constant_values=-np.inf),
        np.pad(parents[on], empty),
        np.pad(tokens[on], empty),
    )


def _go_on(rows: Rows, beams: list[Beams], stay: np.ndarray) -> None:
    """Read on with the beams of the prompts that stay."""
    width = len(beams[0].parents)
    kept = np.flatnonzero(stay)
    rows.select(np.concatenate([i * width + beams[i].parents for i in kept]))
    rows.append(np.concatenate([beams[i].tokens for i in kept]))
    rows.read()


def best(scores: np.ndarray, count: int) -> np.ndarray:
    """The places of the `count` greatest scores (N,), greatest first, of equals the first; places
    at -inf are left out."""
    count = min(count, len(scores))
    least = np.partition(scores, -count)[-count]
    places = np.flatnonzero((scores >= least) & (scores > -np.inf))
    return places[np.argsort(-scores[places], kind="stable")][:count]

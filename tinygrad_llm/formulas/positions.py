"""Forms about where a word stands: F34, F78, G09.

Letters: T positions, D width, V words. p counts positions from 0.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from tinygrad_llm.formulas.attention import attention, attention_gradients
from tinygrad_llm.formulas.embedding import Ids, embedding_gradient
from tinygrad_llm.formulas.numeric import Array, flat, numeric_gradient, project
from tinygrad_llm.formulas.registry import Form, Outcome, Question, case, formula


@formula("G09", "corrected")
def sinusoids(length: int, width: int) -> Array:
    """G09: PE[p, 2i] = sin(p/10000^(2i/D)), PE[p, 2i+1] = cos(p/10000^(2i/D)).

    The two of a pair share one frequency, so a step along the text turns each pair by an angle that
    does not depend on p. -> (T, D), D even.
    """
    angles = np.arange(length)[:, None] / 10000.0 ** (np.arange(0, width, 2) / width)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(length, width)


@formula("G09", "mistake")
def sinusoids_without_pairs(length: int, width: int) -> Array:
    """G09 mistaken: column c has p/10000^(c/D), so that sine and cosine part ways. -> (T, D)."""
    columns = np.arange(width)
    angles = np.arange(length)[:, None] / 10000.0 ** (columns / width)
    return np.where(columns % 2 == 0, np.sin(angles), np.cos(angles))


def bert_input(words: Array, places: Array, segments: Array, ids: Ids, kinds: Ids) -> Array:
    """G09 in BERT: E[w_p] + P[p] + S[k_p], positions and segments learned as words are.

    words E (V, D), places P (at least T, D), segments S (2, D), ids and kinds (T,) -> (T, D).
    """
    return words[ids] + places[: len(ids)] + segments[kinds]


def bert_input_gradients(ids: Ids, kinds: Ids, sizes: tuple[int, int, int], g: Array) -> Array:
    """dE, dP and dS for the cotangent g (T, D), flattened: G04 in each table of `sizes` rows."""
    rows = ids, np.arange(len(ids)), kinds
    return flat(*(embedding_gradient(row, g, size) for row, size in zip(rows, sizes)))


@formula("F78", "corrected")
def with_positions(X: Array) -> Array:
    """F78: X + PE of G09, a different row for each place. X (T, D) -> (T, D)."""
    return X + sinusoids(*X.shape)


@formula("F78", "mistake")
def with_counted_positions(X: Array) -> Array:
    """F78 mistaken: X + p, the number of the place itself in all features.

    The document names positional encoding and prints none. A number grows with the text and drowns
    the words. X (T, D) -> (T, D).
    """
    return X + np.arange(float(len(X)))[:, None]


@formula("F34", "corrected")
def encoder_input(table: Array, ids: Ids) -> Array:
    """F34: √D emb(w_p) + PE[p] (G09). table (V, D), ids (T,) -> (T, D).

    √D lifts rows of deviation 1/√D to the size of the sines.
    """
    return np.sqrt(table.shape[1]) * table[ids] + sinusoids(len(ids), table.shape[1])


@formula("F34", "printed")
def encoder_input_printed(table: Array, ids: Ids) -> Array:
    """F34 as printed: [emb(w_1), …, emb(w_9)], the words alone.

    An encoder of it cannot know their order: permuted words give permuted outputs. Shapes as F34.
    """
    return table[ids]


def _turns(length: int, width: int) -> Array:
    """G09's table by multiplication alone: each pair of a row is the last one's, turned."""
    pace = 1e4 ** (-np.arange(0, width, 2) / width)
    turned = np.cumprod(np.tile(np.exp(1j * pace), (length, 1)), axis=0) / np.exp(1j * pace)
    return np.stack([turned.imag, turned.real], axis=-1).reshape(length, width)


@case("G09", "six positions", Outcome.DIFFERS)
def _table_question(rng: np.random.Generator) -> Question:
    width = 2 * int(rng.integers(2, 9))
    return Question(_turns(6, width), lambda form: form(6, width))


def _attended_slope(X: Array, g: Array) -> Array:
    """dX of self-attention without projections."""
    return attention_gradients(X, X, X, g).reshape(3, *X.shape).sum(axis=0)


@case("F78", "through self-attention", Outcome.DIFFERS)
def _position_question(rng: np.random.Generator) -> Question:
    X, g = rng.normal(size=(2, 4, 6))

    def claim(form: Form) -> Array:
        return numeric_gradient(lambda X: project(attention(*[form(X)] * 3), g), X)

    return Question(_attended_slope(X + _turns(4, 6), g), claim)


def _input_question(ids: Ids, rng: np.random.Generator) -> Question:
    table, g = rng.normal(size=(5, 6)), rng.normal(size=(len(ids), 6))
    X = np.sqrt(6.0) * table[ids] + _turns(len(ids), 6)

    def claim(form: Form) -> Array:
        return numeric_gradient(lambda E: project(attention(*[form(E, ids)] * 3), g), table)

    return Question(np.sqrt(6.0) * embedding_gradient(ids, _attended_slope(X, g), 5), claim)


case("F34", "four words, then self-attention", Outcome.DIFFERS)(
    partial(_input_question, np.array([3, 0, 4, 1]))
)
case("F34", "a word twice", Outcome.DIFFERS)(partial(_input_question, np.array([2, 0, 2])))

"""Forms about the decoder, what it reads and what it says: F33, F38, F39, F41, F43, F88.

Letters: T target words, S source words, D width, V vocabulary, L layers. F40 is with the masks of
attention, F42 with the encoder's F36.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from tinygrad_llm.formulas.embedding import Ids, embedding_gradient
from tinygrad_llm.formulas.encoder import attended_gradients, fed, fed_bare, fed_gradient, norm
from tinygrad_llm.formulas.feeding import Net, draw_net
from tinygrad_llm.formulas.heads import Heads, draw_heads
from tinygrad_llm.formulas.neuron import softmax
from tinygrad_llm.formulas.numeric import Array, flat, numeric_gradient, numeric_gradients, project
from tinygrad_llm.formulas.registry import Form, Outcome, Question, case, formula


@dataclass(frozen=True)
class Block:
    """The weights of one block; `cross` is the decoder's alone."""

    own: Heads
    cross: Heads
    net: Net


@formula("F33", "corrected")
def block(x: Array, memory: Array | None, weights: Block) -> Array:
    """F33: x ← LN(x + MHA(x)), x ← LN(x + FFN(x)); in a decoder MHA sees no later word, and between
    the two x ← LN(x + MHA(x, memory)).

    x (T, D), memory (S, D) in a decoder, None in an encoder -> (T, D).
    """
    if memory is None:
        return fed(norm(x + weights.own(x, x)), weights.net)
    first = norm(x + weights.own(x, x, np.tri(len(x), dtype=bool)))
    return fed(cross_attended(x, first, memory, weights.cross), weights.net)


@formula("F33", "printed")
def block_printed(x: Array, memory: Array | None, weights: Block) -> Array:
    """F33 as printed: input → MHA → FFN → output, for encoder and decoder alike.

    No residual sum and no norm; a decoder that sees what it is to say, and not the source.
    Shapes as F33.
    """
    return fed_bare(weights.own(x, x), weights.net)


@formula("F38", "corrected", "printed")
def context(states: Array) -> Array:
    """F38: the context is the output of the encoder's last layer. Right as printed.

    states (L, S, D) of all layers -> (S, D), the same for every layer of the decoder.
    """
    return states[-1]


@formula("F39", "corrected")
def decoder_ids(target: Ids, start: int) -> Ids:
    """F39: [start, y_1, …, y_T−1], the target shifted right: y_t is said by one who has read up to
    y_t−1. target (T,) -> (T,)."""
    return np.concatenate([[start], target[:-1]])


@formula("F39", "printed")
def decoder_ids_printed(target: Ids, start: int) -> Ids:
    """F39 as printed: the decoder's input is the text that it is to say.

    Copying the input is all it needs to learn. target (T,) -> (T,).
    """
    return target


@formula("F41", "corrected")
def cross_attended(x: Array, first: Array, memory: Array, heads: Heads) -> Array:
    """F41: o_2 = LN(o_1 + MHA(o_1, E, E)): what came of the first attention asks the source.

    x the decoder's embeddings (T, D), first o_1 (T, D), memory E (S, D) -> (T, D).
    """
    return norm(first + heads(first, memory))


@formula("F41", "printed")
def cross_attended_printed(x: Array, first: Array, memory: Array, heads: Heads) -> Array:
    """F41 as printed: o_2 = MHA(dec, ctx, output), where output is ctx, by F38.

    o_1 is computed and thrown away: the first attention learns nothing. Shapes as F41.
    """
    return heads(x, memory)


@formula("F43", "corrected")
def word_probabilities(x: Array, W: Array, b: Array) -> Array:
    """F43: softmax(o_3 W + b), W over the vocabulary. x (T, D), W (D, V), b (V,) -> (T, V)."""
    return softmax(x @ W + b)


@formula("F43", "printed")
def word_scores(x: Array, W: Array, b: Array) -> Array:
    """F43 as printed: o_3 W_O + b_O, which are scores: below 0, and of any sum. Shapes as F43."""
    return x @ W + b


@formula("F88", "corrected")
def sequence_scores(states: Array, W: Array) -> Array:
    """F88: of the last layer, the states of every position: T of them say T words.

    states (L, T, D) of all layers, W (D, V) -> (T, V).
    """
    return states[-1] @ W


@formula("F88", "printed")
def sequence_scores_printed(states: Array, W: Array) -> Array:
    """F88 as printed, in words: the decoder's last hidden state gives the sequence.

    Read as the state of the last position, one state has to say every word. Shapes as F88.
    """
    return np.repeat(states[-1, -1:] @ W, states.shape[1], axis=0)


def draw_block(rng: np.random.Generator, width: int = 6) -> Block:
    """Two heads, and 8 hidden units."""
    return Block(draw_heads(rng, width, 2), draw_heads(rng, width, 2), draw_net(rng, width, 8))


@case("F33", "an encoder's block", Outcome.DIFFERS)
def _encoder_question(rng: np.random.Generator) -> Question:
    (x, g), weights = rng.normal(size=(2, 3, 6)), draw_block(rng)
    slope = fed_gradient(norm(x + weights.own(x, x)), weights.net, g)
    return Question(
        np.sum(attended_gradients(x, x, weights.own, slope), axis=0),
        lambda form: numeric_gradient(lambda x: project(form(x, None, weights), g), x),
    )


@case("F33", "a decoder's block", Outcome.DIFFERS)
def _decoder_question(rng: np.random.Generator) -> Question:
    (x, g), memory, weights = rng.normal(size=(2, 3, 6)), rng.normal(size=(4, 6)), draw_block(rng)
    past = np.tri(3, dtype=bool)
    first = norm(x + weights.own(x, x, past))
    slope = fed_gradient(norm(first + weights.cross(first, memory)), weights.net, g)
    slope, dmemory = attended_gradients(first, memory, weights.cross, slope)
    dx = np.sum(attended_gradients(x, x, weights.own, slope, past), axis=0)

    def claim(form: Form) -> Array:
        return numeric_gradients(lambda *p: project(form(*p, weights), g), x, memory)

    return Question(flat(dx, dmemory), claim)


@case("F38", "three layers", Outcome.AGREES)
def _context_question(rng: np.random.Generator) -> Question:
    states, g = rng.normal(size=(3, 4, 2)), rng.normal(size=(4, 2))
    truth = np.zeros(states.shape)
    truth[2] = g
    return Question(
        truth, lambda form: numeric_gradient(lambda states: project(form(states), g), states)
    )


@case("F39", "four words, the start token 0", Outcome.DIFFERS)
def _shift_question(rng: np.random.Generator) -> Question:
    """In an embedding table: the last word's row gets nothing, the start token's row does."""
    table, g, target = rng.normal(size=(6, 3)), rng.normal(size=(4, 3)), rng.permutation(5)[:4] + 1
    truth = embedding_gradient(target[:3], g[1:], 6)
    truth[0] = g[0]
    return Question(
        truth, lambda form: numeric_gradient(lambda E: project(E[form(target, 0)], g), table)
    )


@case("F41", "three words, a source of four", Outcome.DIFFERS)
def _cross_question(rng: np.random.Generator) -> Question:
    """The embeddings themselves get nothing here: their way is through the first attention."""
    (x, first, g), memory = rng.normal(size=(3, 3, 6)), rng.normal(size=(4, 6))
    heads = draw_heads(rng, 6, 2)
    dfirst, dmemory = attended_gradients(first, memory, heads, g)

    def claim(form: Form) -> Array:
        return numeric_gradients(lambda *p: project(form(*p, heads), g), x, first, memory)

    return Question(flat(np.zeros(x.shape), dfirst, dmemory), claim)


@case("F43", "three words of five", Outcome.DIFFERS)
def _probability_question(rng: np.random.Generator) -> Question:
    """The truth comes by the Jacobian of each row's softmax, diag(p) − p pᵀ, written out."""
    x, g, W, b = (rng.normal(size=s) for s in ((3, 4), (3, 5), (4, 5), (5,)))
    dz = np.zeros((3, 5))
    for slope, scores, cotangent in zip(dz, x @ W + b, g):
        p = np.exp(scores) / np.sum(np.exp(scores))
        slope += (np.diag(p) - np.outer(p, p)) @ cotangent
    return Question(
        flat(dz @ W.T, x.T @ dz, dz.sum(axis=0)),
        lambda form: numeric_gradients(lambda *p: project(form(*p), g), x, W, b),
    )


def _state_question(length: int, rng: np.random.Generator) -> Question:
    states, W = rng.normal(size=(2, length, 3)), rng.normal(size=(3, 5))
    g = rng.normal(size=(length, 5))
    dstates = np.zeros(states.shape)
    dstates[1] = g @ W.T
    return Question(
        flat(dstates, states[1].T @ g),
        lambda form: numeric_gradients(lambda *p: project(form(*p), g), states, W),
    )


case("F88", "three words", Outcome.DIFFERS)(partial(_state_question, 3))
case("F88", "one word", Outcome.AGREES)(partial(_state_question, 1))

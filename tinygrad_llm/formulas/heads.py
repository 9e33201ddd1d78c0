"""Forms about the heads of multi-head attention: F30, F31, F73, F86.

Letters: T queries, S keys, D width, H heads, K = D/H width of a head, F hidden units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinygrad_llm.formulas.attention import (
    Mask,
    attention,
    attention_gradients,
    masked_attention,
    masked_gradients,
)
from tinygrad_llm.formulas.feeding import Net, draw_net, feed_forward, feed_forward_gradients
from tinygrad_llm.formulas.numeric import Array, flat, numeric_gradients, project, unflat
from tinygrad_llm.formulas.registry import Form, Outcome, Question, case, formula


@formula("F30", "corrected", "printed")
def combine(heads: Array, out: Array) -> Array:
    """F30: Concat(head_1, …, head_h) W^O: the heads side by side, and one matrix over all of them.

    Right as printed. heads (H, T, K), out W^O (H·K, D) -> (T, D).
    """
    return np.concatenate(list(heads), axis=-1) @ out


@formula("F31", "corrected")
def head(Q: Array, K: Array, V: Array, WQ: Array, WK: Array, WV: Array) -> Array:
    """F31: head_i = Attention(Q W_i^Q, K W_i^K, V W_i^V), with a map of its own.

    Q (T, D), K and V (S, D), each matrix (D, K) -> (T, K).
    """
    return attention(Q @ WQ, K @ WK, V @ WV)


@formula("F31", "printed")
def head_printed(Q: Array, K: Array, V: Array, WQ: Array, WK: Array, WV: Array) -> Array:
    """F31 as printed: head_i = Attention(Q, K, V) W_i, projected when all is over.

    All heads have the same map, and with W^O they are one head times one matrix. Shapes as F31.
    """
    return attention(Q, K, V) @ WV


@formula("F73", "corrected")
def fed_after_heads(heads: Array, out: Array, net: Net) -> Array:
    """F73: FFN(Concat(head_1, …, head_h) W^O), once at each position, over all D features.

    heads (H, T, K), out (H·K, D), net as F32 -> (T, D).
    """
    return feed_forward(combine(heads, out), *net)


@formula("F73", "printed")
def fed_in_heads(heads: Array, out: Array, net: Net) -> Array:
    """F73 as printed, in words: the FFN acts on the output of each head, and then W^O.

    K features do not fit W_1 (D, F): head i gets its rows of W_1 and its columns of W_2. No hidden
    unit sees two heads together. Shapes as F73.
    """
    W1, b1, W2, b2 = net
    count = len(heads)
    parts = zip(heads, np.split(W1, count), np.split(W2, count, axis=1), np.split(b2, count))
    return combine(np.array([feed_forward(x, up, b1, down, b) for x, up, down, b in parts]), out)


@formula("F86", "corrected")
def split_features(Q: Array, K: Array, V: Array, heads: int) -> Array:
    """F86: every head reads the whole sequence and has D/H features of it.

    Q (T, D), K and V (S, D) -> (T, D).
    """
    parts = zip(*(np.split(x, heads, axis=1) for x in (Q, K, V)))
    return np.concatenate([attention(*part) for part in parts], axis=1)


@formula("F86", "printed")
def split_sequence(Q: Array, K: Array, V: Array, heads: int) -> Array:
    """F86 as printed, in words: the sequence is split, and each head has one piece of it.

    No word hears of a word in another piece. Shapes as F86, T and S multiples of H.
    """
    parts = zip(*(np.split(x, heads) for x in (Q, K, V)))
    return np.concatenate([attention(*part) for part in parts])


@dataclass(frozen=True)
class Heads:
    """W^Q, W^K and W^V of all heads, (H, D, K) each, and W^O (H·K, D): MHA(x, memory, memory)."""

    query: Array
    key: Array
    value: Array
    out: Array

    def __call__(self, x: Array, memory: Array, allowed: Mask | None = None) -> Array:
        """x (T, D) asks memory (S, D); allowed (T, S), everything where None -> (T, D)."""
        seen = np.ones((len(x), len(memory)), dtype=bool) if allowed is None else allowed
        matrices = zip(self.query, self.key, self.value)
        heads = [masked_attention(x @ q, memory @ k, memory @ v, seen) for q, k, v in matrices]
        return combine(np.array(heads), self.out)

    def gradients(
        self, x: Array, memory: Array, g: Array, allowed: Mask | None = None
    ) -> tuple[Array, Array]:
        """dx (T, D) and dmemory (S, D) for the cotangent g (T, D), by G05 in each head."""
        seen = np.ones((len(x), len(memory)), dtype=bool) if allowed is None else allowed
        dx, dmemory = np.zeros(x.shape), np.zeros(memory.shape)
        slopes = np.split(g @ self.out.T, len(self.query), axis=1)
        for q, k, v, slope in zip(self.query, self.key, self.value, slopes):
            inputs = x @ q, memory @ k, memory @ v
            dq, dk, dv = unflat(masked_gradients(*inputs, seen, slope), *inputs)
            dx += dq @ q.T
            dmemory += dk @ k.T + dv @ v.T
        return dx, dmemory


def draw_heads(rng: np.random.Generator, width: int, heads: int) -> Heads:
    """Matrices of deviation 1/√D, so that no output is larger than its input."""
    query, key, value = rng.normal(size=(3, heads, width, width // heads)) / np.sqrt(width)
    return Heads(query, key, value, rng.normal(size=(width, width)) / np.sqrt(width))


@case("F30", "two heads", Outcome.AGREES)
def _combine_question(rng: np.random.Generator) -> Question:
    heads, out, g = rng.normal(size=(2, 3, 2)), rng.normal(size=(4, 4)), rng.normal(size=(3, 4))
    dheads = np.array([g @ rows.T for rows in np.split(out, 2)])
    dout = np.concatenate([one.T @ g for one in heads])
    return Question(
        flat(dheads, dout),
        lambda form: numeric_gradients(lambda *p: project(form(*p), g), heads, out),
    )


@case("F31", "one of two heads", Outcome.DIFFERS)
def _head_question(rng: np.random.Generator) -> Question:
    """The truth comes by G05, then through each of the matrices."""
    Q, (K, V) = rng.normal(size=(3, 4)), rng.normal(size=(2, 5, 4))
    matrices, g = rng.normal(size=(3, 4, 2)), rng.normal(size=(3, 2))
    q, k, v = (x @ W for x, W in zip((Q, K, V), matrices))
    slopes = unflat(attention_gradients(q, k, v, g), q, k, v)
    dx = [slope @ W.T for slope, W in zip(slopes, matrices)]
    dW = [x.T @ slope for x, slope in zip((Q, K, V), slopes)]
    return Question(
        flat(*dx, *dW),
        lambda form: numeric_gradients(lambda *p: project(form(*p), g), Q, K, V, *matrices),
    )


@case("F73", "two heads", Outcome.DIFFERS)
def _fed_question(rng: np.random.Generator) -> Question:
    heads, out, g = rng.normal(size=(2, 3, 2)), rng.normal(size=(4, 4)), rng.normal(size=(3, 4))
    net = draw_net(rng, 4, 6)
    joined = np.concatenate(list(heads), axis=1)
    dx = unflat(feed_forward_gradients(joined @ out, *net, g), joined @ out, *net)[0]
    truth = flat(np.array(np.split(dx @ out.T, 2, axis=1)), joined.T @ dx)

    def claim(form: Form) -> Array:
        return numeric_gradients(lambda *p: project(form(*p, net), g), heads, out)

    return Question(truth, claim)


@case("F86", "two heads, four words", Outcome.DIFFERS)
def _split_question(rng: np.random.Generator) -> Question:
    Q, K, V, g = rng.normal(size=(4, 4, 6))
    slopes = np.zeros((3, 4, 6))
    for own in (slice(0, 3), slice(3, 6)):
        inputs = Q[:, own], K[:, own], V[:, own]
        slopes[:, :, own] = unflat(attention_gradients(*inputs, g[:, own]), *inputs)
    return Question(
        np.ravel(slopes),
        lambda form: numeric_gradients(lambda *p: project(form(*p, 2), g), Q, K, V),
    )

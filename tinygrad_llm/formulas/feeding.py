"""Forms about the feed-forward network at each position: F32, F77.

Letters: T positions, D width, F hidden units. A network is W_1 (D, F), b_1 (F,), W_2 (F, D) and
b_2 (D,).
"""

from __future__ import annotations

import numpy as np

from tinygrad_llm.formulas.neuron import relu
from tinygrad_llm.formulas.numeric import Array, flat, numeric_gradients, project, unflat
from tinygrad_llm.formulas.registry import Form, Outcome, Question, case, formula

Net = tuple[Array, Array, Array, Array]


@formula("F32", "corrected", "printed")
def feed_forward(x: Array, W1: Array, b1: Array, W2: Array, b2: Array) -> Array:
    """F32: max(0, x W_1 + b_1) W_2 + b_2 at each position alone. Right as printed.

    x (T, D), W1 (D, F), b1 (F,), W2 (F, D), b2 (D,) -> (T, D).
    """
    return relu(x @ W1 + b1) @ W2 + b2


def feed_forward_gradients(x: Array, W1: Array, b1: Array, W2: Array, b2: Array, g: Array) -> Array:
    """dx, dW_1, db_1, dW_2 and db_2 of F32 for the cotangent g (T, D), flattened one after another,
    by G03 and the derivative of ReLU."""
    z = x @ W1 + b1
    dz = g @ W2.T * (z > 0.0)
    return flat(dz @ W1.T, x.T @ dz, dz.sum(axis=0), relu(z).T @ g, g.sum(axis=0))


@formula("F77", "corrected")
def one_network(x: Array, first: Net, second: Net) -> Array:
    """F77: FFN(x), one network of two linear maps: 2DF weights. x (T, D) -> (T, D)."""
    return feed_forward(x, *first)


@formula("F77", "printed")
def two_networks(x: Array, first: Net, second: Net) -> Array:
    """F77 as printed, in words: two feed-forward networks, one after the other.

    Four linear maps and 4DF weights, twice those of a block. x (T, D) -> (T, D).
    """
    return feed_forward(feed_forward(x, *first), *second)


def draw_net(rng: np.random.Generator, width: int, hidden: int) -> Net:
    """Matrices of deviation 1/√in, and biases of 0.1."""
    return (
        rng.normal(size=(width, hidden)) / np.sqrt(width),
        0.1 * rng.normal(size=hidden),
        rng.normal(size=(hidden, width)) / np.sqrt(hidden),
        0.1 * rng.normal(size=width),
    )


@case("F32", "three positions", Outcome.AGREES)
def _network_question(rng: np.random.Generator) -> Question:
    (x, g), net = rng.normal(size=(2, 3, 4)), draw_net(rng, 4, 6)
    return Question(
        feed_forward_gradients(x, *net, g),
        lambda form: numeric_gradients(lambda *p: project(form(*p), g), x, *net),
    )


@case("F77", "three positions", Outcome.DIFFERS)
def _count_question(rng: np.random.Generator) -> Question:
    (x, g), nets = rng.normal(size=(2, 3, 4)), (draw_net(rng, 4, 6), draw_net(rng, 4, 6))
    truth = unflat(feed_forward_gradients(x, *nets[0], g), x, *nets[0])[0]

    def claim(form: Form) -> Array:
        return numeric_gradients(lambda x: project(form(x, *nets), g), x)

    return Question(np.ravel(truth), claim)

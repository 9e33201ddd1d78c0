"""Forms about the steps of an encoder's block: F35, F36, F37, and F42, the decoder's F36.

Letters: T positions, D width. Layer norms have γ = 1 and β = 0 here; G07 has the general one.
"""

from __future__ import annotations

import numpy as np

from tinygrad_llm.formulas.attention import Mask
from tinygrad_llm.formulas.blocks import layer_norm, layer_norm_gradients
from tinygrad_llm.formulas.feeding import Net, draw_net, feed_forward, feed_forward_gradients
from tinygrad_llm.formulas.heads import Heads, draw_heads
from tinygrad_llm.formulas.numeric import Array, flat, numeric_gradient, numeric_gradients, project
from tinygrad_llm.formulas.registry import Outcome, Question, case, formula


def norm(x: Array) -> Array:
    """The layer norm of G07 with γ = 1 and β = 0. x (T, D) -> (T, D)."""
    return layer_norm(x, np.ones(x.shape[-1]), np.zeros(x.shape[-1]))


def norm_gradient(x: Array, g: Array) -> Array:
    """dx of `norm` for the cotangent g (T, D), by G07."""
    return layer_norm_gradients(x, np.ones(x.shape[-1]), g)[: x.size].reshape(x.shape)


@formula("F35", "corrected")
def attended(x: Array, heads: Heads) -> Array:
    """F35: o_1 = LN(X + MHA(X, X, X)), in a residual sum with its norm. x (T, D) -> (T, D)."""
    return norm(x + heads(x, x))


@formula("F35", "printed")
def attended_bare(x: Array, heads: Heads) -> Array:
    """F35 as printed: o_1 = MHA(X, X, X). What a word was is gone; its neighbours' mean is left.

    x (T, D) -> (T, D).
    """
    return heads(x, x)


@formula("F36", "corrected")
@formula("F42", "corrected")
def fed(x: Array, net: Net) -> Array:
    """F36, F42: LN(o + FFN(o)), the encoder's o_2 and the decoder's o_3. x (T, D) -> (T, D)."""
    return norm(x + feed_forward(x, *net))


@formula("F36", "printed")
@formula("F42", "printed")
def fed_bare(x: Array, net: Net) -> Array:
    """F36, F42 as printed: FFN(o).

    With F35's, block after block, the gradient dies and all words become the same.
    x (T, D) -> (T, D).
    """
    return feed_forward(x, *net)


@formula("F37", "corrected")
def encoder_output(x: Array, W: Array, b: Array) -> Array:
    """F37: the last block's o_2 itself; W and b do not exist. x (T, D) -> (T, D)."""
    return x


@formula("F37", "printed")
def encoder_output_printed(x: Array, W: Array, b: Array) -> Array:
    """F37 as printed: o_2 W_O + b_O, a linear map after the norm, D² + D weights too many.

    W_O is F30's name too, of another matrix. x (T, D), W (D, D), b (D,) -> (T, D).
    """
    return x @ W + b


def attended_gradients(
    x: Array, memory: Array, heads: Heads, g: Array, allowed: Mask | None = None
) -> tuple[Array, Array]:
    """dx (T, D) and dmemory (S, D) of LN(x + MHA(x, memory, memory)) for the cotangent g."""
    through = norm_gradient(x + heads(x, memory, allowed), g)
    dx, dmemory = heads.gradients(x, memory, through, allowed)
    return through + dx, dmemory


def fed_gradient(x: Array, net: Net, g: Array) -> Array:
    """dx of LN(x + FFN(x)) for the cotangent g (T, D)."""
    through = norm_gradient(x + feed_forward(x, *net), g)
    return through + feed_forward_gradients(x, *net, through)[: x.size].reshape(x.shape)


@case("F35", "two heads, three words", Outcome.DIFFERS)
def _attended_question(rng: np.random.Generator) -> Question:
    (x, g), heads = rng.normal(size=(2, 3, 6)), draw_heads(rng, 6, 2)
    return Question(
        np.sum(attended_gradients(x, x, heads, g), axis=0),
        lambda form: numeric_gradient(lambda x: project(form(x, heads), g), x),
    )


def _fed_question(rng: np.random.Generator) -> Question:
    (x, g), net = rng.normal(size=(2, 3, 6)), draw_net(rng, 6, 8)
    return Question(
        fed_gradient(x, net, g),
        lambda form: numeric_gradient(lambda x: project(form(x, net), g), x),
    )


case("F36", "three words", Outcome.DIFFERS)(_fed_question)
case("F42", "three words", Outcome.DIFFERS)(_fed_question)


@case("F37", "three words", Outcome.DIFFERS)
def _output_question(rng: np.random.Generator) -> Question:
    (x, g), W, b = rng.normal(size=(2, 3, 4)), rng.normal(size=(4, 4)), rng.normal(size=4)
    return Question(
        flat(g, np.zeros(W.shape), np.zeros(b.shape)),
        lambda form: numeric_gradients(lambda *p: project(form(*p), g), x, W, b),
    )

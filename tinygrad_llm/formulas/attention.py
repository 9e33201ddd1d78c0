"""Forms about scaled dot-product attention and its masks: F28, F29, F40, F45, F52, F79, F85, G05,
G06.

Letters: T queries, S keys, K width of queries and keys, E width of values, D width of both.
`allowed` is (T, S), True where a query may see a key.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from tinygrad_llm.formulas.neuron import softmax
from tinygrad_llm.formulas.numeric import Array, flat, numeric_gradient, numeric_gradients, project
from tinygrad_llm.formulas.registry import Form, Outcome, Question, case, formula

Mask = npt.NDArray[np.bool_]
Ids = npt.NDArray[np.int64]


@formula("F28", "corrected", "printed")
@formula("F29", "corrected", "printed")
@formula("F45", "corrected", "printed")
@formula("F52", "corrected")
@formula("F85", "corrected")
def attention(Q: Array, K: Array, V: Array) -> Array:
    """F28, F29, F45, F52, F85: softmax(QKᵀ/√d_k) V, the softmax over each row: every query weighs
    the keys, then sums their values, and nothing acts on the sum.

    Right as printed, three times; the axis of the softmax and the mask are left to the reader.
    Q (T, K), K (S, K), V (S, E) -> (T, E).
    """
    return softmax(Q @ K.T / np.sqrt(K.shape[-1])) @ V


@formula("F52", "printed")
def attention_activated_last(Q: Array, K: Array, V: Array) -> Array:
    """F52 as printed, in steps: scores, sum of the values weighed by them, then the activation.

    The softmax belongs before the sum. After it, scores of any size and sign weigh the values, and
    each row of the output is squeezed into a distribution over features. Shapes as F28.
    """
    return softmax(Q @ K.T / np.sqrt(K.shape[-1]) @ V)


@formula("F85", "printed")
def sum_of_similarities(Q: Array, K: Array, V: Array) -> Array:
    """F85 as printed, in words: Σ_j a_ij s_ij, a weighted sum of the similarities.

    What the keys' words say, V, never arrives: one number a query. Q (T, K), K (S, K) -> (T, 1).
    """
    scores = Q @ K.T / np.sqrt(K.shape[-1])
    return np.sum(softmax(scores) * scores, axis=-1, keepdims=True)


@formula("G05", "corrected")
def attention_gradients(Q: Array, K: Array, V: Array, cotangent: Array) -> Array:
    """G05: dV = AᵀG, dA = GVᵀ, dS = A·(dA − rowsum(dA·A)), dQ = dS K/√d_k, dK = dSᵀ Q/√d_k.

    Q (T, K), K (S, K), V (S, E), cotangent G (T, E) -> dQ, dK and dV, flattened one after another.
    """
    A = softmax(Q @ K.T / np.sqrt(K.shape[-1]))
    dA = cotangent @ V.T
    dS = A * (dA - np.sum(dA * A, axis=-1, keepdims=True)) / np.sqrt(K.shape[-1])
    return flat(dS @ K, dS.T @ Q, A.T @ cotangent)


@formula("G05", "mistake")
def attention_gradients_elementwise(Q: Array, K: Array, V: Array, cotangent: Array) -> Array:
    """G05 mistaken: dS = dA·A·(1 − A), as if each weight depended on its own score alone."""
    A = softmax(Q @ K.T / np.sqrt(K.shape[-1]))
    dS = (cotangent @ V.T) * A * (1.0 - A) / np.sqrt(K.shape[-1])
    return flat(dS @ K, dS.T @ Q, A.T @ cotangent)


@formula("G06", "corrected")
def masked_attention(Q: Array, K: Array, V: Array, allowed: Mask) -> Array:
    """G06: score −∞ where a query may not see a key, before the softmax; a query that may see no
    key gives 0.

    Q (T, K), K (S, K), V (S, E), allowed (T, S) -> (T, E).
    """
    scores = np.where(allowed, Q @ K.T / np.sqrt(K.shape[-1]), -np.inf)
    seeing = allowed.any(axis=-1)
    weights = np.zeros(scores.shape)
    weights[seeing] = softmax(scores[seeing])
    return weights @ V


@formula("G06", "mistake")
def attention_with_a_large_number(Q: Array, K: Array, V: Array, allowed: Mask) -> Array:
    """G06 mistaken: −10⁹ added to the scores that are not allowed.

    Right while a key is allowed. Without one, all scores have moved by the same number, which a
    softmax does not see: the query sees everything. Shapes as G06.
    """
    return softmax(Q @ K.T / np.sqrt(K.shape[-1]) - 1e9 * ~allowed) @ V


def attention_with_minus_infinity(Q: Array, K: Array, V: Array, allowed: Mask) -> Array:
    """G06 by −∞ alone: a query without keys gives −∞ − (−∞), which is NaN. Shapes as G06."""
    return softmax(np.where(allowed, Q @ K.T / np.sqrt(K.shape[-1]), -np.inf)) @ V


@formula("F40", "corrected")
def decoder_self_attention(decoder: Array, context: Array) -> Array:
    """F40: MHA(dec, dec, dec; causal): position i sees the positions up to i of its own sequence.

    One head, its projections left out. decoder (T, D), context (S, D) -> (T, D).
    """
    past = np.tri(len(decoder), dtype=bool)
    return masked_attention(decoder, decoder, decoder, past)


@formula("F40", "printed")
def decoder_self_attention_printed(decoder: Array, context: Array) -> Array:
    """F40 as printed: MHA(dec, ctx, ctx), called self-attention.

    It is cross-attention: no position of the target hears of another. Shapes as F40.
    """
    return attention(decoder, context, context)


@formula("F79", "corrected")
def padding_mask(ids: Ids, pad: int) -> Array:
    """F79: m_j = 1 where id_j is not that of the padding, else 0. ids (S,) -> (S,)."""
    return (ids != pad).astype(float)


@formula("F79", "printed")
def padding_mask_printed(ids: Ids, pad: int) -> Array:
    """F79 as printed: all ones, so that the padding is attended to as text is. ids (S,) -> (S,)."""
    return np.ones(ids.shape)


def masked_gradients(Q: Array, K: Array, V: Array, allowed: Mask, cotangent: Array) -> Array:
    """dQ, dK, dV of masked attention, flattened: each query alone, with the keys that it sees."""
    dQ, dK, dV = np.zeros(Q.shape), np.zeros(K.shape), np.zeros(V.shape)
    for i, row in enumerate(allowed):
        if row.any():
            found = attention_gradients(Q[i : i + 1], K[row], V[row], cotangent[i : i + 1])
            ends = np.cumsum([Q.shape[1], K[row].size])
            first, second, third = np.split(found, ends)
            dQ[i] += first
            dK[row] += second.reshape(-1, K.shape[1])
            dV[row] += third.reshape(-1, V.shape[1])
    return flat(dQ, dK, dV)


def draw_attention(rng: np.random.Generator, width: int = 2) -> tuple[Array, Array, Array, Array]:
    """Q (3, 4), K (5, 4), V (5, width) and a cotangent (3, width)."""
    Q, K = rng.normal(size=(3, 4)), rng.normal(size=(5, 4))
    return Q, K, rng.normal(size=(5, width)), rng.normal(size=(3, width))


def _attention_question(width: int, rng: np.random.Generator) -> Question:
    """The truth comes by the Jacobian of each row's softmax, diag(a) − a aᵀ, written out."""
    Q, K, V, cotangent = draw_attention(rng, width)
    dQ, dK, dV = np.zeros(Q.shape), np.zeros(K.shape), np.zeros(V.shape)
    for q, g, dq in zip(Q, cotangent, dQ):
        grown = np.exp(K @ q / 2.0)
        a = grown / np.sum(grown)
        ds = (np.diag(a) - np.outer(a, a)) @ V @ g / 2.0
        dq += ds @ K
        dK += np.outer(ds, q)
        dV += np.outer(a, g)
    return Question(
        flat(dQ, dK, dV),
        lambda form: numeric_gradients(lambda *p: project(form(*p), cotangent), Q, K, V),
    )


for _id, _other in {
    **dict.fromkeys(("F28", "F29", "F45"), Outcome.AGREES),
    "F52": Outcome.DIFFERS,
    "F85": Outcome.SHAPE,
}.items():
    case(_id, "values of width 2", _other)(partial(_attention_question, 2))
case("F85", "values of width 1", Outcome.DIFFERS)(partial(_attention_question, 1))


@case("G05", "three queries, five keys", Outcome.DIFFERS)
def _gradients_question(rng: np.random.Generator) -> Question:
    Q, K, V, cotangent = draw_attention(rng)
    return Question(
        numeric_gradients(lambda *p: project(attention(*p), cotangent), Q, K, V),
        lambda form: form(Q, K, V, cotangent),
    )


def _masked_question(blind: bool, rng: np.random.Generator) -> Question:
    """`blind`: the last query may see nothing."""
    Q, K, V, cotangent = draw_attention(rng)
    allowed = rng.random((3, 5)) < 0.6
    allowed[:, 0] = True
    if blind:
        allowed[-1] = False

    def claim(form: Form) -> Array:
        return numeric_gradients(lambda *p: project(form(*p, allowed), cotangent), Q, K, V)

    return Question(masked_gradients(Q, K, V, allowed, cotangent), claim)


case("G06", "every query sees a key", Outcome.AGREES)(partial(_masked_question, False))
case("G06", "a query sees none", Outcome.DIFFERS)(partial(_masked_question, True))


@case("F40", "a target of four", Outcome.DIFFERS)
def _decoder_question(rng: np.random.Generator) -> Question:
    decoder, context, cotangent = rng.normal(size=(3, 4, 3))
    past = np.tri(4, dtype=bool)
    gradients = masked_gradients(decoder, decoder, decoder, past, cotangent)
    return Question(
        gradients.reshape(3, 4, 3).sum(axis=0),
        lambda form: numeric_gradient(
            lambda decoder: project(form(decoder, context), cotangent), decoder
        ),
    )


@case("F79", "two of five are padding", Outcome.DIFFERS)
def _padding_question(rng: np.random.Generator) -> Question:
    """The truth is the gradient without the padding, and 0 at the padding."""
    ids, X, cotangent = np.array([7, 3, 9, 0, 0]), rng.normal(size=(5, 3)), rng.normal(size=(3, 3))
    truth = np.zeros((5, 3))
    text = attention_gradients(X[:3], X[:3], X[:3], cotangent)
    truth[:3] = text.reshape(3, 3, 3).sum(axis=0)

    def claim(form: Form) -> Array:
        allowed = np.broadcast_to(form(ids, 0) > 0, (3, 5))
        return numeric_gradient(
            lambda X: project(masked_attention(X[:3], X, X, allowed), cotangent), X
        )

    return Question(truth, claim)

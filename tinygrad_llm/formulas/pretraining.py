"""Forms about what pretraining asks of a model and how it scores: F71, F72, F75, F83, F87, G11,
G12.

Letters: T places, V words, D width, B batches, N pairs, S sentences. Z are logits, words the right
answers; `selected` and `counted` are True at the places that count.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from tinygrad_llm.formulas.attention import Ids, Mask, masked_attention
from tinygrad_llm.formulas.embedding import embedding_gradient
from tinygrad_llm.formulas.heads import Heads, combine, draw_heads
from tinygrad_llm.formulas.losses import logit_loss
from tinygrad_llm.formulas.neuron import sigmoid, softmax
from tinygrad_llm.formulas.numeric import Array, flat, numeric_gradient, numeric_gradients, project
from tinygrad_llm.formulas.registry import Form, Outcome, Question, case, formula


def log_probabilities(Z: Array, words: Ids) -> Array:
    """log softmax(z)[w] at each place, the largest logit subtracted. Z (..., V), words (...)."""
    shifted = Z - Z.max(axis=-1, keepdims=True)
    chosen = np.take_along_axis(shifted, words[..., None], axis=-1)[..., 0]
    return chosen - np.log(np.sum(np.exp(shifted), axis=-1))


def hide(ids: Ids, selected: Mask, fate: Array, drawn: Ids, mask: int) -> Ids:
    """F71's input: of the selected words 80 % become [MASK], 10 % a drawn word, 10 % stay.

    ids (T,), selected (T,), fate (T,) even in [0, 1), drawn (T,), mask the id of [MASK] -> (T,).
    """
    hidden = np.where(fate < 0.8, mask, np.where(fate < 0.9, drawn, ids))
    return np.where(selected, hidden, ids)


@formula("F71", "corrected")
def masked_loss(Z: Array, words: Ids, selected: Mask) -> np.floating:
    """F71: −1/Σm Σ_t m_t log p(w_t | the text with words hidden), m_t = 1 at the selected places.

    15 % are selected; `hide` says what becomes of them. Z (T, V), words and selected (T,) -> ().
    """
    return -np.sum(log_probabilities(Z, words) * selected) / np.sum(selected)


@formula("F71", "printed")
def masked_loss_everywhere(Z: Array, words: Ids, selected: Mask) -> np.floating:
    """F71 as printed, in words, which do not say what counts: the mean over all places.

    At six of seven places the answer stands in the input. Copying it is most of the score, and
    needs no language. Shapes as F71.
    """
    return -np.mean(log_probabilities(Z, words))


@formula("F72", "corrected")
def next_sentence_labels(first: Ids, second: Ids, text_of: Ids) -> Array:
    """F72: 1 where B is the sentence after A in the same text, else 0; half and half, the zeros
    with B from another text.

    first, second (N,) numbers of sentences, text_of (S,) the text of each sentence -> (N,).
    """
    return ((second == first + 1) & (text_of[first] == text_of[second])).astype(float)


@formula("F72", "printed")
def same_paragraph_labels(first: Ids, second: Ids, text_of: Ids) -> Array:
    """F72 as printed: 1 where A and B are of the same paragraph, whichever comes first.

    Shared words answer it; order does not matter. Shapes as F72.
    """
    return (text_of[first] == text_of[second]).astype(float)


def _read(x: Array, heads: Heads, allowed: list[Mask]) -> Array:
    """MHA(x, x, x) whose head i sees what allowed[i] (T, T) says. x (T, D) -> (T, D)."""
    parts = zip(heads.query, heads.key, heads.value, allowed)
    read = [masked_attention(x @ q, x @ k, x @ v, seen) for q, k, v, seen in parts]
    return combine(np.array(read), heads.out)


@formula("F75", "corrected")
def one_encoder(x: Array, heads: Heads) -> Array:
    """F75: MHA(x, x, x) in every layer: each word sees both sides at once; only padding is masked.

    x (T, D) -> (T, D).
    """
    return _read(x, heads, [np.ones((len(x), len(x)), dtype=bool)] * len(heads.query))


@formula("F75", "printed")
def two_encoders(x: Array, heads: Heads) -> Array:
    """F75 as printed: one encoder from left to right, one from right to left, put side by side.

    The first half of the heads is the one, the second half the other. What a word learns of its
    left does not depend on what stands to its right. Shapes as F75.
    """
    past, half = np.tri(len(x), dtype=bool), len(heads.query) // 2
    return _read(x, heads, [past] * half + [past.T] * half)


@formula("F83", "corrected")
def text_log_probability(Z: Array, words: Ids) -> np.floating:
    """F83: log p(w_1 … w_T) = Σ_t log p(w_t | w_1 … w_t−1).

    Z (T, V), row t from the words before t; words (T,) -> ().
    """
    return np.sum(log_probabilities(Z, words))


@formula("F83", "printed")
def text_log_probability_printed(Z: Array, words: Ids) -> np.floating:
    """F83 as printed: Π_t p(w_t | w_1 … w_t−1), here its logarithm.

    Right; a long text's product is rounded to 0. Shapes as F83.
    """
    return np.log(np.prod(np.take_along_axis(softmax(Z), words[:, None], axis=-1)))


@formula("F87", "corrected")
def joint_loss(
    Z: Array, words: Ids, selected: Mask, z: Array, follows: Array, stage: int
) -> np.floating:
    """F87: L_MLM + L_NSP in every step, each a mean over its own targets.

    Z (T, V), words and selected (T,), z (N,) the logits of "B follows A", follows (N,) -> ().
    """
    return masked_loss(Z, words, selected) + np.mean(logit_loss(z, follows))


@formula("F87", "printed")
def staged_loss(
    Z: Array, words: Ids, selected: Mask, z: Array, follows: Array, stage: int
) -> np.floating:
    """F87 as printed, in words: L_MLM in a first stage, L_NSP in a second one.

    In stage 1 nothing is learned of sentences, in stage 2 words are forgotten. Shapes as F87.
    """
    return masked_loss(Z, words, selected) if stage == 1 else np.mean(logit_loss(z, follows))


@formula("G11", "corrected")
def perplexity(Z: Array, words: Ids, counted: Mask) -> np.floating:
    """G11: exp(−1/Σm Σ_t m_t log p(w_t | w_<t)): e to the mean over all words of the corpus.

    Z (B, T, V), words and counted (B, T) -> ().
    """
    return np.exp(-np.sum(log_probabilities(Z, words) * counted) / np.sum(counted))


@formula("G11", "mistake")
def mean_perplexity(Z: Array, words: Ids, counted: Mask) -> np.floating:
    """G11 mistaken: the mean of the perplexities of the batches.

    It counts a short batch like a long one, and a hard one most of all. Shapes as G11.
    """
    return np.mean([perplexity(*batch) for batch in zip(Z, words, counted)])


@dataclass(frozen=True)
class Task:
    """A text with hidden words and a small model: h = tanh(E[ids] W), Z = h Eᵀ, z = h_1 · u.

    ids, words, selected (T,); W (D, D); u (D,); follows 1.0 or 0.0.
    """

    ids: Ids
    words: Ids
    selected: Mask
    W: Array
    u: Array
    follows: float

    def states(self, E: Array) -> Array:
        """h (T, D) of the embeddings E (V, D)."""
        return np.tanh(E[self.ids] @ self.W)

    def loss(self, E: Array) -> np.floating:
        """F87's joint loss; the decoder is E itself."""
        h = self.states(E)
        apart = (h[0] @ self.u)[None], np.array([self.follows])
        return joint_loss(h @ E.T, self.words, self.selected, *apart, stage=0)

    def slopes(self, h: Array, E: Array) -> tuple[Array, Array]:
        """dZ (T, V), by G02 over the selected places alone, and dh (T, D)."""
        weight = self.selected[:, None] / np.sum(self.selected)
        dZ = weight * (softmax(h @ E.T) - np.eye(len(E))[self.words])
        dh = dZ @ E
        dh[0] += (sigmoid(h[0] @ self.u) - self.follows) * self.u
        return dZ, dh


@formula("G12", "corrected")
def tied_gradient(E: Array, task: Task) -> Array:
    """G12: dE = Σ over places of what reaches their embeddings (G04) + dZᵀ h, the decoder's part.

    E (V, D) is used twice, and uses add up. -> (V, D).
    """
    h = task.states(E)
    dZ, dh = task.slopes(h, E)
    dx = dh * (1.0 - h**2) @ task.W.T
    return embedding_gradient(task.ids, dx, len(E)) + dZ.T @ h


@formula("G12", "mistake")
def decoder_gradient(E: Array, task: Task) -> Array:
    """G12 mistaken: dZᵀ h, the decoder's part alone, as if the input had a table of its own."""
    h = task.states(E)
    return task.slopes(h, E)[0].T @ h


def draw_task(rng: np.random.Generator) -> Task:
    """Six places, seven words, width 4; two places selected."""
    ids, words = rng.integers(0, 7, size=(2, 6))
    W, u = rng.normal(size=(4, 4)), rng.normal(size=4)
    selected = rng.permutation(6) < 2
    return Task(ids, np.where(selected, words, ids), selected, W, u, float(rng.integers(0, 2)))


def _slopes(Z: Array, words: Ids, weight: Array) -> Array:
    """The gradient of −Σ weight · log p, place by place, by exponentials alone."""
    grown = np.exp(Z)
    P = grown / grown.sum(axis=-1, keepdims=True)
    return weight[..., None] * (P - np.eye(Z.shape[-1])[words])


@case("F71", "two of six places", Outcome.DIFFERS)
def _masked_question(rng: np.random.Generator) -> Question:
    Z, words = rng.normal(size=(6, 5)), rng.integers(0, 5, size=6)
    selected = rng.permutation(6) < 2
    return Question(
        _slopes(Z, words, selected / 2.0),
        lambda form: numeric_gradient(lambda Z: form(Z, words, selected), Z),
    )


def _sentence_question(apart: bool, rng: np.random.Generator) -> Question:
    """Two texts of five sentences. `apart`: what does not follow is of the other text."""
    first = rng.integers(0, 4, size=6)
    second = first + 1
    second[3:] = 5 + first[3:] if apart else first[3:]
    text_of, z = np.repeat([0, 1], 5), rng.normal(size=6)
    follows = np.repeat([1.0, 0.0], 3)

    def claim(form: Form) -> Array:
        labels = form(first, second, text_of)
        return numeric_gradient(lambda z: np.mean(logit_loss(z, labels)), z)

    return Question((1.0 / (1.0 + np.exp(-z)) - follows) / 6.0, claim)


case("F72", "pairs of one text", Outcome.DIFFERS)(partial(_sentence_question, False))
case("F72", "negatives from the other text", Outcome.AGREES)(partial(_sentence_question, True))


@case("F75", "four heads, five words", Outcome.DIFFERS)
def _direction_question(rng: np.random.Generator) -> Question:
    (x, g), heads = rng.normal(size=(2, 5, 8)), draw_heads(rng, 8, 4)
    return Question(
        np.sum(heads.gradients(x, x, g), axis=0),
        lambda form: numeric_gradient(lambda x: project(form(x, heads), g), x),
    )


def _product_question(length: int, spread: float, rng: np.random.Generator) -> Question:
    Z, words = spread * rng.normal(size=(length, 4)), rng.integers(0, 4, size=length)
    return Question(
        -_slopes(Z, words, np.ones(length)),
        lambda form: numeric_gradient(lambda Z: form(Z, words), Z),
    )


case("F83", "five words", Outcome.AGREES)(partial(_product_question, 5, 1.0))
case("F83", "40 words that surprise", Outcome.NOT_FINITE)(partial(_product_question, 40, 60.0))


def _stage_question(stage: int, rng: np.random.Generator) -> Question:
    Z, words, z = rng.normal(size=(5, 4)), rng.integers(0, 4, size=5), rng.normal(size=3)
    selected, follows = rng.permutation(5) < 2, rng.integers(0, 2, size=3).astype(float)
    truth = flat(_slopes(Z, words, selected / 2.0), (1.0 / (1.0 + np.exp(-z)) - follows) / 3.0)

    def claim(form: Form) -> Array:
        return numeric_gradients(lambda Z, z: form(Z, words, selected, z, follows, stage), Z, z)

    return Question(truth, claim)


for _stage in (1, 2):
    case("F87", f"stage {_stage}", Outcome.DIFFERS)(partial(_stage_question, _stage))


def _perplexity_question(batches: int, rng: np.random.Generator) -> Question:
    Z, words = rng.normal(size=(batches, 4, 5)), rng.integers(0, 5, size=(batches, 4))
    counted = np.arange(4) < np.array([4, 1, 2])[:batches, None]
    grown = np.exp(Z)
    p = np.take_along_axis(grown, words[..., None], axis=-1)[..., 0] / grown.sum(axis=-1)
    value = np.prod(p[counted]) ** (-1.0 / counted.sum())
    return Question(
        value * _slopes(Z, words, counted / counted.sum()),
        lambda form: numeric_gradient(lambda Z: form(Z, words, counted), Z),
    )


case("G11", "batches of four, one and two words", Outcome.DIFFERS)(partial(_perplexity_question, 3))
case("G11", "one batch", Outcome.AGREES)(partial(_perplexity_question, 1))


@case("G12", "six places, seven words", Outcome.DIFFERS)
def _tied_question(rng: np.random.Generator) -> Question:
    E, task = rng.normal(size=(7, 4)), draw_task(rng)
    return Question(numeric_gradient(task.loss, E), lambda form: form(E, task))

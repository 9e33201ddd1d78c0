"""Tests of the formulas of pretraining: F71, F72, F75, F83, F87, G11, G12."""

from __future__ import annotations

from functools import partial
from itertools import permutations, product

import numpy as np
import pytest

from tests.formulas.layers import attention as engine_attention
from tests.formulas.layers import leaf
from tinygrad_llm import Tensor, grad, manual_seed, metrics, models, nn, no_grad
from tinygrad_llm import functional as F
from tinygrad_llm.formulas import FORMS, relative_error
from tinygrad_llm.formulas.heads import draw_heads
from tinygrad_llm.formulas.losses import logit_loss
from tinygrad_llm.formulas.neuron import sigmoid, softmax
from tinygrad_llm.formulas.pretraining import draw_task, hide, log_probabilities

SEEDS = range(5)
IGNORED = -100


@pytest.mark.formula("F71")
def test_f71_who_copies_the_input_is_right_at_865_of_1000_places_and_99_of_the_selected(hold):
    hold("F71")
    rng = np.random.default_rng(0)
    ids, drawn = rng.integers(1, 5000, size=(2, 200_000))
    selected, fate = rng.random(ids.size) < 0.15, rng.random(ids.size)
    copied = hide(ids, selected, fate, drawn, mask=0) == ids
    assert copied.mean() == pytest.approx(0.865, abs=0.002)
    assert copied[selected].mean() == pytest.approx(0.099, abs=0.005)
    assert copied[~selected].all()
    seen = hide(ids, selected, fate, drawn, mask=0)[selected]
    assert (seen == 0).mean() == pytest.approx(0.8, abs=0.01)
    assert (seen == drawn[selected]).mean() == pytest.approx(0.1, abs=0.01)


@pytest.mark.formula("F71")
@pytest.mark.parametrize("seed", SEEDS)
def test_f71_no_gradient_comes_from_places_that_are_not_selected(seed):
    rng = np.random.default_rng(seed)
    Z, words, selected = rng.normal(size=(8, 5)), rng.integers(0, 5, size=8), np.arange(8) % 3 == 0
    labels, logits = np.where(selected, words, IGNORED), leaf(Z)
    loss = F.cross_entropy(logits, labels)
    assert loss.item() == pytest.approx(FORMS["F71"].corrected(Z, words, selected), rel=1e-12)
    slopes = np.abs(grad(loss, logits).numpy()).max(axis=1)
    assert not slopes[~selected].any() and slopes[selected].all()
    everywhere = FORMS["F71"].printed(Z, words, selected)
    assert F.cross_entropy(logits, words).item() == pytest.approx(everywhere, rel=1e-12)


@pytest.mark.formula("F71")
def test_f71_a_copying_model_looks_good_by_the_loss_over_all_places():
    rng = np.random.default_rng(0)
    ids, drawn = rng.integers(1, 50, size=(2, 2000))
    selected = rng.random(ids.size) < 0.15
    seen = hide(ids, selected, rng.random(ids.size), drawn, mask=0)
    Z = 10.0 * np.eye(50)[seen]
    assert FORMS["F71"].printed(Z, ids, selected) < 0.5 * np.log(50)
    assert FORMS["F71"].corrected(Z, ids, selected) > 2.0 * np.log(50)


@pytest.mark.formula("F72")
def test_f72_of_a_paragraph_of_five_sentences_80_percent_of_the_pairs_do_not_follow(hold):
    hold("F72")
    first, second = np.array(list(permutations(range(5), 2))).T
    text_of = np.zeros(5, dtype=int)
    assert FORMS["F72"].printed(first, second, text_of).all()
    assert (FORMS["F72"].corrected(first, second, text_of) == 0.0).mean() == 0.8


@pytest.mark.formula("F72")
def test_f72_the_last_sentence_of_a_text_is_not_followed_by_the_first_of_the_next():
    first, second, text_of = np.array([0, 1, 2]), np.array([1, 2, 3]), np.array([0, 0, 1, 1])
    assert FORMS["F72"].corrected(first, second, text_of).tolist() == [1.0, 0.0, 1.0]


def mixed(output, x, towards, step=0.25):
    """∂²h₂/∂x₁∂x₃ along two directions: the largest over the features of the second word."""

    def moved(a, b):
        y = x.copy()
        y[0] += a * step * towards[0]
        y[2] += b * step * towards[1]
        return output(y)[1]

    whole = moved(1, 1) - moved(1, -1) - moved(-1, 1) + moved(-1, -1)
    return np.abs(whole).max() / (4.0 * step**2)


@pytest.mark.formula("F75")
def test_f75_two_encoders_put_side_by_side_never_see_both_sides_at_once(hold):
    hold("F75")
    found = {"corrected": [], "printed": []}
    for seed in range(200):
        rng = np.random.default_rng(seed)
        x, towards, heads = rng.normal(size=(3, 8)), rng.normal(size=(2, 8)), draw_heads(rng, 8, 4)
        for role, values in found.items():
            form = getattr(FORMS["F75"], role)
            values.append(mixed(partial(form, heads=heads), x, towards))
    assert max(found["printed"]) < 1e-13
    assert np.mean(found["corrected"]) == pytest.approx(0.20, abs=0.03)
    assert np.mean(np.array(found["corrected"]) > 0.01) > 0.95


@pytest.mark.formula("F75")
@pytest.mark.parametrize("seed", SEEDS)
def test_f75_nor_do_they_when_they_are_deep(seed):
    manual_seed(seed)
    rng = np.random.default_rng(seed)
    x, towards = rng.normal(size=(5, 8)), rng.normal(size=(2, 8))
    both = nn.TransformerEncoder(2, 8, 2).astype("float64")
    right, left = (nn.TransformerDecoder(2, 8, 2).astype("float64") for _ in range(2))

    def side_by_side(x):
        backward = left(Tensor(x[None, ::-1].copy())).numpy()[0, ::-1]
        return np.concatenate([right(Tensor(x[None])).numpy()[0], backward], axis=1)

    with no_grad():
        assert mixed(side_by_side, x, towards) < 1e-12
        assert mixed(lambda x: both(Tensor(x[None])).numpy()[0], x, towards) > 1e-3


@pytest.mark.formula("F75")
def test_f75_the_module_is_the_one_encoder():
    rng = np.random.default_rng(0)
    x, heads = rng.normal(size=(5, 8)), draw_heads(rng, 8, 4)
    value = engine_attention(heads)(Tensor(x[None])).numpy()[0]
    assert relative_error(FORMS["F75"].corrected(x, heads), value) < 1e-12
    assert relative_error(FORMS["F75"].printed(x, heads), value) > 0.1


def total_probability(logits_of):
    """Σ of p(text), by F83, over all texts of three words out of 1 and 2, after the start 0."""
    texts = np.array(list(product([1, 2], repeat=3)))
    read = np.concatenate([np.zeros((8, 1), int), texts[:, :-1]], axis=1)
    with no_grad():
        Z = logits_of(read).numpy()[:, :, 1:]
    return sum(np.exp(FORMS["F83"].corrected(z, words - 1)) for z, words in zip(Z, texts))


@pytest.mark.formula("F83")
@pytest.mark.parametrize("seed", SEEDS)
def test_f83_the_probabilities_of_all_texts_sum_to_1_unless_the_future_leaks(hold, seed):
    hold("F83")
    manual_seed(seed)
    sizes = {"vocab_size": 3, "n_positions": 4, "n_embd": 8, "n_layer": 2, "n_head": 2}
    gpt = models.GPT2LMHeadModel(models.GPT2Config(**sizes, initializer_range=1.0))
    gpt = gpt.astype("float64").eval()
    assert total_probability(lambda ids: gpt(ids).logits) == pytest.approx(1.0, rel=1e-12)
    words, head = nn.Embedding(3, 8).astype("float64"), nn.Linear(8, 3).astype("float64")
    sees_all = nn.TransformerEncoder(2, 8, 2).astype("float64")
    leaking = total_probability(lambda ids: head(sees_all(words(ids))))
    assert abs(leaking - 1.0) > 1e-3


@pytest.mark.formula("F83")
def test_f83_the_product_of_a_long_text_is_rounded_to_0_and_the_sum_is_not():
    Z, words = np.zeros((1000, 4)), np.zeros(1000, dtype=int)
    with np.errstate(divide="ignore"):
        assert FORMS["F83"].printed(Z, words) == -np.inf
    assert FORMS["F83"].corrected(Z, words) == pytest.approx(-1000 * np.log(4.0))


@pytest.mark.formula("F87")
def test_f87_in_a_second_stage_the_first_is_forgotten(hold):
    """Rows X through a shared matrix to both heads; words and pairs pull it two ways."""
    hold("F87")
    rng = np.random.default_rng(0)
    X, A, a = rng.normal(size=(40, 6)), rng.normal(size=(6, 5)), rng.normal(size=6)
    words, follows = np.argmax(X @ A, axis=1), (X @ a > 0.0).astype(float)
    heads, selected = rng.normal(size=(3, 6)), np.ones(40, dtype=bool)

    def losses(W):
        return -log_probabilities(X @ W @ heads[:, :5], words).mean(), np.mean(
            logit_loss(X @ W @ heads[:, 5], follows)
        )

    def train(W, steps, weights):
        for _ in range(steps):
            dZ = weights[0] * (softmax(X @ W @ heads[:, :5]) - np.eye(5)[words])
            dz = weights[1] * (sigmoid(X @ W @ heads[:, 5]) - follows)
            W = W - 0.5 * X.T @ (dZ @ heads[:, :5].T + np.outer(dz, heads[:, 5])) / len(X)
        return W

    start = np.zeros((6, 3))
    first = train(start, 300, (1.0, 0.0))
    staged, joint = losses(train(first, 300, (0.0, 1.0))), losses(train(start, 600, (1.0, 1.0)))
    assert losses(first)[0] < 0.5 and staged[0] > 2.0 * losses(first)[0]
    assert joint[0] < staged[0] and sum(joint) < sum(staged)
    Z, z = X @ first @ heads[:, :5], X @ first @ heads[:, 5]
    whole = FORMS["F87"].corrected(Z, words, selected, z, follows, 1)
    assert whole == pytest.approx(sum(losses(first)), rel=1e-12)


def batches_of(losses, counts):
    """Logits of two words and counted places, so that batch b has the mean loss losses[b]."""
    width = max(counts)
    Z = np.zeros((len(losses), width, 2))
    Z[..., 1] = np.log(np.expm1(np.array(losses)))[:, None]  # −ln p(0) = ln(1 + e^z)
    return Z, np.zeros(Z.shape[:2], dtype=int), np.arange(width) < np.array(counts)[:, None]


@pytest.mark.formula("G11")
def test_g11_perplexity_is_4_6_and_the_mean_over_batches_44_7(hold):
    """32, 8, 4 and 2 words with mean losses of 1, 2, 3 and 5."""
    hold("G11")
    Z, words, counted = batches_of([1.0, 2.0, 3.0, 5.0], [32, 8, 4, 2])
    right = FORMS["G11"].corrected(Z, words, counted)
    assert round(float(right), 1) == 4.6
    assert round(float(FORMS["G11"].mistake(Z, words, counted)), 1) == 44.7
    loss = F.cross_entropy(Z, np.where(counted, words, IGNORED)).item()
    assert metrics.perplexity(loss) == pytest.approx(right, rel=1e-12)


@pytest.mark.formula("G11")
@pytest.mark.parametrize("seed", SEEDS)
def test_g11_the_language_model_has_this_loss(seed):
    manual_seed(seed)
    sizes = {"vocab_size": 7, "n_positions": 6, "n_embd": 8, "n_layer": 1, "n_head": 2}
    gpt = models.GPT2LMHeadModel(models.GPT2Config(**sizes)).astype("float64").eval()
    ids = np.random.default_rng(seed).integers(0, 7, size=(3, 6))
    counted = np.arange(6) < np.array([6, 2, 4])[:, None]
    output = gpt(ids, attention_mask=counted, labels=np.where(counted, ids, IGNORED))
    shifted = output.logits.numpy()[:, :-1], ids[:, 1:], counted[:, 1:]
    expected = np.log(FORMS["G11"].corrected(*shifted))
    assert output.loss.item() == pytest.approx(expected, rel=1e-10)
    assert output.targets == counted[:, 1:].sum()


@pytest.mark.formula("G12")
@pytest.mark.parametrize("seed", SEEDS)
def test_g12_the_tape_adds_up_both_uses_of_a_tied_matrix(hold, seed):
    hold("G12")
    rng = np.random.default_rng(seed)
    table, task = rng.normal(size=(7, 4)), draw_task(rng)
    E = leaf(table)
    h = F.tanh(F.embedding(task.ids, E) @ Tensor(task.W))
    labels = np.where(task.selected, task.words, IGNORED)
    words = F.linear_cross_entropy(h, E, labels, transposed=True)
    pair = F.binary_cross_entropy_with_logits(h[0] @ Tensor(task.u), np.array(task.follows))
    assert (words + pair).item() == pytest.approx(task.loss(table), rel=1e-12)
    found = grad(words + pair, E).numpy()
    assert relative_error(FORMS["G12"].corrected(table, task), found) < 1e-12


@pytest.mark.formula("G12")
def test_g12_the_decoders_part_alone_is_off_by_about_its_own_size():
    errors = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        table, task = rng.normal(size=(7, 4)), draw_task(rng)
        forms = FORMS["G12"]
        errors.append(relative_error(forms.corrected(table, task), forms.mistake(table, task)))
    assert np.median(errors) == pytest.approx(0.98, abs=0.05) and min(errors) > 0.05


@pytest.mark.formula("G12")
def test_g12_each_loss_is_a_mean_over_its_own_targets():
    """Twice the places, none of them selected: the loss and its weight are the same."""
    rng = np.random.default_rng(0)
    Z, words, z = rng.normal(size=(6, 5)), rng.integers(0, 5, size=6), rng.normal(size=4)
    selected, follows = np.arange(6) < 2, np.array([1.0, 0.0, 0.0, 1.0])
    form = FORMS["F87"].corrected
    longer = np.concatenate([Z, rng.normal(size=(6, 5))]), np.tile(words, 2)
    masked = np.concatenate([selected, np.zeros(6, dtype=bool)])
    value = form(*longer, masked, z, follows, 1)
    assert value == pytest.approx(form(Z, words, selected, z, follows, 1), rel=1e-13)

"""Tests of the formulas of attention and its masks: F28, F29, F40, F45, F52, F79, F85, G05,
G06."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_llm import Tensor, grad
from tinygrad_llm import functional as F
from tinygrad_llm.formulas import FORMS, numeric_gradient, relative_error
from tinygrad_llm.formulas.attention import (
    attention_with_minus_infinity,
    draw_attention,
    masked_gradients,
)
from tinygrad_llm.formulas.neuron import relu, softmax
from tinygrad_llm.formulas.numeric import flat

SEEDS = range(10)
attend = F.scaled_dot_product_attention


def engine(arrays, cotangent, *arguments, **options):
    """Output and gradients of the engine's attention, these flattened one after another."""
    xs = [Tensor(x, requires_grad=True) for x in arrays]
    y = attend(*xs, *arguments, **options)
    return y.numpy(), flat(*(g.numpy() for g in grad(y, xs, cotangent)))


@pytest.mark.formula("F28")
@pytest.mark.parametrize("seed", SEEDS)
def test_f28_scaling_keeps_the_variance_of_a_score_at_1(hold, seed):
    hold("F28")
    rng = np.random.default_rng(seed)
    products = np.einsum("nk,nk->n", *rng.normal(size=(2, 20_000, 64)))
    assert products.var() == pytest.approx(64.0, rel=0.05)
    assert (products / np.sqrt(64.0)).var() == pytest.approx(1.0, rel=0.05)
    *arrays, cotangent = draw_attention(rng)
    value, _ = engine(arrays, cotangent)
    assert relative_error(FORMS["F28"].corrected(*arrays), value) < 1e-12


@pytest.mark.formula("F29", "F45")
def test_f29_f45_print_f28_again(hold):
    hold("F29")
    hold("F45")
    for identifier in ("F29", "F45"):
        assert FORMS[identifier].printed is FORMS["F28"].printed


@pytest.mark.formula("F52")
@pytest.mark.parametrize("seed", SEEDS)
def test_f52_the_softmax_comes_before_the_sum_and_nothing_after(hold, seed):
    hold("F52")
    *arrays, cotangent = draw_attention(np.random.default_rng(seed))
    right, printed = FORMS["F52"].corrected(*arrays), FORMS["F52"].printed(*arrays)
    value, _ = engine(arrays, cotangent)
    assert relative_error(right, value) < 1e-12
    V = arrays[-1]
    assert (right >= V.min(axis=0)).all() and (right <= V.max(axis=0)).all()  # means of the values
    assert np.allclose(printed.sum(axis=1), 1.0) and relative_error(right, printed) > 0.1
    for activation in (softmax, relu):
        assert relative_error(right, activation(right)) > 0.02, activation.__name__


@pytest.mark.formula("F85")
@pytest.mark.parametrize("seed", SEEDS)
def test_f85_the_values_arrive_and_the_similarities_do_not(hold, seed):
    hold("F85")
    Q, K, V, cotangent = draw_attention(np.random.default_rng(seed), 1)

    def influence(form):
        return numeric_gradient(lambda V: np.sum(form(Q, K, V) * cotangent), V)

    values = Tensor(V, requires_grad=True)
    (v,) = grad(attend(Tensor(Q), Tensor(K), values), [values], cotangent)
    assert relative_error(influence(FORMS["F85"].corrected), v.numpy()) < 1e-8
    assert not influence(FORMS["F85"].printed).any()


@pytest.mark.formula("G05")
@pytest.mark.parametrize("seed", SEEDS)
def test_g05_the_engine_has_these_gradients(hold, seed):
    hold("G05")
    *arrays, cotangent = draw_attention(np.random.default_rng(seed))
    _, gradients = engine(arrays, cotangent)
    assert relative_error(FORMS["G05"].corrected(*arrays, cotangent), gradients) < 1e-10
    assert relative_error(FORMS["G05"].mistake(*arrays, cotangent), gradients) > 0.1


@pytest.mark.formula("G06")
@pytest.mark.parametrize("seed", SEEDS)
def test_g06_a_query_without_keys_gives_0_and_has_gradient_0(hold, seed):
    hold("G06")
    rng = np.random.default_rng(seed)
    *arrays, cotangent = draw_attention(rng)
    allowed = rng.random((3, 5)) < 0.5
    allowed[:, 1], allowed[1] = True, False
    right = FORMS["G06"].corrected(*arrays, allowed)
    value, gradients = engine(arrays, cotangent, allowed)
    assert not right[1].any() and relative_error(right, value) < 1e-12
    expected = masked_gradients(*arrays, allowed, cotangent)
    assert relative_error(expected, gradients) < 1e-10
    assert not gradients[4:8].any()
    with np.errstate(invalid="ignore"):
        assert np.isnan(attention_with_minus_infinity(*arrays, allowed)[1]).all()
    unmasked = FORMS["F28"].corrected(*arrays)
    mistaken = FORMS["G06"].mistake(*arrays, allowed)
    assert np.allclose(mistaken[1], unmasked[1], rtol=1e-6)  # 10⁹ leaves seven digits of a score


@pytest.mark.formula("F40")
@pytest.mark.parametrize("seed", SEEDS)
def test_f40_printed_no_position_hears_of_another(hold, seed):
    hold("F40")
    decoder, context, cotangent = np.random.default_rng(seed).normal(size=(3, 4, 3))

    def influence(form, i):
        """How much output i feels each position of the target."""
        felt = numeric_gradient(lambda d: np.sum(form(d, context)[i] * cotangent[i]), decoder)
        return np.abs(felt).max(axis=-1)

    for i in range(4):
        causal = influence(FORMS["F40"].corrected, i)
        assert not causal[i + 1 :].any() and (causal[: i + 1] > 1e-6).all()
        printed = influence(FORMS["F40"].printed, i)
        assert not np.delete(printed, i).any()
    value, _ = engine([decoder] * 3, cotangent, is_causal=True)
    assert relative_error(FORMS["F40"].corrected(decoder, context), value) < 1e-12


@pytest.mark.formula("F79")
@pytest.mark.parametrize("seed", SEEDS)
def test_f79_padding_changes_the_first_token_unless_it_is_masked(hold, seed):
    hold("F79")
    X = np.random.default_rng(seed).normal(size=(9, 4))
    ids = np.array([5, 8, 6, 0, 0, 0, 0, 0, 0])
    alone = attend(X[:1], X[:3], X[:3]).numpy()

    def change(form):
        mask = form(ids, 0) > 0
        return np.abs(attend(X[:1], X, X, mask[None]).numpy() - alone).max()

    assert change(FORMS["F79"].corrected) < 1e-14
    assert change(FORMS["F79"].printed) > 1e-2

"""Tests of the formulas of heads and of their cost: F30, F31, F73, F86, F90."""

from __future__ import annotations

import numpy as np
import pytest

from tests.formulas.layers import attention as engine_attention
from tests.formulas.layers import feed_forward as engine_feed_forward
from tinygrad_llm import Tensor
from tinygrad_llm.formulas import FORMS, relative_error
from tinygrad_llm.formulas.attention import attention
from tinygrad_llm.formulas.costs import count
from tinygrad_llm.formulas.feeding import draw_net, feed_forward
from tinygrad_llm.formulas.heads import Heads, combine, draw_heads

SEEDS = range(5)


def joined(form, x, heads):
    """F30 over heads of one form of F31."""
    matrices = zip(heads.query, heads.key, heads.value)
    return combine(np.array([form(x, x, x, *own) for own in matrices]), heads.out)


@pytest.mark.formula("F30")
@pytest.mark.parametrize("seed", SEEDS)
def test_f30_the_module_has_this_order_of_heads(hold, seed):
    hold("F30")
    rng = np.random.default_rng(seed)
    x, heads = rng.normal(size=(5, 8)), draw_heads(rng, 8, 4)
    value = engine_attention(heads)(Tensor(x[None])).numpy()[0]
    assert relative_error(joined(FORMS["F31"].corrected, x, heads), value) < 1e-12
    turned = Heads(heads.query[::-1], heads.key[::-1], heads.value[::-1], heads.out)
    assert relative_error(joined(FORMS["F31"].corrected, x, turned), value) > 0.1


@pytest.mark.formula("F31")
@pytest.mark.parametrize("seed", SEEDS)
def test_f31_printed_heads_are_one_head_times_a_matrix(hold, seed):
    hold("F31")
    rng = np.random.default_rng(seed)
    x, heads = rng.normal(size=(64, 16)), draw_heads(rng, 16, 4)
    alone = attention(x, x, x)
    effective = np.concatenate(list(heads.value), axis=1) @ heads.out
    assert relative_error(alone @ effective, joined(FORMS["F31"].printed, x, heads)) < 1e-13
    right = joined(FORMS["F31"].corrected, x, heads)
    fit = alone @ np.linalg.lstsq(alone, right, rcond=None)[0]
    assert np.linalg.norm(right - fit) > 0.2 * np.linalg.norm(right)


@pytest.mark.formula("F31")
@pytest.mark.parametrize("seed", SEEDS)
def test_f31_each_head_has_a_map_of_its_own(seed):
    """With the unit matrix for values, what a head gives is its map."""
    rng = np.random.default_rng(seed)
    x, words = rng.normal(size=(6, 8)), np.eye(6)
    heads = draw_heads(rng, 8, 2)

    def maps(form):
        return [form(x, x, words, q, k, words) for q, k in zip(heads.query, heads.key)]

    first, second = maps(FORMS["F31"].corrected)
    assert np.abs(first - second).max() > 0.05
    first, second = maps(FORMS["F31"].printed)
    assert np.array_equal(first, second)
    _, found = engine_attention(heads)(Tensor(x[None]), return_weights=True)
    assert relative_error(np.array(maps(FORMS["F31"].corrected)), found.numpy()[0]) < 1e-12


@pytest.mark.formula("F73")
@pytest.mark.parametrize("seed", SEEDS)
def test_f73_a_hidden_unit_sees_all_heads_together(hold, seed):
    hold("F73")
    rng = np.random.default_rng(seed)
    a, b, c, d = rng.normal(size=(4, 3, 2))
    out, net = rng.normal(size=(4, 4)), draw_net(rng, 4, 9)

    def mixed(form):
        """What the two heads do together beyond what each does alone."""
        ab, cb, ad, cd = (form(np.array(p), out, net) for p in ((a, b), (c, b), (a, d), (c, d)))
        return np.abs(cd - cb - ad + ab).max()

    assert mixed(FORMS["F73"].printed) < 1e-13
    assert mixed(FORMS["F73"].corrected) > 0.01
    apart, other = (FORMS["F73"].printed(np.array(p), np.eye(4), net) for p in ((a, b), (c, b)))
    assert (apart != other)[:, :2].any() and np.array_equal(apart[:, 2:], other[:, 2:])
    with pytest.raises(ValueError, match="matmul"):
        feed_forward(a, *net)  # (D, F) weights do not fit K features


@pytest.mark.formula("F73")
def test_f73_the_modules_feed_what_the_heads_gave_together():
    rng = np.random.default_rng(0)
    x, heads, net = rng.normal(size=(5, 8)), draw_heads(rng, 8, 2), draw_net(rng, 8, 20)
    matrices = zip(heads.query, heads.key, heads.value)
    outputs = np.array([attention(x @ q, x @ k, x @ v) for q, k, v in matrices])
    value = engine_feed_forward(net)(engine_attention(heads)(Tensor(x[None]))).numpy()[0]
    assert relative_error(FORMS["F73"].corrected(outputs, heads.out, net), value) < 1e-12
    assert relative_error(FORMS["F73"].printed(outputs, heads.out, net), value) > 0.1


@pytest.mark.formula("F86")
@pytest.mark.parametrize("seed", SEEDS)
def test_f86_pieces_of_the_sequence_do_not_hear_of_each_other(hold, seed):
    hold("F86")
    rng = np.random.default_rng(seed)
    x, other = rng.normal(size=(2, 6, 4))
    other[:3] = x[:3]

    def heard(form):
        """How far the first piece moves when the second is another."""
        return np.abs(form(x, x, x, 2) - form(other, other, other, 2))[:3].max()

    assert heard(FORMS["F86"].printed) == 0.0
    assert heard(FORMS["F86"].corrected) > 0.02
    unit = np.eye(4).reshape(4, 2, 2).swapaxes(0, 1)
    value = engine_attention(Heads(unit, unit, unit, np.eye(4)))(Tensor(x[None])).numpy()[0]
    assert relative_error(FORMS["F86"].corrected(x, x, x, 2), value) < 1e-12


@pytest.mark.formula("F90")
@pytest.mark.parametrize("length", [1, 5, 12])
def test_f90_counted_in_an_attention_that_gives_what_the_module_gives(hold, length):
    hold("F90")
    rng = np.random.default_rng(length)
    x, heads = rng.normal(size=(length, 6)), draw_heads(rng, 6, 3)
    own = (np.concatenate(list(each), axis=1) for each in (heads.query, heads.key, heads.value))
    value, tally = count(x, np.array([*own, heads.out]), 3)
    found, maps = engine_attention(heads)(Tensor(x[None]), return_weights=True)
    assert relative_error(value, found.numpy()[0]) < 1e-12
    products, weights = FORMS["F90"].corrected(length, 6, 3)
    assert (products, weights) == (tally.products, maps.numpy().size)


@pytest.mark.formula("F90")
def test_f90_twice_the_text_costs_twice_or_four_times():
    cost, pairs = FORMS["F90"].corrected, FORMS["F90"].mistake
    short, long = (cost(2 * T, 768, 12)[0] / cost(T, 768, 12)[0] for T in (8, 200_000))
    assert short < 2.02 and long > 3.98
    half = pairs(2 * 768, 768, 12)[0] / cost(2 * 768, 768, 12)[0]
    assert half == 0.5  # as much for the matrices as for the pairs, at T = 2D
    assert cost(2048, 768, 12)[1] == 12 * 2048**2

"""Tests of the formulas of positions: F34, F78, G09."""

from __future__ import annotations

import numpy as np
import pytest

from tests.formulas.layers import layer, leaf
from tinygrad_llm import Tensor, grad, manual_seed, models, nn
from tinygrad_llm import functional as F
from tinygrad_llm.formulas import FORMS, numeric_gradient, relative_error
from tinygrad_llm.formulas.decoder import draw_block
from tinygrad_llm.formulas.numeric import flat
from tinygrad_llm.formulas.positions import bert_input, bert_input_gradients

SEEDS = range(5)


@pytest.mark.formula("G09")
@pytest.mark.parametrize("width", [2, 6, 64])
def test_g09_a_step_turns_each_pair_by_an_angle_of_its_own(hold, width):
    hold("G09")
    table = FORMS["G09"].corrected(50, width)
    assert relative_error(table, nn.sinusoidal(np.arange(50), width)) < 1e-14
    pace = 10000.0 ** (-np.arange(0, width, 2) / width)
    sines, cosines = table[:, 0::2], table[:, 1::2]
    turned = sines[:-7] * np.cos(7 * pace) + cosines[:-7] * np.sin(7 * pace)
    assert np.allclose(turned, sines[7:], atol=1e-13)


@pytest.mark.formula("G09")
def test_g09_a_product_depends_on_the_distance_alone():
    def spread(form):
        """How far PE_p · PE_p+k varies over p, for all k up to 20."""
        products = form(60, 16) @ form(60, 16).T
        return max(np.ptp(np.diagonal(products, k)) for k in range(20))

    assert spread(FORMS["G09"].corrected) < 1e-12
    assert spread(FORMS["G09"].mistake) > 0.5


@pytest.mark.formula("G09")
@pytest.mark.parametrize("seed", SEEDS)
def test_g09_bert_learns_its_positions_and_segments(seed):
    rng = np.random.default_rng(seed)
    tables = [rng.normal(size=(rows, 4)) for rows in (7, 6, 2)]
    ids, kinds, g = np.array([5, 2, 5, 1]), np.array([0, 0, 1, 1]), rng.normal(size=(4, 4))
    expected = bert_input_gradients(ids, kinds, (7, 6, 2), g)
    moved = [
        numeric_gradient(
            lambda t, i=i: np.sum(g * bert_input(*tables[:i], t, *tables[i + 1 :], ids, kinds)),
            tables[i],
        )
        for i in range(3)
    ]
    assert relative_error(flat(*moved), expected) < 1e-8
    places = nn.LearnedPositions(6, 4).astype("float64")
    places.weight.data[...] = tables[1]
    words, segments = leaf(tables[0]), leaf(tables[2])
    x = F.embedding(ids[None], words) + F.embedding(kinds[None], segments)
    y = places(x)
    assert relative_error(bert_input(*tables, ids, kinds), y.numpy()[0]) < 1e-14
    found = grad(y, [words, places.weight, segments], g[None])
    assert relative_error(expected, flat(*(each.numpy() for each in found))) < 1e-14


@pytest.mark.formula("F78")
def test_f78_a_counted_position_drowns_the_words(hold):
    hold("F78")
    X = np.random.default_rng(0).normal(size=(200, 64))

    def likeness(rows):
        """The mean cosine between the words of the last hundred places."""
        rows = rows[100:] / np.linalg.norm(rows[100:], axis=1, keepdims=True)
        return np.mean(rows @ rows.T)

    right = FORMS["F78"].corrected(X)
    value = nn.SinusoidalPositions(64)(Tensor(X[None])).numpy()[0]
    assert relative_error(right, value) < 1e-14
    assert likeness(right) < 0.5 and likeness(FORMS["F78"].mistake(X)) > 0.99


@pytest.mark.formula("F34")
@pytest.mark.parametrize("seed", SEEDS)
def test_f34_without_positions_the_order_of_words_is_lost(hold, seed):
    hold("F34")
    rng = np.random.default_rng(seed)
    table, blocks = rng.normal(size=(9, 6)), [layer(draw_block(rng)) for _ in range(2)]
    ids, order = rng.permutation(9)[:5], np.array([4, 2, 0, 1, 3])

    def change(form):
        """How far the states of the words move when the words change places."""

        def states(ids):
            x = Tensor(form(table, ids)[None])
            for one in blocks:
                x = one(x)
            return x.numpy()[0]

        return np.abs(states(ids[order]) - states(ids)[order]).max()

    assert change(FORMS["F34"].printed) < 1e-13
    assert change(FORMS["F34"].corrected) > 0.1


@pytest.mark.formula("F34")
def test_f34_the_transformer_has_this_input():
    manual_seed(0)
    sizes = {"d_model": 8, "nhead": 2, "encoder_layers": 2, "decoder_layers": 1, "dropout": 0.0}
    model = models.Transformer(models.TransformerConfig(11, **sizes)).astype("float64")
    ids, table = np.array([4, 9, 4, 7]), model.source.weight.numpy()
    expected = model.encoder(Tensor(FORMS["F34"].corrected(table, ids)[None]))
    assert relative_error(expected.numpy(), model.encode(ids[None]).numpy()) < 1e-12
    bare = model.encoder(Tensor(FORMS["F34"].printed(table, ids)[None]))
    assert relative_error(expected.numpy(), bare.numpy()) > 0.1

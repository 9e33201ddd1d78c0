"""Tests of the formulas of the encoder's block: F32, F35, F36, F37, F42, F77."""

from __future__ import annotations

import numpy as np
import pytest

from tests.formulas.layers import feed_forward, layer, leaf
from tinygrad_llm import Tensor, grad, nn
from tinygrad_llm.formulas import FORMS, relative_error
from tinygrad_llm.formulas.decoder import draw_block
from tinygrad_llm.formulas.feeding import draw_net, feed_forward_gradients
from tinygrad_llm.formulas.heads import draw_heads
from tinygrad_llm.formulas.numeric import flat

SEEDS = range(5)


def size(module):
    return sum(parameter.numpy().size for parameter in module.parameters())


@pytest.mark.formula("F32")
@pytest.mark.parametrize("seed", SEEDS)
def test_f32_each_position_alone_and_the_engine_has_these_gradients(hold, seed):
    hold("F32")
    rng = np.random.default_rng(seed)
    (x, g), net = rng.normal(size=(2, 5, 4)), draw_net(rng, 4, 10)
    module = feed_forward(net)
    inputs = leaf(x), module.up.weight, module.up.bias, module.down.weight, module.down.bias
    y = module(inputs[0])
    together = FORMS["F32"].corrected(x, *net)
    assert relative_error(together, y.numpy()) < 1e-13
    alone = [FORMS["F32"].corrected(x[i : i + 1], *net)[0] for i in range(5)]
    assert relative_error(together, np.array(alone)) < 1e-13
    found = flat(*(each.numpy() for each in grad(y, inputs, g)))
    assert relative_error(feed_forward_gradients(x, *net, g), found) < 1e-12


@pytest.mark.formula("F77")
def test_f77_two_networks_have_twice_the_weights(hold):
    hold("F77")
    rng = np.random.default_rng(0)
    nets = draw_net(rng, 8, 32), draw_net(rng, 8, 32)
    module, other = map(feed_forward, nets)
    matrices = [p for p in module.parameters() if p.ndim == 2]
    assert len(matrices) == 2 and sum(p.numpy().size for p in matrices) == 512
    x = rng.normal(size=(5, 8))
    once, twice = module(Tensor(x)), other(module(Tensor(x)))
    assert relative_error(FORMS["F77"].corrected(x, *nets), once.numpy()) < 1e-13
    assert relative_error(FORMS["F77"].printed(x, *nets), twice.numpy()) < 1e-13
    assert relative_error(once.numpy(), twice.numpy()) > 0.1
    block = layer(draw_block(rng, 8))
    assert sum("feed_forward." in name and p.ndim == 2 for name, p in block.named_parameters()) == 2


@pytest.mark.formula("F35", "F36", "F42")
@pytest.mark.parametrize("seed", SEEDS)
def test_f35_f36_f42_the_steps_are_those_of_the_layer(hold, seed):
    for identifier in ("F35", "F36", "F42"):
        hold(identifier)
    rng = np.random.default_rng(seed)
    x, weights = rng.normal(size=(4, 6)), draw_block(rng)
    for role, place in {"corrected": "post", "printed": "bare"}.items():
        module = layer(weights, norm=place)
        first = module.attention_sum(Tensor(x[None]), module.attention)
        expected = getattr(FORMS["F35"], role)(x, weights.own)
        assert relative_error(expected, first.numpy()[0]) < 1e-12
        second = module.feed_forward_sum(first, module.feed_forward)
        for identifier in ("F36", "F42"):
            form = getattr(FORMS[identifier], role)
            assert relative_error(form(expected, weights.net), second.numpy()[0]) < 1e-12


def through(role, depth, seed):
    """Blocks one after another: how a small change of the input comes out, and how far apart the
    words are at the end. -> |Jv| for |v| = 1, spread"""
    rng = np.random.default_rng(seed)
    blocks = [(draw_heads(rng, 16, 4), draw_net(rng, 16, 64)) for _ in range(depth)]
    x, v = rng.normal(size=(2, 8, 16))
    v *= 1e-6 / np.linalg.norm(v)

    def run(x):
        for heads, net in blocks:
            x = getattr(FORMS["F35"], role)(x, heads)
            x = getattr(FORMS["F36"], role)(x, net)
        return x

    return np.linalg.norm(run(x + v) - run(x - v)) / 2e-6, run(x).std(axis=0).max()


@pytest.mark.formula("F35", "F36")
@pytest.mark.parametrize("seed", range(3))
def test_f36_bare_blocks_lose_the_gradient_and_the_words_over_depth(hold, seed):
    hold("F35")
    hold("F36")
    found = {depth: through("printed", depth, seed) for depth in (1, 6, 12, 24)}
    slopes = [slope for slope, _ in found.values()]
    assert slopes == sorted(slopes, reverse=True) and slopes[-1] < 1e-4
    assert found[24][1] < 1e-10
    slope, spread = through("corrected", 24, seed)
    assert slope > 1e-2 and spread > 1e-4


@pytest.mark.formula("F37")
@pytest.mark.parametrize("seed", SEEDS)
def test_f37_nothing_comes_after_the_last_norm(hold, seed):
    hold("F37")
    rng = np.random.default_rng(seed)
    block = nn.TransformerEncoder(1, 64, 4)
    assert size(block) == 12 * 64**2 + 13 * 64 == 49_984
    W, b = rng.normal(size=(64, 64)) / 8.0, rng.normal(size=64)
    assert size(block) + W.size + b.size == 54_144
    y = block.astype("float64")(Tensor(rng.normal(size=(1, 5, 64)))).numpy()[0]
    for form, normed in ((FORMS["F37"].corrected, True), (FORMS["F37"].printed, False)):
        means = np.abs(form(y, W, b).mean(axis=-1)).max()
        assert (means < 1e-12) == normed

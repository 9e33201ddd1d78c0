"""Tests of the formulas of fine-tuning: F63, G17; the library has them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.engine.common import leaf
from tests.models.common import bert, ids
from tinygrad_llm import Tensor, finetune, grad, nn, optim
from tinygrad_llm.formulas import FORMS, relative_error
from tinygrad_llm.formulas.numeric import flat, unflat
from tinygrad_llm.formulas.tuning import draw_lora, lora, merged

SEEDS = range(5)


@pytest.mark.formula("F63")
@pytest.mark.parametrize("seed", SEEDS)
def test_f63_only_the_head_of_a_bert_moves(hold, seed):
    hold("F63")
    model, words = bert("BertForSequenceClassification"), ids(4, 6, seed=seed)
    labels = [0, 1, 1, 0]
    everything = dict(model.named_parameters())
    slopes = grad(model(words, labels=labels).loss, list(everything.values()))
    before = {name: p.numpy().copy() for name, p in everything.items()}
    model.requires_grad_(False)
    model.classifier.requires_grad_()
    optimizer = optim.SGD([p for p in everything.values() if p.requires_grad], lr=0.5)
    model(words, labels=labels).loss.backward()
    optimizer.step()
    body = flat(*(a for name, a in before.items() if name.startswith("bert.")))
    named = zip(everything, slopes)
    slope = {name: g.numpy() for name, g in named if name.startswith("classifier.")}
    expected = FORMS["F63"].corrected(
        body, flat(*(before[name] for name in slope)), flat(*slope.values()), 0.5
    )
    found = flat(*(p.numpy() for name, p in everything.items()))
    assert list(everything)[-len(slope) :] == list(slope)
    assert np.array_equal(found[: len(body)], body)
    assert relative_error(expected, found) < 1e-12
    assert np.abs(found - flat(*before.values())).max() > 1e-3


def engine(W, A, B, scale):
    """The engine's layer with these matrices."""
    layer = finetune.LoRALinear(nn.Linear(*W.shape, bias=False), A.shape[1], scale * A.shape[1])
    layer.astype("float64")
    for parameter, values in ((layer.weight, W), (layer.lora_a, A), (layer.lora_b, B)):
        parameter.data[...] = values
    return layer


@pytest.mark.formula("G17")
@pytest.mark.parametrize("scale", [1.0, 4.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_g17_the_layer_has_these_gradients(hold, seed, scale):
    hold("G17")
    X, W, A, B, G = draw_lora(np.random.default_rng(seed))
    layer, x = engine(W, A, B, scale), leaf(X)
    y = layer(x)
    assert relative_error(lora(X, W, A, B, scale), y.numpy()) < 1e-13
    found = flat(*(g.numpy() for g in grad(y, [x, layer.lora_a, layer.lora_b], G)))
    assert relative_error(FORMS["G17"].corrected(X, W, A, B, scale, G), found) < 1e-13
    mistaken = relative_error(FORMS["G17"].mistake(X, W, A, B, scale, G), found)
    assert mistaken < 1e-13 if scale == 1.0 else mistaken > 0.1


@pytest.mark.formula("G17")
@pytest.mark.parametrize("seed", SEEDS)
def test_g17_at_the_start_b_learns_and_a_does_not(seed):
    X, W, A, B, G = draw_lora(np.random.default_rng(seed))
    dX, dA, dB = unflat(FORMS["G17"].corrected(X, W, A, 0.0 * B, 2.0, G), X, A, B)
    assert (dA == 0.0).all() and np.abs(dB).min() > 0.0
    assert np.array_equal(dX, G @ W.T)
    layer = engine(W, A, 0.0 * B, 2.0)
    layer(Tensor(X)).backward(G)
    assert (layer.lora_a.grad.numpy() == 0.0).all()
    assert relative_error(dB, layer.lora_b.grad.numpy()) < 1e-13


@pytest.mark.formula("G17")
@pytest.mark.parametrize("seed", SEEDS)
def test_g17_merged_gives_the_same_and_without_the_scale_another(seed):
    X, W, A, B, _ = draw_lora(np.random.default_rng(seed))
    Y, layer = lora(X, W, A, B, 4.0), engine(W, A, B, 4.0)
    assert relative_error(Y, X @ merged(W, A, B, 4.0)) < 1e-13
    assert relative_error(Y, X @ merged(W, A, B, 1.0)) > 0.1
    assert relative_error(layer.merged_weight(), merged(W, A, B, 4.0)) < 1e-15

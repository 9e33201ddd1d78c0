"""Tests of the formulas of the decoder: F33, F38, F39, F41, F43, F88."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.formulas.layers import fill_layer, layer, leaf
from tinygrad_llm import Tensor, grad, manual_seed, models, nn, optim
from tinygrad_llm import functional as F
from tinygrad_llm.formulas import FORMS, numeric_gradient, relative_error
from tinygrad_llm.formulas.decoder import draw_block
from tinygrad_llm.formulas.encoder import fed, norm
from tinygrad_llm.formulas.numeric import flat, numeric_gradients

SEEDS = range(5)


def transformer():
    manual_seed(0)
    sizes = {"d_model": 8, "nhead": 2, "encoder_layers": 2, "decoder_layers": 2, "dropout": 0.0}
    return models.Transformer(models.TransformerConfig(11, tied=False, **sizes)).astype("float64")


@pytest.mark.formula("F33")
@pytest.mark.parametrize("seed", SEEDS)
def test_f33_the_layer_has_this_order(hold, seed):
    hold("F33")
    rng = np.random.default_rng(seed)
    x, memory, weights, g = *rng.normal(size=(2, 4, 6)), draw_block(rng), rng.normal(size=(4, 6))
    corrected, printed = FORMS["F33"].corrected, FORMS["F33"].printed
    encoder, bare = layer(weights), layer(weights, norm="bare")
    assert relative_error(corrected(x, None, weights), encoder(Tensor(x[None])).numpy()[0]) < 1e-12
    assert relative_error(printed(x, None, weights), bare(Tensor(x[None])).numpy()[0]) < 1e-12
    decoder, inputs = layer(weights, causal=True, cross=True), (leaf(x[None]), leaf(memory[None]))
    y = decoder(*inputs)
    assert relative_error(corrected(x, memory, weights), y.numpy()[0]) < 1e-12
    truth = numeric_gradients(lambda *p: np.sum(g * corrected(*p, weights)), x, memory)
    found = flat(*(each.numpy() for each in grad(y, inputs, g[None])))
    assert relative_error(truth, found) < 1e-7


@pytest.mark.formula("F33")
@pytest.mark.parametrize("seed", SEEDS)
def test_f33_printed_decoder_sees_the_future_and_not_the_source(seed):
    rng = np.random.default_rng(seed)
    x, memory, weights = *rng.normal(size=(2, 4, 6)), draw_block(rng)
    later, other = x.copy(), rng.normal(size=(4, 6))
    later[2:] = other[2:]

    def heard(form, x_after, memory_after):
        """How far the first two words move."""
        moved = form(x_after, memory_after, weights) - form(x, memory, weights)
        return np.abs(moved[:2]).max()

    corrected, printed = FORMS["F33"].corrected, FORMS["F33"].printed
    assert heard(corrected, later, memory) == 0.0 and heard(printed, later, memory) > 1e-3
    assert heard(corrected, x, other) > 1e-3 and heard(printed, x, other) == 0.0


@pytest.mark.formula("F38")
@pytest.mark.parametrize("seed", SEEDS)
def test_f38_every_layer_of_the_decoder_asks_the_encoders_last(hold, seed):
    hold("F38")
    rng = np.random.default_rng(seed)
    source, target = rng.normal(size=(5, 6)), rng.normal(size=(3, 6))
    left, right = [draw_block(rng) for _ in range(2)], [draw_block(rng) for _ in range(2)]
    encoder = nn.TransformerEncoder(2, 6, 2, 8).astype("float64")
    decoder = nn.TransformerDecoder(2, 6, 2, 8, cross=True).astype("float64")
    for modules, blocks in ((encoder.layers, left), (decoder.layers, right)):
        for module, weights in zip(modules, blocks):
            fill_layer(module, weights)
    block, states, y = FORMS["F33"].corrected, [source], target
    for weights in left:
        states.append(block(states[-1], None, weights))
    for weights in right:
        y = block(y, FORMS["F38"].corrected(np.array(states)), weights)
    value = decoder(Tensor(target[None]), encoder(Tensor(source[None])))
    assert relative_error(y, value.numpy()[0]) < 1e-11


@pytest.mark.formula("F39")
def test_f39_the_transformer_reads_the_target_shifted(hold):
    hold("F39")
    model, source = transformer(), np.array([[5, 3, 8]])
    target = np.array([4, 9, 6, 7])
    loss = model(source, labels=target[None]).loss.item()

    def given(form):
        logits = model(source, decoder_input_ids=form(target, 1)[None]).logits
        return F.cross_entropy(logits.reshape(4, 11), target).item()

    assert given(FORMS["F39"].corrected) == pytest.approx(loss, rel=1e-12)
    assert given(FORMS["F39"].printed) != pytest.approx(loss, rel=1e-3)


@pytest.mark.formula("F39")
def test_f39_one_that_reads_the_target_learns_to_copy_and_writes_nothing():
    """Scores of the next word from the word before, trained until the loss is nearly 0."""
    target = np.array([3, 1, 4, 2, 5])

    def trained(form):
        manual_seed(0)
        scores = nn.Embedding(6, 6)
        moving = optim.Adam(scores.parameters(), lr=0.3)
        for _ in range(60):
            moving.zero_grad()
            loss = F.cross_entropy(scores(form(target, 0)), target)
            loss.backward()
            moving.step()
        assert loss.item() < 0.01
        written, word = [], 0
        for _ in target:
            word = int(scores.weight.numpy()[word].argmax())
            written.append(word)
        return written

    assert trained(FORMS["F39"].corrected) == target.tolist()
    written = trained(FORMS["F39"].printed)
    assert written == [written[0]] * 5


@pytest.mark.formula("F41")
@pytest.mark.parametrize("seed", SEEDS)
def test_f41_printed_leaves_the_first_attention_without_a_gradient(hold, seed):
    hold("F41")
    rng = np.random.default_rng(seed)
    x, memory, weights, g = *rng.normal(size=(2, 4, 6)), draw_block(rng), rng.normal(size=(4, 6))

    def slope(form):
        """Of the first attention's queries, at the end of the block."""

        def loss(query):
            own = replace(weights.own, query=query)
            first = norm(x + own(x, x, np.tri(4, dtype=bool)))
            return np.sum(g * fed(form(x, first, memory, weights.cross), weights.net))

        return numeric_gradient(loss, weights.own.query)

    assert not slope(FORMS["F41"].printed).any()
    decoder = layer(weights, causal=True, cross=True)
    y = decoder(Tensor(x[None]), Tensor(memory[None]))
    (found,) = grad(y, [decoder.attention.query.weight], g[None])
    expected = np.concatenate(list(slope(FORMS["F41"].corrected)), axis=1)
    assert np.abs(expected).max() > 1e-3 and relative_error(expected, found.numpy()) < 1e-6


@pytest.mark.formula("F43")
@pytest.mark.parametrize("seed", SEEDS)
def test_f43_scores_become_probabilities_of_words(hold, seed):
    hold("F43")
    rng = np.random.default_rng(seed)
    x, W, words = rng.normal(size=(5, 8)), rng.normal(size=(8, 11)), rng.integers(0, 11, size=5)
    right, printed = (f(x, W, np.zeros(11)) for f in (FORMS["F43"].corrected, FORMS["F43"].printed))
    assert np.allclose(right.sum(axis=1), 1.0, rtol=1e-14) and right.min() > 0.0
    assert printed.min() < 0.0 and np.abs(printed.sum(axis=1) - 1.0).max() > 0.1
    loss = F.linear_cross_entropy(Tensor(x), Tensor(W), words)
    assert loss.item() == pytest.approx(-np.mean(np.log(right[np.arange(5), words])), rel=1e-12)


@pytest.mark.formula("F43")
def test_f43_the_transformers_head_is_over_the_vocabulary():
    model = transformer()
    output = model(np.array([[5, 3, 8]]), decoder_input_ids=np.array([[1, 4, 9, 6]]))
    x, W = output.last_hidden_state.numpy()[0], model.head.weight.numpy()
    expected = FORMS["F43"].corrected(x, W, np.zeros(11))
    assert W.shape == (8, 11)
    assert relative_error(expected, F.softmax(output.logits, axis=-1).numpy()[0]) < 1e-12


@pytest.mark.formula("F88")
def test_f88_each_position_says_a_word(hold):
    hold("F88")
    model, source = transformer(), np.array([[5, 3, 8]])
    output = model(source, decoder_input_ids=np.array([[1, 4, 9, 6]]))
    states, W = output.last_hidden_state.numpy(), model.head.weight.numpy()
    scores, found = FORMS["F88"].corrected(states, W), output.logits.numpy()[0]
    assert relative_error(scores, found) < 1e-12
    assert len({row.tobytes() for row in FORMS["F88"].printed(states, W)}) == 1
    assert len({row.tobytes() for row in scores}) == 4
    x = leaf(states[0])
    (slope,) = grad(F.cross_entropy(x @ Tensor(W), [4, 9, 6, 2]), [x])
    assert (np.abs(slope.numpy()).max(axis=1) > 1e-4).all()  # the loss teaches every position


@pytest.mark.formula("F88")
def test_f88_the_last_layer_is_read_and_no_other():
    states, W = np.random.default_rng(0).normal(size=(3, 4, 5)), np.eye(5)
    assert np.array_equal(flat(FORMS["F88"].corrected(states, W)), flat(states[2]))

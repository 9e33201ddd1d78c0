"""Tests of Transformer blocks: places of the norm, depth, dropout, maps, counts, errors."""

from __future__ import annotations

import numpy as np
import pytest

from tests.engine.common import drawn, leaf, same_bits
from tinygrad_llm import Tensor, checkpoint, grad, manual_seed, nn
from tinygrad_llm import functional as F
from tinygrad_llm.nn.transformer import NORMS
from tinygrad_llm.testing import gradcheck


def layer(width: int = 8, heads: int = 2, **options) -> nn.TransformerLayer:
    manual_seed(0)
    return nn.TransformerLayer(width, heads, **options).astype("float64")


def test_the_places_of_the_norm_by_hand():
    x, c = drawn(2, 3, 8), drawn(8, 8)

    def f(h: Tensor) -> Tensor:
        return F.tanh(h @ c)

    h = Tensor(x)
    results = {}
    for norm in NORMS:
        module = nn.Residual(8, norm).astype("float64")
        if norm == "rezero":
            assert module.alpha.shape == () and module.alpha.item() == 0.0
            assert np.array_equal(module(h, f).data, x)
            module.alpha.data[...] = 0.3
        results[norm] = module(h, f).data
    y = np.tanh(x @ c)
    s = x + y
    expected = {
        "post": (s - s.mean(-1, keepdims=True)) / np.sqrt(s.var(-1, keepdims=True) + 1e-5),
        "rezero": x + 0.3 * y,
        "bare": y,
    }
    n = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    expected["pre"] = x + np.tanh(n @ c)
    for norm in NORMS:
        np.testing.assert_allclose(results[norm], expected[norm], rtol=1e-12, atol=1e-13)


def test_a_layer_is_its_parts_one_after_the_other():
    module, x, memory = layer(causal=True, cross=True), Tensor(drawn(2, 4, 8)), drawn(2, 5, 8)
    h = module.attention_sum.norm(x + module.attention(x, is_causal=True))
    h = module.cross_attention_sum.norm(h + module.cross_attention(h, Tensor(memory)))
    up = F.relu(h @ module.feed_forward.up.weight + module.feed_forward.up.bias)
    h = module.feed_forward_sum.norm(h + module.feed_forward.down(up))
    np.testing.assert_allclose(module(x, Tensor(memory)).data, h.data, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu_tanh"])
def test_the_feed_forward_network_acts_on_each_place_alone(activation):
    module = nn.FeedForward(8, 12, activation).astype("float64")
    x, other = drawn(2, 4, 8), drawn(2, 4, 8)
    other[:, 1] = x[:, 1]
    found = module(Tensor(x)), module(Tensor(other))
    np.testing.assert_allclose(found[0].data[:, 1], found[1].data[:, 1], rtol=1e-13, atol=1e-14)
    act = {
        "relu": F.relu,
        "gelu": F.gelu,
        "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    }[activation]
    up = act(Tensor(x) @ module.up.weight + module.up.bias)
    expected = up @ module.down.weight + module.down.bias
    np.testing.assert_allclose(found[0].data, expected.data, rtol=1e-12, atol=1e-13)
    assert repr(module).startswith("FeedForward(\n") and module.extra_repr() == activation


def test_rezero_begins_as_the_identity():
    encoder = nn.TransformerEncoder(3, 8, 2, norm="rezero").astype("float64")
    x = leaf(drawn(2, 5, 8))
    y = encoder(x)
    assert np.array_equal(y.data, x.data) and encoder.norm is None
    alphas = [p for name, p in encoder.named_parameters() if name.endswith("alpha")]
    c = drawn(2, 5, 8)
    assert np.array_equal(grad((y * c).sum(), x, retain_graph=True).data, c)
    assert len(alphas) == 6 and all(g.item() != 0 for g in grad((y * c).sum(), alphas))


def gradient_size(norm: str, blocks: int = 12) -> float:
    """How much of a gradient comes through a stack: |dx| of unit |dy|."""
    manual_seed(0)
    encoder = nn.TransformerEncoder(blocks, 16, 2, norm=norm).astype("float64")
    for p in encoder.parameters():
        if p.ndim == 2:
            nn.init.xavier_uniform_(p)
    x, c = leaf(drawn(2, 6, 16)), drawn(2, 6, 16)
    g = grad((encoder(x) * (c / np.linalg.norm(c))).sum(), x).data
    return float(np.linalg.norm(g))


def test_without_sums_and_norms_the_gradient_vanishes_with_depth():
    """Of 12 blocks, "bare" ones let through less than 10⁻⁴ of it, the others about all (F36)."""
    assert gradient_size("bare") < 1e-4
    assert gradient_size("bare", 24) < 1e-3 * gradient_size("bare")
    for norm in ("post", "pre", "rezero"):
        assert 0.1 < gradient_size(norm) < 10.0


def test_bare_blocks_make_all_tokens_alike():
    manual_seed(0)
    x = Tensor(drawn(1, 6, 16).astype("float32"))
    bare, post = (nn.TransformerEncoder(12, 16, 2, norm=norm) for norm in ("bare", "post"))
    assert np.ptp(bare(x).data, axis=1).max() < 1e-4 < 1.0 < np.ptp(post(x).data, axis=1).max()


@pytest.mark.parametrize("norm", NORMS)
def test_second_order_through_a_whole_block(norm):
    """By both inputs and a parameter of each kind; gelu, for relu has no second derivative."""
    how = {"norm": norm, "activation": "gelu", "causal": True, "cross": True}
    module = layer(4, 2, dim_feedforward=5, **how)
    for name, p in module.named_parameters():
        p.data[...] += 0.3 * drawn(*p.shape, seed=len(name))
    kinds = ("n.query.weight", "cross_attention.key.weight", "up.bias", "attention_sum", "alpha")
    names = [name for name, _ in module.named_parameters() if any(kind in name for kind in kinds)]

    def run(x, memory, *values):
        for name, value in zip(names, values):
            owner = module
            *path, what = name.split(".")
            for part in path:
                owner = getattr(owner, part)
            vars(owner)[what] = value
        return module(x, memory, memory_mask=[[1, 1, 0]])

    inputs = [leaf(drawn(1, 2, 4)), leaf(drawn(1, 3, 4, seed=1))]
    inputs += [leaf(p.data) for name, p in module.named_parameters() if name in names]
    assert gradcheck(run, inputs, order=2, full=8) < 1e-6


def test_dropout_is_off_in_eval_and_everywhere_in_training():
    module, plain = layer(dropout=0.4), layer()
    x = Tensor(drawn(2, 5, 8))
    assert module.attention.dropout == 0.4 == module.feed_forward.dropout.p
    assert module.attention_sum.dropout.p == 0.4 == module.feed_forward_sum.dropout.p
    assert layer(dropout=0.4, attention_dropout=0.0).attention.dropout == 0.0
    units = layer(dropout=0.4, activation_dropout=0.1)
    assert units.feed_forward.dropout.p == 0.1 and units.feed_forward_sum.dropout.p == 0.4
    assert np.abs(module(x).data - plain(x).data).max() > 0.1
    assert same_bits(module.eval()(x), plain(x))


def test_dropout_of_everything_leaves_what_stands_beside_it():
    """With p = 1 a feed-forward network gives its last bias, and a sum its x alone."""
    x = Tensor(drawn(2, 5, 8))
    module = nn.FeedForward(8, 12, dropout=1.0).astype("float64")
    assert np.array_equal(module(x).data, np.broadcast_to(module.down.bias.data, x.shape))
    for norm in NORMS:
        residual = nn.Residual(8, norm, dropout=1.0).astype("float64")
        if norm == "rezero":
            residual.alpha.data[...] = 0.3
        expected = {"post": F.layer_norm(x).data, "bare": np.zeros(x.shape)}.get(norm, x.data)
        np.testing.assert_allclose(residual(x, F.tanh).data, expected, rtol=1e-12)


def test_options_of_a_layer_come_to_their_parts():
    rotary = nn.Rotary(4)
    how = {"eps": 0.1, "num_kv_heads": 1, "rotary": rotary, "cross": True, "dropout": 0.25}
    module = nn.TransformerEncoder(1, 8, 2, 5, norm="pre", **how)
    block = module.layers[0]
    norms = (block.attention_sum.norm, block.cross_attention_sum.norm, module.norm)
    assert [norm.eps for norm in (*norms, block.feed_forward_sum.norm)] == [0.1] * 4
    assert block.attention.num_kv_heads == 1 and block.attention.rotary is rotary
    assert block.cross_attention.num_kv_heads == 2 and block.cross_attention.rotary is None
    assert block.cross_attention.dropout == 0.25 and block.feed_forward.up.out_features == 5
    sums = (block.attention_sum, block.cross_attention_sum, block.feed_forward_sum)
    assert all(each.dropout.p == 0.25 for each in sums)


def test_positions_and_masks_come_to_the_own_attention():
    module, x = nn.TransformerDecoder(2, 8, 2, rotary=nn.Rotary(4)), drawn(2, 5, 8)
    x = Tensor(x.astype("float32"))
    assert np.abs((module(x, positions=2 * np.arange(5)) - module(x)).data).max() > 1e-3
    seen = module(x, mask=[[0, 1, 1, 1, 1], [1] * 5])
    assert np.abs((seen - module(x)).data[0, 1:]).max() > 1e-3
    assert same_bits(seen[1:], module(x)[1:])


def test_turns_are_made_once_for_all_layers(monkeypatch):
    calls, turns = [], nn.Rotary.turns
    monkeypatch.setattr(nn.Rotary, "turns", lambda *how: calls.append(how) or turns(*how))
    module, x = nn.TransformerEncoder(3, 8, 2, rotary=nn.Rotary(4)), Tensor(drawn(2, 5, 8))
    module.astype("float64")(x)
    assert len(calls) == 1


def test_an_encoder_is_not_causal_and_a_decoder_is():
    for stack in (nn.TransformerEncoder, nn.TransformerDecoder):
        with pytest.raises(TypeError, match="multiple values for keyword argument 'causal'"):
            stack(1, 8, 2, causal=True)


def test_maps_are_kept_where_asked_for():
    decoder = nn.TransformerDecoder(2, 8, 2, cross=True).astype("float64")
    x, memory, maps = Tensor(drawn(2, 3, 8)), Tensor(drawn(2, 5, 8)), []
    y = decoder(x, memory, maps=maps)
    assert same_bits(y, decoder(x, memory))
    assert [each.shape for each in maps] == [(2, 2, 3, 3), (2, 2, 3, 5)] * 2
    assert all(np.triu(own.data, 1).sum() == 0 for own in maps[::2])
    assert all((cross.data > 0).all() for cross in maps[1::2])


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_states_are_what_goes_into_each_block_and_the_output(norm):
    encoder = nn.TransformerEncoder(2, 8, 2, norm=norm).astype("float64")
    x, states = Tensor(drawn(2, 3, 8)), []
    y = encoder(x, states=states)
    assert [each.shape for each in states] == [(2, 3, 8)] * 3
    assert states[0] is x and states[2] is y
    assert same_bits(states[1], encoder.layers[0](x))


def count(module: nn.Module) -> int:
    return sum(p.size for p in module.parameters())


@pytest.mark.parametrize("width", [8, 64])
def test_numbers_of_parameters(width):
    """4 D² + 4 D of attention, 8 D² + 5 D of the feed-forward network, 2 D of each norm (F37)."""
    d = width
    assert count(nn.MultiHeadAttention(d, 2)) == 4 * d * d + 4 * d
    assert count(nn.FeedForward(d, 4 * d)) == 8 * d * d + 5 * d
    assert count(nn.TransformerLayer(d, 2)) == 12 * d * d + 13 * d
    assert count(nn.TransformerLayer(d, 2, cross=True)) == 16 * d * d + 19 * d
    assert count(nn.TransformerLayer(d, 2, norm="rezero")) == 12 * d * d + 9 * d + 2
    assert count(nn.TransformerLayer(d, 2, norm="bare")) == 12 * d * d + 9 * d
    assert count(nn.TransformerEncoder(3, d, 2)) == 3 * (12 * d * d + 13 * d)
    assert count(nn.TransformerEncoder(3, d, 2, norm="pre")) == 3 * (12 * d * d + 13 * d) + 2 * d


def test_a_checkpointed_layer_has_the_same_gradients():
    module, x, c = layer(causal=True), leaf(drawn(2, 3, 8)), drawn(2, 3, 8)
    leaves = [x, *module.parameters()]
    for a, b in zip(
        grad((module(x) * c).sum(), leaves), grad((checkpoint(module, x) * c).sum(), leaves)
    ):
        assert same_bits(a, b)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.TransformerEncoder(0, 8, 2), "num_layers 0 is below 1"),
        (lambda: nn.TransformerLayer(8, 3), "num_heads 3 does not divide d_model 8"),
        (lambda: nn.Residual(8, "first"), "norm 'first' is not one of post, pre, rezero, bare"),
        (lambda: nn.FeedForward(8, 9, "swish"), "activation 'swish' is not one of relu, gelu, ge"),
        (lambda: nn.TransformerLayer(8, 2, dropout=2.0), "is a probability, not 2.0"),
    ],
)
def test_what_does_not_fit(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_memory_needs_cross_attention_and_the_other_way_round():
    x = Tensor(drawn(2, 3, 8))
    with pytest.raises(ValueError, match="what cross-attention asks, and it is missing"):
        layer(cross=True)(x)
    with pytest.raises(ValueError, match="given to a layer made without cross=True"):
        layer()(x, x)

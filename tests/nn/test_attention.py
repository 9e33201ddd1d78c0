"""Tests of multi-head attention: what is seen and what is not, heads, masks, dropout, errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.common import drawn, leaf, same_bits
from tinygrad_llm import Tensor, grad, manual_seed, nn, no_grad
from tinygrad_llm.testing import gradcheck, strict_cupy

CLOSE = {"float32": 1e-5, "float64": 1e-12}
"""What rounding may change. The faster forms of ops take float32, the reference float64."""


def attention(
    width: int = 8, heads: int = 2, dtype: str = "float64", **options
) -> nn.MultiHeadAttention:
    manual_seed(0)
    return nn.MultiHeadAttention(width, heads, **options).astype(dtype)


def by_hand(module: nn.MultiHeadAttention, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Output and maps of one text (T, D), head by head with loops."""
    q, k, v, out = (
        (layer.weight.data, layer.bias.data)
        for layer in (module.query, module.key, module.value, module.out)
    )
    width = module.d_model // module.num_heads
    outputs, maps = [], []
    for head in range(module.num_heads):
        own = slice(head * width, (head + 1) * width)
        queries, keys, values = (x @ w[:, own] + b[own] for w, b in (q, k, v))
        scores = queries @ keys.T / math.sqrt(width)
        e = np.exp(scores)
        maps.append(e / e.sum(axis=1, keepdims=True))
        outputs.append(maps[-1] @ values)
    return np.concatenate(outputs, axis=1) @ out[0] + out[1], np.stack(maps)


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_values_by_hand_head_by_head(heads):
    module, x = attention(8, heads), drawn(3, 5, 8)
    y, maps = module(Tensor(x), return_weights=True)
    for i, text in enumerate(x):
        expected, weights = by_hand(module, text)
        np.testing.assert_allclose(y.data[i], expected, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(maps.data[i], weights, rtol=1e-12, atol=1e-13)
    assert same_bits(module(Tensor(x)), y)


def test_each_head_has_a_map_of_its_own():
    """In the document's misprint all heads share one map (F31)."""
    _, maps = attention()(Tensor(drawn(1, 5, 8)), return_weights=True)
    assert np.abs(maps.data[0, 0] - maps.data[0, 1]).max() > 0.05
    np.testing.assert_allclose(maps.data.sum(axis=-1), 1.0, rtol=1e-14)


@pytest.mark.parametrize("dtype", CLOSE)
@given(st.integers(0, 3), st.integers(1, 4), st.integers(1, 6), st.integers(0, 99))
def test_no_token_sees_a_later_one(dtype, first, batch, length, seed):
    """The gradient of output i in input j > i is exactly 0, and later words change no bit; in
    float32 they may change its rounding."""
    i, module = min(first, length - 1), attention(dtype=dtype)
    x = leaf(drawn(batch, length, 8, seed=seed), dtype)
    y = module(x, is_causal=True)
    g = grad((y[:, i] * drawn(batch, 8, seed=seed)).sum(), x).data
    assert not g[:, i + 1 :].any() and (g[:, i] != 0).any()
    other = x.data.copy()
    other[:, i + 1 :] = 100 * drawn(batch, length, 8, seed=seed + 1)[:, i + 1 :]
    found, expected = (each[:, : i + 1] for each in (module(Tensor(other), is_causal=True), y))
    assert dtype == "float32" or same_bits(found, expected)
    np.testing.assert_allclose(found.data, expected.data, rtol=0, atol=CLOSE[dtype])


def test_what_stands_in_other_texts_changes_rounding_alone():
    module, x = attention(dtype="float32"), drawn(3, 5, 8).astype("float32")
    alone = module(Tensor(x[:1]))
    x[1:] *= 100
    np.testing.assert_allclose(module(Tensor(x))[:1].data, alone.data, rtol=0, atol=1e-5)


def test_without_the_mask_every_token_sees_every_other():
    x = leaf(drawn(1, 4, 8))
    g = grad((attention()(x)[:, 0] * drawn(8)).sum(), x).data
    assert (np.abs(g).max(axis=-1) > 1e-6).all()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", CLOSE)
def test_padding_changes_nothing(side, causal, dtype):
    module = attention(dtype=dtype)
    x, pads = drawn(2, 4, 8).astype(dtype), 100 * drawn(2, 3, 8).astype(dtype)
    parts = [pads, x] if side == "left" else [x, pads]
    padded, here = np.concatenate(parts, axis=1), slice(3, 7) if side == "left" else slice(0, 4)
    mask = np.zeros((2, 7), int)
    mask[:, here] = 1
    found = module(Tensor(padded), mask=mask, is_causal=causal)[:, here]
    expected = module(Tensor(x), is_causal=causal)
    np.testing.assert_allclose(found.data, expected.data, rtol=0, atol=CLOSE[dtype])


@pytest.mark.parametrize("kind", ["int64", "bool", "list", "tensor", "four axes", "added"])
def test_a_mask_may_be_given_in_several_forms(kind):
    module, x, mask = attention(), Tensor(drawn(2, 3, 8)), np.array([[1, 1, 0], [1, 0, 1]])
    given = {
        "int64": mask,
        "bool": mask == 1,
        "list": mask.tolist(),
        "tensor": Tensor(mask),
        "four axes": (mask == 1)[:, None, None, :],
        "added": np.where(mask == 1, 0.0, -np.inf)[:, None, None, :],
    }[kind]
    assert same_bits(module(x, mask=given), module(x, mask=mask))
    assert not same_bits(module(x, mask=given), module(x))


@pytest.mark.parametrize("dtype", CLOSE)
def test_a_token_that_may_see_nothing_gets_the_bias_of_the_output(dtype):
    module, x, mask = attention(dtype=dtype), leaf(drawn(2, 3, 8), dtype), [[0, 0, 0], [1, 1, 1]]
    y, (_, maps) = module(x, mask=mask), module(x, mask=mask, return_weights=True)
    assert not maps.data[0].any()
    assert np.array_equal(y.data[0], np.tile(module.out.bias.data, (3, 1)))
    g = grad((y * drawn(2, 3, 8)).sum(), x).data
    assert not g[0].any() and np.isfinite(g).all()


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_shared_heads_are_repeated_heads(kv_heads):
    """Grouped heads of keys give what as many heads with equal weights give, and their gradient is
    the sum of those heads' gradients."""
    x, c = leaf(drawn(2, 5, 16)), drawn(2, 5, 16)
    shared, full = attention(16, 4, num_kv_heads=kv_heads), attention(16, 4)
    state = {name: p.data for name, p in shared.named_parameters()}

    def repeated(array: np.ndarray) -> np.ndarray:
        parts = np.split(array, kv_heads, axis=-1)
        return np.concatenate([p for p in parts for _ in range(4 // kv_heads)], axis=-1)

    for name in state:
        if name.startswith(("key", "value")):
            state[name] = repeated(state[name])
    full.load_state_dict(state)
    y, z = shared(x), full(x)
    np.testing.assert_allclose(y.data, z.data, rtol=1e-13, atol=1e-14)
    for name, p in shared.named_parameters():
        ours = grad((y * c).sum(), p, retain_graph=True).data
        theirs = grad((z * c).sum(), dict(full.named_parameters())[name], retain_graph=True).data
        if name.startswith(("key", "value")):
            width = (*theirs.shape[:-1], kv_heads, 4 // kv_heads, 4)
            theirs = theirs.reshape(width).sum(axis=-2).reshape(ours.shape)
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("dtype", CLOSE)
def test_permuted_words_give_permuted_outputs(dtype):
    module, x = attention(dtype=dtype), drawn(2, 6, 8).astype(dtype)
    order = np.array([3, 0, 5, 1, 4, 2])
    y, z = module(Tensor(x)), module(Tensor(x[:, order]))
    np.testing.assert_allclose(z.data, y.data[:, order], rtol=0, atol=CLOSE[dtype])


@pytest.mark.parametrize("dtype", CLOSE)
def test_with_rotary_positions_distances_count_and_places_do_not(dtype):
    module, p = attention(rotary=nn.Rotary(4), dtype=dtype), np.arange(5)
    x = Tensor(drawn(2, 5, 8).astype(dtype))
    y = module(x)
    shifted = module(x, positions=p + 7)
    np.testing.assert_allclose(shifted.data, y.data, rtol=0, atol=CLOSE[dtype])
    assert np.abs(module(x, positions=2 * p).data - y.data).max() > 1e-3


def test_dropout_is_of_the_maps_and_off_in_eval():
    x = Tensor(drawn(2, 6, 8))
    module, plain = attention(dropout=0.5), attention()
    plain.load_state_dict(module.state_dict())
    y, maps = module(x, return_weights=True)
    assert np.abs(y.data - plain(x).data).max() > 0.01
    np.testing.assert_allclose(maps.data.sum(axis=-1), 1.0)  # the maps are those before dropout
    assert same_bits(module.eval()(x), plain(x))


def test_second_order():
    module, mask = attention(4, 2), np.array([[1, 1, 0], [1, 1, 1]])
    parameters = [p.detach() for p in module.parameters()]
    names = [name for name, _ in module.named_parameters()]

    def run(x, *values):
        for name, value in zip(names, values):
            layer, what = name.split(".")
            vars(getattr(module, layer))[what] = value
        return module(x, mask=mask, is_causal=True, return_weights=True)

    inputs = [leaf(drawn(2, 3, 4)), *(leaf(p.data) for p in parameters)]
    assert gradcheck(run, inputs, order=2) < 1e-6


@pytest.mark.parametrize("dtype", CLOSE)
def test_a_memory_is_asked_and_does_not_ask(dtype):
    module = attention(memory_width=6, dtype=dtype)
    x, memory = leaf(drawn(2, 3, 8), dtype), leaf(drawn(2, 5, 6), dtype)
    y, maps = module(x, memory, mask=[[1, 1, 1, 0, 0], [1] * 5], return_weights=True)
    assert y.shape == (2, 3, 8) and maps.shape == (2, 2, 3, 5)
    g = grad((y * drawn(2, 3, 8)).sum(), memory).data
    assert not g[0, 3:].any() and (np.abs(g[1]).max(axis=-1) > 0).all()
    alone = module(x[:, 1:2], memory, mask=[[1, 1, 1, 0, 0], [1] * 5])
    np.testing.assert_allclose(y.data[:, 1:2], alone.data, rtol=0, atol=CLOSE[dtype])


def test_without_biases_there_are_four_matrices():
    module = nn.MultiHeadAttention(6, 3, bias=False)
    shapes = {name: p.shape for name, p in module.named_parameters()}
    assert shapes == {f"{n}.weight": (6, 6) for n in ("query", "key", "value", "out")}
    assert nn.MultiHeadAttention(6, 3, num_kv_heads=1).key.weight.shape == (6, 2)
    assert "6, heads=3" in nn.MultiHeadAttention(6, 3).extra_repr()


def test_on_a_device_the_bits_are_those_of_the_cpu():
    module, x, mask = attention(rotary=nn.Rotary(4)), drawn(2, 3, 8), np.array([[1, 1, 0], [1] * 3])
    here = module(Tensor(x), mask=mask, is_causal=True)
    with strict_cupy.installed() as cupy:
        there = module.to("cuda")(Tensor(x, device="cuda"), mask=mask, is_causal=True)
        on_device = module(Tensor(x, device="cuda"), mask=cupy.asarray(mask), is_causal=True)
        assert there.device == "cuda:0"
        assert same_bits(here, there.to("cpu")) and same_bits(here, on_device.to("cpu"))
        module.to("cpu")


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"num_heads": 3}, ValueError, "num_heads 3 does not divide d_model 8"),
        ({"num_kv_heads": 3}, ValueError, "num_kv_heads 3 does not divide num_heads 4"),
        ({"num_kv_heads": 0}, ValueError, "num_kv_heads 0 is below 1"),
        ({"num_heads": 0}, ValueError, "num_heads 0 is below 1"),
        ({"d_model": 8.0}, TypeError, "d_model must be an integer, not 8.0"),
        ({"dropout": 1.5}, ValueError, "MultiHeadAttention: dropout is a probability, not 1.5"),
        ({"rotary": nn.Rotary(4)}, ValueError, "rotary turns 4 features, but heads have 2"),
    ],
)
def test_sizes_that_do_not_fit(options, kind, message):
    with pytest.raises(kind, match=message):
        nn.MultiHeadAttention(**{"d_model": 8, "num_heads": 4, **options})


X = Tensor(drawn(2, 3, 8))


@pytest.mark.parametrize(
    ("inputs", "options", "kind", "message"),
    [
        ([X[0]], {}, ValueError, r"x \(3, 8\) has 2 axes, expected three"),
        ([X, X[0]], {}, ValueError, r"memory \(3, 8\) has 2 axes"),
        ([Tensor(drawn(2, 3, 6))], {}, ValueError, r"x \(2, 3, 6\) with a weight \(8, 8\)"),
        ([X], {"mask": [1, 1, 1]}, ValueError, r"mask \(3,\) for 2 texts and 3 keys: .*\(2, 3\)"),
        ([X], {"mask": np.ones((3, 3))}, ValueError, r"a mask \(3, 3\) for 2 texts and 3 keys"),
        ([X], {"mask": np.ones((2, 3, 3))}, ValueError, r"a mask \(2, 3, 3\) for 2 texts"),
        ([X], {"mask": np.ones((2, 3))}, TypeError, r"a mask \(B, S\) of float64 could be added"),
        ([X], {"mask": np.ones((2, 2, 4, 3)) > 0}, ValueError, r"mask \(2, 2, 4, 3\) does not"),
        ([X, X], {"mask": np.ones((2, 4), int)}, ValueError, r"mask \(2, 4\) for 2 texts and 3"),
        ([X], {"mask": [[0, 0, -9]] * 2}, ValueError, "other numbers than 0 and 1: 1 is a token"),
        ([X, X[:1]], {}, ValueError, "a memory of 1 texts for 2 texts: repeat it"),
    ],
)
def test_inputs_and_masks_that_do_not_fit(inputs, options, kind, message):
    with pytest.raises(kind, match=message):
        attention()(*inputs, **options)


def test_numbers_to_add_are_brought_to_the_dtype_of_the_text():
    module, x, added = attention(dtype="float32"), drawn(2, 3, 8), np.zeros((1, 1, 1, 3))
    added[..., 0] = -np.inf
    y = module(Tensor(x.astype("float32")), mask=added)
    assert y.dtype == np.float32
    assert same_bits(y, module(Tensor(x.astype("float32")), mask=added.astype("float32")))


def test_rotary_positions_are_for_the_text_alone():
    with pytest.raises(ValueError, match="rotary positions are those of one text"):
        attention(rotary=nn.Rotary(4))(X, X)


def test_a_cache_keeps_no_tape():
    module, cache = attention(), nn.LayerCache()
    with pytest.raises(RuntimeError, match=r"a cache keeps no tape: .* under no_grad\(\)"):
        module(X, cache=cache)
    with no_grad():
        assert same_bits(module(X, cache=cache), module(X))
    assert cache.length == 3

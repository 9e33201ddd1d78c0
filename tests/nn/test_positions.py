"""Tests of positions: sinusoidal by hand, learned rows, rotary distances, and word order."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.common import drawn, leaf, same_bits
from tinygrad_llm import Tensor, grad, manual_seed, nn
from tinygrad_llm.testing import gradcheck, strict_cupy


def test_sinusoidal_by_hand():
    table = nn.sinusoidal(np.arange(5), 6)
    for p in range(5):
        for i in range(3):
            angle = p / 10000 ** (2 * i / 6)
            assert table[p, 2 * i] == pytest.approx(math.sin(angle), abs=1e-15)
            assert table[p, 2 * i + 1] == pytest.approx(math.cos(angle), abs=1e-15)
    assert table.dtype == np.float64 and table.shape == (5, 6)
    assert nn.sinusoidal([[3, 1]], 4).shape == (1, 2, 4)
    assert nn.sinusoidal(3, 4).tolist() == nn.sinusoidal([3], 4)[0].tolist()


@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 100))
def test_products_of_sinusoidal_rows_depend_on_the_distance_only(p, q, shift):
    a, b, c, d = nn.sinusoidal([p, q, p + shift, q + shift], 16)
    assert a @ b == pytest.approx(c @ d, abs=1e-11)
    assert a @ a == pytest.approx(8.0)  # sin² + cos² for each pair


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sinusoidal_positions_add_their_rows(dtype):
    module, x = nn.SinusoidalPositions(4), Tensor(drawn(2, 3, 4).astype(dtype))
    rows = nn.sinusoidal(np.arange(3), 4).astype(dtype)
    assert module(x).dtype == dtype
    np.testing.assert_array_equal(module(x).data, x.data + rows)
    where = np.array([[0, 0, 1], [7, 1000, 2]])
    expected = x.data + nn.sinusoidal(where, 4).astype(dtype)
    np.testing.assert_array_equal(module(x, where).data, expected)
    assert not list(module.parameters())


def test_learned_positions_add_their_rows_and_learn_them():
    module, x = nn.LearnedPositions(6, 4).astype("float64"), leaf(drawn(2, 3, 4))
    y = module(x)
    np.testing.assert_array_equal(y.data, x.data + module.weight.data[:3])
    where, c = np.array([[5, 0, 0], [1, 2, 0]]), drawn(2, 3, 4)
    y = module(x, where)
    np.testing.assert_array_equal(y.data, x.data + module.weight.data[where])
    expected = np.zeros((6, 4))
    np.add.at(expected, where, c)
    np.testing.assert_allclose(grad((y * c).sum(), module.weight).data, expected, rtol=1e-14)


def test_learned_positions_begin_small():
    manual_seed(0)
    weight = nn.LearnedPositions(300, 100).weight.data
    assert weight.std() == pytest.approx(0.02, rel=0.02) and abs(weight.mean()) < 1e-3


@pytest.mark.parametrize(("dtype", "close"), [("float32", 1e-4), ("float64", 1e-11)])
@given(st.integers(-30, 60), st.integers(-30, 60), st.integers(0, 200), st.integers(0, 9))
def test_rotary_scores_depend_on_the_distance_only(dtype, close, p, q, shift, seed):
    a, b = (drawn(1, 1, 1, 6, seed=each).astype(dtype) for each in (seed, seed + 10))
    rotary = nn.Rotary(6)

    def score(at: int, other: int) -> float:
        turned = rotary(Tensor(a), np.array([at])), rotary(Tensor(b), np.array([other]))
        return float((turned[0] * turned[1]).sum().item())

    assert score(p, q) == pytest.approx(score(p + shift, q + shift), abs=close)
    far, near = score(0, 40), score(0, 0)
    assert near == pytest.approx((a * b).sum(), abs=close) and abs(far - near) > 1e-4


def test_rotary_by_hand():
    x, p = drawn(1, 2, 3, 4), np.array([[0, 2, 5]])
    y = nn.Rotary(4)(Tensor(x), p).data
    for head in range(2):
        for t, place in enumerate(p[0]):
            for i in range(2):
                pair = complex(x[0, head, t, i], x[0, head, t, i + 2])
                turned = pair * np.exp(1j * place / 10000 ** (2 * i / 4))
                assert y[0, head, t, i] == pytest.approx(turned.real, abs=1e-14)
                assert y[0, head, t, i + 2] == pytest.approx(turned.imag, abs=1e-14)
    assert same_bits(nn.Rotary(4)(Tensor(x)), nn.Rotary(4)(Tensor(x), np.arange(3)))
    assert nn.Rotary(4)(Tensor(x.astype("float32"))).dtype == np.float32


def test_rotary_keeps_lengths_and_has_a_right_gradient():
    rotary, x = nn.Rotary(6), leaf(drawn(2, 2, 3, 6))
    length = np.linalg.norm(rotary(x).data, axis=-1)
    np.testing.assert_allclose(length, np.linalg.norm(x.data, axis=-1), rtol=1e-13)
    assert gradcheck(lambda x: rotary(x, np.array([[4, 1, 0], [2, 2, 9]])), x) < 1e-8


KINDS = ["none", "sinusoidal", "learned", "rotary"]


@pytest.mark.parametrize(("dtype", "close"), [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("kind", KINDS)
def test_order_is_seen_with_positions_only(kind, dtype, close):
    """Permuted words give permuted outputs, unless positions tell them apart."""
    manual_seed(0)
    added = {"sinusoidal": nn.SinusoidalPositions(8), "learned": nn.LearnedPositions(6, 8)}
    rotary = nn.Rotary(4) if kind == "rotary" else None
    encoder = nn.TransformerEncoder(2, 8, 2, rotary=rotary).astype(dtype)
    if kind == "learned":
        nn.init.normal_(added["learned"].astype(dtype).weight)
    x, order = drawn(2, 6, 8).astype(dtype), np.array([3, 0, 5, 1, 4, 2])

    def run(x: np.ndarray) -> np.ndarray:
        h = Tensor(x)
        return encoder(added[kind](h) if kind in added else h).data

    difference = np.abs(run(x[:, order]) - run(x)[:, order]).max()
    assert difference < close if kind == "none" else difference > 0.01


@pytest.mark.parametrize(
    "module", [nn.SinusoidalPositions(4), nn.LearnedPositions(9, 4), nn.Rotary(4)], ids=repr
)
def test_positions_that_do_not_fit(module):
    shape = (2, 1, 3, 4) if isinstance(module, nn.Rotary) else (2, 3, 4)
    x = Tensor(drawn(*shape).astype("float32"))
    name, given = type(module).__name__, re.escape(str(shape))
    with pytest.raises(ValueError, match=rf"{name}: positions \(4,\) for x {given}: expected"):
        module(x, np.arange(4))
    with pytest.raises(ValueError, match=r"positions \(3, 3\)"):
        module(x, np.zeros((3, 3), int))
    with pytest.raises(TypeError, match=f"{name}: positions are integers, not float64"):
        module(x, np.zeros(3))
    with pytest.raises(ValueError, match=rf"{name}: x .* has 1 features, expected 4"):
        module(x[..., :1])
    with pytest.raises(ValueError, match=rf"{name}: x \(4,\) has 1 axes"):
        module(x.reshape(-1, 4)[0])


def test_rotary_is_for_heads_alone():
    for shape in ((2, 3, 4), (2, 1, 1, 3, 4)):
        with pytest.raises(ValueError, match=r"Rotary: x .* expected \(B, H, T, K\)"):
            nn.Rotary(4)(Tensor(drawn(*shape)), np.zeros((2, 3), int))


def test_integers_are_brought_to_floats_before_positions_are_added():
    y = nn.SinusoidalPositions(4)(np.ones((1, 2, 4), int))
    np.testing.assert_allclose(y.data, 1.0 + nn.sinusoidal([0, 1], 4)[None], rtol=1e-6)


def test_positions_beyond_the_table_are_refused():
    module, x = nn.LearnedPositions(4, 2), Tensor(np.zeros((1, 5, 2), np.float32))
    with pytest.raises(IndexError, match=r"position 4 is outside 0 … 3: shorten the text"):
        module(x)
    with pytest.raises(IndexError, match=r"position -1 is outside 0 … 3: count from 0"):
        module(x, np.array([0, 1, -1, 2, 3]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.sinusoidal([0], 3), "sinusoidal: width 3 is odd"),
        (lambda: nn.SinusoidalPositions(5), "SinusoidalPositions: width 5 is odd"),
        (lambda: nn.Rotary(5), "Rotary: head_width 5 is odd, but its features come in pairs"),
        (lambda: nn.Rotary(0), "Rotary: head_width 0 is below 2"),
        (lambda: nn.LearnedPositions(0, 4), "LearnedPositions: max_length 0 is below 1"),
    ],
)
def test_widths_that_do_not_fit(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_on_a_device_the_bits_are_those_of_the_cpu():
    x, where = drawn(2, 3, 4).astype("float32"), np.array([[0, 1, 2], [0, 0, 1]])
    for module in (nn.SinusoidalPositions(4), nn.LearnedPositions(9, 4), nn.Rotary(4)):
        x = x[:, None] if isinstance(module, nn.Rotary) else x
        expected = module(Tensor(x), where)
        with strict_cupy.installed() as cupy:
            y = module.to("cuda")(Tensor(x, device="cuda"), cupy.asarray(where))
            assert y.device == "cuda:0" and same_bits(y.to("cpu"), expected)
            module.to("cpu")


def test_learned_positions_that_begin_as_sinusoids():
    """Waves of 2π and more places, and neighbours are more alike than places far apart."""
    module = nn.LearnedPositions(64, 16)
    module.begin_as_sinusoids(0.5)
    rows = module.weight.numpy()
    assert module.weight.requires_grad and rows.dtype == np.float32
    assert np.abs(rows[:, 0] - 0.5 * np.sin(np.arange(64))).max() < 1e-6
    assert np.abs(rows[:, 15] - 0.5 * np.cos(np.arange(64) / 100 ** (14 / 16))).max() < 1e-6
    alike = rows @ rows.T
    assert (np.diagonal(alike, 1) > np.diagonal(alike, 8)[:1]).all()
    with nn.no_storage():
        nn.LearnedPositions(4, 2).begin_as_sinusoids(1.0)
    with pytest.raises(ValueError, match="width"):
        nn.LearnedPositions(4, 3).begin_as_sinusoids(1.0)

"""Tests of initialization: variances, bounds, gains, what is refused, and depth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.engine.common import leaf, same_bits
from tinygrad_llm import Tensor, manual_seed, nn
from tinygrad_llm import functional as F
from tinygrad_llm.backend import stream
from tinygrad_llm.nn import init
from tinygrad_llm.testing import strict_cupy


def empty(*shape, dtype="float64"):
    """A tensor to be filled, where what is not filled shows."""
    return Tensor(np.full(shape, np.nan, dtype))


SHAPE = (300, 100)
DRAWS = {
    "uniform": (lambda t: init.uniform_(t, -1.0, 3.0), 1.0, 16 / 12, 0.8),
    "normal": (lambda t: init.normal_(t, -1.0, 0.5), -1.0, 0.25, 2.0),
    "xavier uniform": (init.xavier_uniform_, 0.0, 2 / 400, 0.8),
    "xavier uniform gain": (lambda t: init.xavier_uniform_(t, 3.0), 0.0, 9 * 2 / 400, 0.8),
    "xavier normal": (init.xavier_normal_, 0.0, 2 / 400, 2.0),
    "xavier normal gain": (lambda t: init.xavier_normal_(t, gain=0.5), 0.0, 2 / 1600, 2.0),
    "kaiming uniform": (init.kaiming_uniform_, 0.0, 2 / 300, 0.8),
    "kaiming normal": (init.kaiming_normal_, 0.0, 2 / 300, 2.0),
    "kaiming normal tanh": (lambda t: init.kaiming_normal_(t, "tanh"), 0.0, 25 / 2700, 2.0),
    "kaiming uniform linear": (lambda t: init.kaiming_uniform_(t, "linear"), 0.0, 1 / 300, 0.8),
}
"""How to fill, and the mean, variance, and squared relative error of a sample variance times n."""


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("seed", range(3))
def test_mean_and_variance_within_five_standard_errors(name, seed):
    fill, mean, variance, spread = DRAWS[name]
    manual_seed(seed)
    x = fill(empty(*SHAPE)).data
    assert abs(x.mean() - mean) < 5 * math.sqrt(variance / x.size)
    assert math.isclose(x.var(), variance, rel_tol=5 * math.sqrt(spread / x.size))


@pytest.mark.parametrize("name", [n for n in DRAWS if "uniform" in n])
def test_uniform_ones_stay_within_root_three_deviations_and_reach_them(name):
    fill, mean, variance, _ = DRAWS[name]
    x = fill(empty(*SHAPE)).data - mean
    bound = math.sqrt(3 * variance)
    assert 0.99 * bound < x.max() <= bound * (1 + 1e-12)
    assert -bound * (1 + 1e-12) <= x.min() < -0.99 * bound


def test_normal_ones_are_normal():
    manual_seed(0)
    x = init.normal_(empty(*SHAPE)).data
    for bound, share in ((1.0, 0.6827), (2.0, 0.9545)):
        error = math.sqrt(share * (1 - share) / x.size)
        assert abs((abs(x) < bound).mean() - share) < 5 * error


def test_constants():
    assert (init.zeros_(empty(2, 3)).data == 0.0).all()
    assert (init.ones_(empty(2, 3)).data == 1.0).all()
    assert (init.constant_(empty(2, 3), -2.5).data == -2.5).all()
    assert init.constant_(empty(), 4.0).item() == 4.0
    given = np.arange(6.0).reshape(2, 3)
    assert (init.values_(empty(2, 3), given).data == given).all()
    with pytest.raises(ValueError, match=r"values_: \(2, 3\) are no values for \(3, 2\)"):
        init.values_(empty(3, 2), given)
    t = init.ones_(empty(3, 2))
    assert init.zero_row_(t, 1) is t and t.data.tolist() == [[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_every_one_fills_in_place_and_keeps_the_dtype(dtype):
    fills = [
        init.zeros_,
        init.ones_,
        lambda t: init.constant_(t, 2.0),
        init.trunc_normal_,
        *(fill for fill, *_ in DRAWS.values()),
    ]
    for fill in fills:
        t = nn.Parameter(np.full((4, 5), np.nan), dtype=dtype)
        array = t.data
        assert fill(t) is t and t.data is array and t.dtype == dtype
        assert np.isfinite(array).all() and t.is_leaf and t.requires_grad and t.grad is None


def test_single_numbers_and_nothing_are_filled_too():
    for fill in (init.normal_, init.uniform_, init.trunc_normal_, init.ones_):
        assert np.isfinite(fill(empty()).item())
        assert fill(empty(0, 3)).shape == (0, 3)


@pytest.mark.parametrize("fill", [init.zeros_, lambda w: init.zero_row_(w, 0)])
def test_filling_between_forward_and_backward_is_seen_by_the_tape(fill):
    w = leaf([[1.0, 2.0]])
    y = (w * w).sum()
    fill(w)
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


# Truncated normal


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"), [(0, 1, -2, 2), (0, 0.02, -0.04, 0.04), (1, 2, 0, 1.5), (0, 1, 2, 3)]
)
def test_trunc_normal_stays_in_its_bounds_with_the_moments_of_a_cut_normal(mean, std, a, b):
    manual_seed(0)
    x = init.trunc_normal_(empty(200, 200), mean, std, a, b).data
    assert a <= x.min() and x.max() <= b
    width = b - a
    grid = a + width * (np.arange(20_000) + 0.5) / 20_000
    density = np.exp(-(((grid - mean) / std) ** 2) / 2)
    density /= density.sum()
    expected = density @ grid
    moments = [density @ (grid - expected) ** k for k in (2, 4)]
    assert abs(x.mean() - expected) < 5 * math.sqrt(moments[0] / x.size)
    assert abs(x.var() - moments[0]) < 5 * math.sqrt((moments[1] - moments[0] ** 2) / x.size)
    assert len(np.unique(x)) == x.size


def test_trunc_normal_at_two_deviations_has_88_percent_of_std():
    manual_seed(0)
    x = init.trunc_normal_(empty(300, 300), std=0.5, a=-1.0, b=1.0).data
    assert math.isclose(x.std(), 0.8796 * 0.5, rel_tol=0.01)


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"), [(0, 1, 5, 6), (0, 0, -1, 1), (0, 1, 1, -1), (9, 1, -2, 2)]
)
def test_trunc_normal_refuses_bounds_that_would_take_for_ever(mean, std, a, b):
    message = rf"trunc_normal_: mean {mean}, std {std} hardly ever lies in \[{a}, {b}\]"
    with pytest.raises(ValueError, match=message):
        init.trunc_normal_(empty(2, 2), mean, std, a, b)


# Gains and fans


def test_gains():
    exact = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2)}
    assert {name: init.calculate_gain(name) for name in exact} == exact
    z = np.linspace(-12.0, 12.0, 200_001)
    density = np.exp(-z * z / 2.0) / math.sqrt(2.0 * math.pi) * (z[1] - z[0])
    for name, act in (("relu", F.relu), ("gelu", F.gelu), ("silu", F.silu)):
        kept = (act(Tensor(z)).numpy() ** 2 * density).sum()
        assert init.calculate_gain(name) == pytest.approx(kept**-0.5, rel=1e-4)
    with pytest.raises(ValueError, match="'swish' is not one of linear, sigmoid, tanh, relu"):
        init.calculate_gain("swish")
    with pytest.raises(ValueError, match="'swish' is not one of"):
        init.kaiming_normal_(empty(2, 2), "swish")


def test_fan_in_is_the_first_axis():
    manual_seed(0)
    wide = init.kaiming_normal_(empty(10, 4000)).data.std()
    tall = init.kaiming_normal_(empty(4000, 10)).data.std()
    assert math.isclose(wide, math.sqrt(2 / 10), rel_tol=0.05)
    assert math.isclose(tall, math.sqrt(2 / 4000), rel_tol=0.05)


@pytest.mark.parametrize("name", ["xavier", "kaiming"])
@pytest.mark.parametrize("kind", ["uniform", "normal"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4), (0, 3), (3, 0)], ids=str)
def test_what_has_no_fans_is_refused(name, kind, shape):
    with pytest.raises(ValueError, match=rf"{name}: needs a weight \(in, out\)"):
        getattr(init, f"{name}_{kind}_")(empty(*shape))


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (lambda t: init.normal_(t, 0.0, -1.0), r"normal_: std .*-1\.0"),
        (lambda t: init.uniform_(t, 1.0, 0.0), r"uniform_: .*1\.0.*0\.0"),
    ],
    ids=["std", "bounds"],
)
def test_settings_that_make_no_sense_are_refused_by_name(fill, message):
    with pytest.raises(ValueError, match=message):
        fill(empty(2, 2))


@pytest.mark.parametrize("fill", [init.uniform_, init.normal_, init.xavier_normal_])
def test_drawn_numbers_do_not_go_into_integers(fill):
    """They would all be cut down to 0 without a word."""
    with pytest.raises(TypeError, match="int64"):
        fill(Tensor(np.ones((3, 3), np.int64)))


# Determinism


def test_the_seed_decides_and_each_fill_is_another_draw():
    pairs = []
    for _ in range(2):
        manual_seed(7)
        pairs.append([init.normal_(empty(3, 3)), init.uniform_(empty(3, 3))])
        pairs[-1].append(init.normal_(empty(3, 3)))
    assert all(map(same_bits, *pairs))
    assert not same_bits(pairs[0][0], pairs[0][2])
    manual_seed(8)
    assert not same_bits(init.normal_(empty(3, 3)), pairs[0][0])


def test_only_the_stream_init_is_used_and_constants_draw_nothing():
    manual_seed(0)
    np.random.seed(0)
    before = np.random.get_state()[1].tolist()
    dropout = stream("dropout").position
    for fill, *_ in DRAWS.values():
        fill(empty(4, 4))
    assert stream("init").position == len(DRAWS) and stream("dropout").position == dropout
    init.zeros_(empty(2))
    assert stream("init").position == len(DRAWS)
    assert np.random.get_state()[1].tolist() == before


def test_a_device_gets_the_same_numbers():
    with strict_cupy.installed():
        manual_seed(0)
        here = init.trunc_normal_(empty(5, 5))
        manual_seed(0)
        there = init.trunc_normal_(empty(5, 5).to("cuda"))
        assert there.device == "cuda:0" and np.array_equal(there.numpy(), here.data)


# Depth


def mean_square_after(layers, fill, width=256):
    """Of the outputs of ReLU layers without biases, for standard normal rows."""
    h = init.normal_(empty(64, width))
    for _ in range(layers):
        layer = nn.Linear(width, width, bias=False).astype("float64")
        fill(layer.weight)
        h = F.relu(layer(h)).detach()
    return float((h.data**2).mean())


@pytest.mark.parametrize("seed", range(2))
def test_twenty_relu_layers_keep_the_signal_with_he_and_lose_it_with_xavier(seed):
    manual_seed(seed)
    he = mean_square_after(20, init.kaiming_normal_)
    uniform = mean_square_after(20, init.kaiming_uniform_)
    xavier = mean_square_after(20, init.xavier_normal_)
    begin = mean_square_after(20, lambda w: None)
    assert 0.2 < he < 5.0 and 0.2 < uniform < 5.0
    assert 1e-7 < xavier < 1e-5 and begin < 1e-14

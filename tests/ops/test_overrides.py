"""The faster forms of ops on the CPU give what the references give, and leave to them what they do
not take."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_llm import Tensor, checkpoint, grad, manual_seed, use_backend
from tinygrad_llm import functional as F
from tinygrad_llm.backend.cpu import OVERRIDES, attention, gelu
from tinygrad_llm.backend.overrides import Override, takes
from tinygrad_llm.ops import OPS, Op
from tinygrad_llm.ops.elementwise import erf
from tinygrad_llm.testing import GradientError
from tinygrad_llm.testing.overrides import check_call, check_override, samples_of, small_tiles
from tinygrad_llm.testing.strategies import calls

equal = np.testing.assert_array_equal
NAMES = sorted(OVERRIDES)
DRAWN = [each for name in NAMES for each in samples_of(name)]


def drawn(*shape: int, size: float = 1.0) -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32) * size


def run(function, *arrays, create_graph=False):
    """Outputs and gradients, with cotangents that are no constants."""
    xs = [Tensor(x.copy(), requires_grad=x.dtype.kind == "f") for x in arrays]
    ys = function(*xs)
    ys = ys if isinstance(ys, tuple) else (ys,)
    wrt = [x for x in xs if x.requires_grad]
    loss = sum((y * np.cos(np.arange(y.size, dtype=np.float32)).reshape(y.shape)).sum() for y in ys)
    found = grad(loss, wrt, create_graph=create_graph)
    if create_graph:
        found = grad(sum((g * g).sum() for g in found), wrt, allow_unused=True)
        found = [g for g in found if g is not None]
    return [y.data for y in (*ys, *found)]


def close(a, b, ulps=16):
    """Equal but for rounding, relative to the largest number of the array."""
    size = max(np.abs(a).max(initial=0.0), 1e-30)
    assert a.shape == b.shape and a.dtype == b.dtype
    np.testing.assert_allclose(b, a, rtol=0, atol=ulps * 2.0**-23 * size)


def on_both(function, *arrays, ulps=16, **options):
    with use_backend("reference"):
        expected = run(function, *arrays, **options)
    for a, b in zip(expected, run(function, *arrays, **options), strict=True):
        close(a, b, ulps)


LARGE = {
    "linear": (F.linear, [drawn(3, 300, 40), drawn(40, 50), drawn(50)]),
    "gelu": (
        lambda x, w, b: F.linear(x, w, b, "gelu"),
        [drawn(3, 300, 40), drawn(40, 700), drawn(700)],
    ),
    "gelu_tanh": (
        lambda x, w, b: F.linear(x, w, b, "gelu_tanh"),
        [drawn(3, 300, 40), drawn(40, 700), drawn(700)],
    ),
    "layer norm": (F.layer_norm, [drawn(3, 50, 40), drawn(40), drawn(40)]),
    "layer norm of a sum": (
        lambda x, r, w: F.add_layer_norm(x, r, w),
        [drawn(3, 50, 40), drawn(3, 50, 40) * 0.5, drawn(40)],
    ),
    "RMS norm": (F.rms_norm, [drawn(3, 50, 40), drawn(40)]),
    "causal attention": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        [drawn(3, 4, 150, 8), drawn(3, 4, 150, 8) * 0.5, drawn(3, 4, 150, 6)],
    ),
    "attention of many texts": (
        F.scaled_dot_product_attention,
        [drawn(50, 4, 60, 8), drawn(50, 4, 60, 8) * 0.5, drawn(50, 4, 60, 6)],
    ),
    "head": (
        lambda x, w, b: F.linear_cross_entropy(
            x, w, np.arange(90) % 70, b, label_smoothing=0.1, chunk=40
        ),
        [drawn(90, 30), drawn(30, 70), drawn(70)],
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_on_all_its_samples(name):
    assert check_override(name) > 0.3


@pytest.mark.parametrize("sample", DRAWN, ids=repr)
@settings(max_examples=25)
@given(data=st.data())
def test_drawn_calls(sample, data):
    call = data.draw(calls(sample))
    with small_tiles():
        check_call(OPS[sample.op], OVERRIDES[sample.op], call, near_1=False)


@pytest.mark.parametrize("case", LARGE)
def test_in_tiles_of_their_usual_size(case):
    function, arrays = LARGE[case]
    on_both(function, *arrays, ulps=128)  # the reference's sums over rows are that far off


@pytest.mark.parametrize("case", LARGE)
def test_second_derivatives_are_those_of_the_reference(case):
    function, arrays = LARGE[case]
    small = [np.ascontiguousarray(x[:2, ..., :12, :] if x.ndim > 2 else x) for x in arrays]
    on_both(function, *small, create_graph=True, ulps=64)


@pytest.mark.parametrize("case", LARGE)
def test_the_reference_has_its_own_bits(case, monkeypatch):
    function, arrays = LARGE[case]
    with use_backend("reference"):
        chosen = run(function, *arrays)
    for name in NAMES:
        monkeypatch.setattr(OPS[name], "override", None)
    for a, b in zip(chosen, run(function, *arrays), strict=True):
        equal(a, b)


@pytest.mark.parametrize("case", LARGE)
def test_two_runs_have_the_same_bits(case):
    function, arrays = LARGE[case]
    for a, b in zip(run(function, *arrays), run(function, *arrays), strict=True):
        equal(a, b)


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_gradient_is_found(name, monkeypatch):
    override = OVERRIDES[name]

    def wrong(g, saved, needs):
        first, *others = override.backward(g, saved, needs)
        return (None if first is None else first * np.float32(1.001), *others)

    monkeypatch.setitem(OVERRIDES, name, override._replace(backward=wrong))
    with pytest.raises(GradientError, match="beyond"):
        check_override(name)


def test_an_op_without_an_override_has_none_to_check():
    with pytest.raises(ValueError, match="'add' has none"):
        check_override("add")


# Numbers at the edge


@pytest.mark.parametrize("size", [1e-4, 30.0, 1e4])
@pytest.mark.parametrize("causal", [False, True])
def test_attention_of_scores_in_and_out_of_range(size, causal):
    q, k, v = drawn(2, 2, 9, 4, size=size), drawn(2, 2, 9, 4)[..., ::-1], drawn(2, 2, 9, 3)
    mask = np.random.default_rng(0).random((2, 1, 9, 9)) < 0.7
    mask[0, :, 3] = False

    def function(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal)

    y, dq, *_ = run(function, q, k, v)
    assert np.isfinite(y).all() and not y[0, :, 3].any() and not dq[0, :, 3].any()
    on_both(function, q, k, v, ulps=16 * max(1.0, size))


def test_what_no_query_sees_may_be_nan():
    q, k, v = drawn(1, 1, 3, 2), drawn(1, 1, 4, 2), drawn(1, 1, 4, 2)
    k[..., 2, :] = np.nan
    mask = np.array([True, True, False, True])
    y = F.scaled_dot_product_attention(q, k, v, mask).data
    close(F.scaled_dot_product_attention(q, k[:, :, [0, 1, 3]], v[:, :, [0, 1, 3]]).data, y)


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh"])
def test_gelu_far_out(activation):
    z = np.array([[-1e4, -40.0, -7.0, -6.0, -1e-4, 0.0, 1e-4, 6.0, 7.0, 40.0, 1e4]], np.float32).T
    one = np.ones((1, 1), np.float32)
    y, dz, *_ = run(lambda z: F.linear(z, Tensor(one), activation=activation), z)
    assert not y[:3].any() and np.abs(dz[:2]).max() < 2.0**-24
    equal(y[8:], z[8:])
    on_both(lambda z: F.linear(z, Tensor(one), activation=activation), z, ulps=1)


def test_the_polynomial_of_gelu_is_as_near_as_it_says():
    x = np.linspace(-12.0, 12.0, 100_001)
    near = np.clip(x, -gelu.FAR, gelu.FAR)
    inner = near * np.polyval(gelu.PHI[::-1], near * near)
    exact = 0.5 * (1.0 + erf(np, x / np.sqrt(2.0)))
    assert np.abs(0.5 + 0.5 * np.tanh(inner) - exact).max() < 4e-8


@pytest.mark.parametrize("size", [1e-4, 1e4])
def test_norms_of_extreme_rows(size):
    x = drawn(4, 6, size=size) + np.float32(size)
    on_both(lambda x, w: F.layer_norm(x, w), x, drawn(6), ulps=64)
    on_both(lambda x, w: F.rms_norm(x, w), x, drawn(6), ulps=64)


@pytest.mark.parametrize("size", [1.0, 1e4])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_head_with_logits_in_and_out_of_range(size, smoothing):
    bias = np.array([0.0, 0.0, 1e4, -1e4 if smoothing else -np.inf, 5.0], np.float32)

    def function(x, w):
        b = Tensor(bias if size > 1 else bias * np.float32(1e-4))
        given = {"label_smoothing": smoothing, "chunk": 2}
        return F.linear_cross_entropy(x, w, [0, 2, 4, 2, 1], b, **given)

    on_both(function, drawn(5, 3, size=size), drawn(3, 5), ulps=64)


# When the reference runs


class Counted:
    """An override of linear that counts, and leaves every call to the reference if told so."""

    def __init__(self, monkeypatch, declines=False):
        self.calls: list[str] = []
        ours = OVERRIDES["linear"]

        def forward(*arrays):
            self.calls.append("forward")
            return NotImplemented if declines else ours.forward(*arrays)

        def backward(*arguments):
            self.calls.append("backward")
            return ours.backward(*arguments)

        monkeypatch.setattr(OPS["linear"], "override", Override(forward, backward))


def backward_of_linear(dtype=np.float32, **options):
    x = Tensor(drawn(2, 3).astype(dtype), requires_grad=True)
    grad(F.linear(x, drawn(3, 2).astype(dtype)).sum(), x, **options)


@pytest.mark.parametrize(
    "dtype, expected",
    [("float32", ["forward", "backward"]), ("float64", []), ("float16", [])],
)
def test_float32_alone_is_taken(monkeypatch, dtype, expected):
    counted = Counted(monkeypatch)
    backward_of_linear(dtype)
    assert counted.calls == expected


def test_arrays_of_two_dtypes_are_not_taken():
    x = drawn(2, 3)
    assert takes([x, x > 0, None])
    assert not takes([x, x.astype(np.float64)])
    assert not takes([x, 2.0])


def test_what_is_declined_goes_the_way_of_the_reference(monkeypatch):
    counted = Counted(monkeypatch, declines=True)
    backward_of_linear()
    assert counted.calls == ["forward"]


def test_create_graph_goes_the_way_of_the_reference(monkeypatch):
    counted = Counted(monkeypatch)
    backward_of_linear(create_graph=True)
    assert counted.calls == ["forward"]


def test_a_backend_is_chosen_by_a_call_or_for_a_block(monkeypatch):
    counted = Counted(monkeypatch)
    with use_backend("reference"):
        backward_of_linear()
        with use_backend("fast"):
            backward_of_linear()
        use_backend("fast")
    assert counted.calls == ["forward", "backward"]
    backward_of_linear()
    assert len(counted.calls) == 4


def test_a_backward_runs_on_the_side_of_its_forward():
    x = Tensor(drawn(2, 3), requires_grad=True)
    y = F.linear(x, drawn(3, 4), activation="gelu")
    with use_backend("reference"):
        z = F.linear(x, drawn(3, 4), activation="gelu")
        slow = grad(y.sum(), x).data
    close(grad(z.sum(), x).data, slow)


def test_an_unknown_backend():
    with pytest.raises(ValueError, match="'slow' is none of 'fast', 'reference'"):
        use_backend("slow")


@pytest.mark.usefixtures("own_ops")
def test_an_op_from_outside_has_no_override_of_ours():
    class Linear(Op):
        """A learner's own."""

    class Mine(OPS["linear"]):
        """One that begins with ours."""

    assert Linear.override is None and Mine.override is None
    assert OPS["linear"].override is OVERRIDES["linear"]


def test_a_checkpoint_computes_the_same_again():
    x, w = drawn(2, 5, 4), drawn(4, 4)

    def function(x, w):
        h = F.linear(x, w, activation="gelu")
        return F.scaled_dot_product_attention(h, h, h, dropout_p=0.3)

    manual_seed(1)
    plain = run(function, x, w)
    manual_seed(1)
    again = run(lambda *xs: checkpoint(function, *xs), x, w)
    for a, b in zip(plain, again, strict=True):
        equal(a, b)


def test_a_shape_that_does_not_fit_is_explained_as_ever():
    with pytest.raises(ValueError, match=r"linear: x \(2, 3\) with a weight \(4, 5\)"):
        F.linear(drawn(2, 3), drawn(4, 5))


def test_heads_lie_side_by_side_so_that_nothing_is_copied():
    q = drawn(2, 5, 3, 4).swapaxes(1, 2)
    y = F.scaled_dot_product_attention(q, q, q).data
    assert y.shape == q.shape and y.swapaxes(1, 2).flags.c_contiguous


def test_keys_beyond_the_last_query_are_not_computed():
    q = drawn(1, 1, 200, 4)
    tiles = list(attention._tiles(q, q, True, 0))
    assert [(t.queries.start, t.queries.stop, t.keys.stop) for t in tiles] == [
        (136, 200, 200),
        (72, 136, 136),
        (8, 72, 72),
        (0, 8, 8),
    ]

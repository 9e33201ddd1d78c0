"""check_op notices whatever can be wrong with a gradient; the complex step and strategies work."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from tinygrad_llm import Tensor
from tinygrad_llm import functional as F
from tinygrad_llm.graph import walk
from tinygrad_llm.ops import OPS, Piece, dropout, losses, reductions
from tinygrad_llm.testing import GradientError
from tinygrad_llm.testing.checks import check_op
from tinygrad_llm.testing.raw import complex_step
from tinygrad_llm.testing.samples.drawing import LAYOUTS, arranged
from tinygrad_llm.testing.strategies import arrays, broadcastable, layouts, shapes


def replaced(monkeypatch, op, backward):
    monkeypatch.setattr(OPS[op], "backward", staticmethod(backward))


def wrong(monkeypatch, op, backward, message=None):
    replaced(monkeypatch, op, backward)
    with pytest.raises(GradientError, match=message):
        check_op(op)


WRONG_VALUES = {
    "a sign": ("exp", lambda xp, g, saved, needs: -g * saved[0]),
    "a factor": ("sqrt", lambda xp, g, saved, needs: g / saved[0]),
    "nothing at all": ("softmax", lambda xp, g, saved, needs: g * 0.0),
    "a missing transpose": ("matmul", lambda xp, g, saved, needs: (g @ saved[1], saved[0] @ g)),
    "arguments exchanged": ("multiply", lambda xp, g, saved, needs: (g * saved[0], g * saved[1])),
    "a kink that passes": ("relu", lambda xp, g, saved, needs: g * (saved[0] >= 0)),
    "no gradient": ("divide", lambda xp, g, saved, needs: (g / saved[0], None)),
    "a value that is not finite": ("sin", lambda xp, g, saved, needs: g * np.nan),
}


@pytest.mark.parametrize("what", WRONG_VALUES)
def test_wrong_values(what, monkeypatch):
    op, backward = WRONG_VALUES[what]
    wrong(monkeypatch, op, backward)


def test_wrong_only_under_create_graph(monkeypatch):
    """A cache that is not computed again from the inputs."""
    right = OPS["silu"].backward
    kept = {}

    def backward(xp, g, saved, needs):
        x, s = saved
        if s is None:
            return right(xp, g, (x, Tensor(kept["s"])), needs)
        kept["s"] = s
        return right(xp, g, saved, needs)

    wrong(monkeypatch, "silu", backward, "order 2")


def test_wrong_by_a_bit_under_create_graph(monkeypatch):
    def backward(xp, g, saved, needs):
        return g / saved[0] if xp is np else g * (1.0 / saved[0])

    wrong(monkeypatch, "log", backward, "under create_graph")


def test_a_promoted_dtype(monkeypatch):
    def backward(xp, g, saved, needs):
        return g * (np.float64(-1.0) if xp is np else -1.0)

    wrong(monkeypatch, "negative", backward, "a gradient of float64 for float32")


def test_a_coarse_float32(monkeypatch):
    def backward(xp, g, saved, needs):
        coarse = 1.0 + 2e-6 * (g.dtype == np.float32)
        return g * saved[0] * coarse

    wrong(monkeypatch, "exp", backward, "float32 beyond")


def test_an_input_that_is_written_to(monkeypatch):
    def backward(xp, g, saved, needs):
        (x,) = saved
        y = g / x
        if xp is np and x.flags.writeable:
            x *= 2.0
        return y

    wrong(monkeypatch, "log", backward)


def test_a_cotangent_that_is_written_to(monkeypatch):
    def backward(xp, g, saved, needs):
        g *= saved[0]
        return g

    replaced(monkeypatch, "exp", backward)
    with pytest.raises((GradientError, RuntimeError)):  # Tensors refuse to be written to
        check_op("exp")


def test_gradients_that_share_memory(monkeypatch):
    monkeypatch.setattr(walk, "_is_unshared", lambda dx, held: True)
    with pytest.raises(GradientError, match="shared memory"):
        check_op("add")


def test_work_that_nobody_asked_for(monkeypatch):
    def backward(xp, g, saved, needs):
        return g * saved[1], g * saved[0]

    wrong(monkeypatch, "multiply", backward, "computed unasked")


HELPERS = {
    "_products_before": (reductions, lambda xp, x: xp.ones_like(x), "prod"),
    "target_distribution": (losses, lambda *a: 2.0 * TARGET(*a), "weightedcrossentropy"),
    "scaled_mask": (dropout, lambda *a: 2.0 * MASK(*a), "dropout"),
    "unbroadcast": (walk, lambda g, shape: 2.0 * UNBROADCAST(g, shape), "add"),
}
TARGET, MASK = losses.target_distribution, dropout.scaled_mask
UNBROADCAST = walk.unbroadcast


@pytest.mark.parametrize("name", HELPERS)
def test_wrong_helpers(name, monkeypatch):
    module, helper, op = HELPERS[name]
    monkeypatch.setattr(module, name, helper)
    with pytest.raises(GradientError):
        check_op(op)


def test_a_piece_that_is_assigned_in_place_of_added(monkeypatch):
    def add_to(self, xp, buffer):
        buffer[self.index] = self.g

    monkeypatch.setattr(Piece, "add_to", add_to)
    for op in ("getitem", "embedding"):
        with pytest.raises(GradientError):
            check_op(op)


def test_a_wrong_value_counts_before_a_crash(monkeypatch):
    def backward(xp, g, saved, needs):
        if g.ndim == 2:
            raise ZeroDivisionError
        return 2.0 * g

    wrong(monkeypatch, "negative", backward)


def test_a_crash_is_raised_where_no_value_is_wrong(monkeypatch):
    def backward(xp, g, saved, needs):
        if g.ndim == 0:
            raise ZeroDivisionError
        return -g

    replaced(monkeypatch, "negative", backward)
    with pytest.raises(ZeroDivisionError):
        check_op("negative")


def test_order_1_alone(monkeypatch):
    def backward(xp, g, saved, needs):
        return g * (saved[0] if xp is np else saved[0].detach())

    replaced(monkeypatch, "exp", backward)
    assert check_op("exp", order=1) < 1e-12
    with pytest.raises(GradientError, match="order 2"):
        check_op("exp")


@pytest.mark.parametrize(
    "name, order, message", [("spam", 2, "no sample of 'spam'"), ("exp", 3, "use gradcheck")]
)
def test_what_it_refuses(name, order, message):
    with pytest.raises(ValueError, match=message):
        check_op(name, order=order)


def test_the_complex_step_is_exact():
    x = np.random.default_rng(0).standard_normal((2, 3))
    jacobian = complex_step("sin", (x,), {}, 0)
    assert jacobian.shape == (6, 2, 3)
    np.testing.assert_allclose(jacobian.reshape(6, 6), np.diag(np.cos(x.ravel())), rtol=1e-15)
    a, b = x, np.random.default_rng(1).standard_normal((3, 2))
    by_b = complex_step(OPS["matmul"], (a, b), {}, 1)
    np.testing.assert_allclose(by_b.reshape(4, 6), np.kron(a, np.eye(2)), rtol=1e-15)
    assert complex_step("exp", (np.zeros((0, 2)),), {}, 0).shape == (0, 0, 2)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4), (0, 2)])
def test_layouts_change_no_value(layout, shape):
    x = np.random.default_rng(0).standard_normal(shape)
    y = arranged(x, layout)
    assert np.array_equal(x, y) and not np.shares_memory(x, y)
    if shape == (2, 3, 4):
        assert y.flags.c_contiguous == (layout in ("contiguous", "read-only"))
        assert y.flags.writeable == (layout != "read-only")


@given(broadcastable(3))
def test_broadcastable_shapes_broadcast(drawn):
    assert len(drawn) == 3
    np.broadcast_shapes(*drawn)


@given(st.data())
def test_drawn_arrays_keep_their_domain(data):
    shape = data.draw(shapes(min_ndim=1, min_side=1))
    x = data.draw(arrays(shape, size=10.0, kinks=(0.5,)))
    assert x.shape == shape and x.dtype == np.float64
    assert (np.abs(x) < 11).all() and (np.abs(x - 0.5) > 0.049).all()
    positive = data.draw(arrays(shape, positive=True))
    assert ((positive >= 1e-3) & (positive <= 1e3)).all()
    assert np.array_equal(data.draw(layouts())(x), x)


@pytest.mark.parametrize(
    "strategy, wanted",
    [
        (shapes(), lambda s: 0 in s),
        (shapes(), lambda s: s == ()),
        (shapes(), lambda s: len(s) == 3 and 1 in s),
        (broadcastable(2), lambda pair: len(pair[0]) < len(pair[1])),
        (arrays((2, 3)), lambda x: not x.flags.c_contiguous),
        (arrays((2, 3)), lambda x: np.abs(x).max() < 1e-2),
        (arrays((2, 3)), lambda x: np.abs(x).min() > 90),
    ],
)
def test_strategies_reach_what_matters(strategy, wanted):
    # Only found, not made small: shrinking an array of floats can take minutes.
    find(strategy, wanted, settings=settings(max_examples=2000, phases=[Phase.generate]))


def test_functions_leave_out_no_gradient_that_is_asked_for():
    """The class weights of a loss are constants: nothing flows into them."""
    weight = Tensor(np.ones(2), requires_grad=True)
    logits = Tensor(np.zeros((1, 2)), requires_grad=True)
    F.cross_entropy(logits, [1], weight).backward()
    assert weight.grad is None and logits.grad is not None

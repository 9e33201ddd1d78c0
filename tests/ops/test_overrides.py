"""The faster forms of ops on the CPU give what the references give, and leave to them what they do
not take."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ops.both import drawn, equal, on_both, run
from tinygrad_llm import Tensor, checkpoint, grad, manual_seed, use_backend
from tinygrad_llm import functional as F
from tinygrad_llm.backend.cpu import OVERRIDES, attention
from tinygrad_llm.backend.overrides import Override, takes
from tinygrad_llm.ops import OPS, Op
from tinygrad_llm.testing import GradientError
from tinygrad_llm.testing.overrides import check_call, check_override, samples_of, small_tiles
from tinygrad_llm.testing.strategies import calls

NAMES = sorted(OVERRIDES)
DRAWN = [each for name in NAMES for each in samples_of(name)]


def attend(q, k, v, **options):
    """With the same mask and the same dropout in every call."""
    manual_seed(5)
    mask = np.random.default_rng(0).random((len(q), 1, q.shape[2], k.shape[2])) < 0.7
    return F.scaled_dot_product_attention(q, k, v, mask, is_causal=True, **options)


LARGE = {
    "linear": (F.linear, [drawn(3, 300, 40), drawn(40, 50), drawn(50)]),
    "relu": (
        lambda x, w, b: F.linear(x, w, b, "relu"),
        [drawn(3, 60, 40), drawn(40, 50), drawn(50)],
    ),
    "gelu": (F.gelu, [drawn(3, 300, 700)]),
    "gelu by tanh": (lambda x: F.gelu(x, approximate="tanh"), [drawn(3, 300, 700)]),
    "linear gelu": (
        lambda x, w, b: F.linear(x, w, b, "gelu"),
        [drawn(3, 300, 40), drawn(40, 700), drawn(700)],
    ),
    "linear gelu by tanh": (
        lambda x, w, b: F.linear(x, w, b, "gelu_tanh"),
        [drawn(3, 300, 40), drawn(40, 700), drawn(700)],
    ),
    "layer norm": (F.layer_norm, [drawn(3, 50, 40), drawn(40), drawn(40)]),
    "layer norm of a sum": (
        lambda x, r, w: F.add_layer_norm(x, r, w),
        [drawn(3, 50, 40), drawn(3, 50, 40) * 0.5, drawn(40)],
    ),
    "RMS norm": (F.rms_norm, [drawn(3, 50, 40), drawn(40)]),
    "RMS norm of a sum": (
        F.add_rms_norm,
        [drawn(3, 50, 40), drawn(3, 50, 40) * 0.5, drawn(40)],
    ),
    "causal attention": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        [drawn(3, 4, 150, 8), drawn(3, 4, 150, 8) * 0.5, drawn(3, 4, 150, 6)],
    ),
    "attention with a mask and dropout": (
        lambda *qkv: attend(*qkv, dropout_p=0.3),
        [drawn(3, 4, 150, 8), drawn(3, 4, 150, 8) * 0.5, drawn(3, 4, 150, 6)],
    ),
    "attention behind a cache": (
        lambda q, k, v: attend(q[:, :, 9:], k, v, offset=9),
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
        found = override.backward(g, saved, needs)
        first, *others = found if isinstance(found, tuple) else (found,)
        return (None if first is None else first * np.float32(1.001), *others)

    monkeypatch.setitem(OVERRIDES, name, override._replace(backward=wrong))
    with pytest.raises(GradientError, match="beyond"):
        check_override(name)


def test_an_op_without_an_override_has_none_to_check():
    with pytest.raises(ValueError, match="'add' has none"):
        check_override("add")


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
    assert not takes([x > 0, x])
    assert not takes([x, x.astype(np.float64)])
    assert not takes([x, 2.0])


@pytest.mark.parametrize("activation", [None, "relu", "gelu", "gelu_tanh"])
@pytest.mark.parametrize("shape", [(4, 3), (2, 2, 3)])
def test_integers_are_not_taken(activation, shape):
    x, w = np.arange(-6, 6).reshape(shape), np.arange(12).reshape(3, 4)
    y = F.linear(x, Tensor(w), activation=activation).data
    assert activation is not None or y.dtype == np.int64
    wide = F.linear(x.astype(float), Tensor(w.astype(float)), activation=activation).data
    np.testing.assert_allclose(y, wide, rtol=1e-6)


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


def chosen() -> str:
    return "fast" if takes([np.ones(1, np.float32)]) else "reference"


def test_one_choice_may_have_several_blocks():
    choice = use_backend("reference")
    assert chosen() == "reference"
    for _ in range(2):
        with choice:
            with choice, use_backend("fast"):
                assert chosen() == "fast"
            assert chosen() == "reference"
        assert chosen() == "fast"


def test_a_backend_for_a_function():
    @use_backend("reference")
    def outer(depth):
        with use_backend("fast"):
            assert chosen() == "fast"
        if depth:
            outer(depth - 1)
        return chosen()

    assert chosen() == "fast"
    assert [outer(2), outer(0)] == ["reference"] * 2
    assert chosen() == "fast" and outer.__name__ == "outer"
    used = use_backend("reference")
    with used:
        pass
    assert used(chosen)() == "reference" and chosen() == "fast"


def test_a_backward_runs_on_the_side_of_its_forward(monkeypatch):
    counted, x = Counted(monkeypatch), Tensor(drawn(2, 3), requires_grad=True)
    y = F.linear(x, drawn(3, 4))
    with use_backend("reference"):
        grad(y.sum(), x)
        z = F.linear(x, drawn(3, 4))
    assert counted.calls == ["forward", "backward"]
    grad(z.sum(), x)
    assert counted.calls == ["forward", "backward"]


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

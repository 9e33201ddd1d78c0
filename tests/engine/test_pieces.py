"""Tests of gradients that come in pieces: reading an array T times costs no T arrays."""

from __future__ import annotations

import numpy as np
import pytest

from tests.engine.common import drawn, leaf
from tinygrad_llm import functional as F
from tinygrad_llm import grad, graph
from tinygrad_llm.ops.base import Piece


def elements_touched(monkeypatch, T, use):
    """How many elements the walk back writes: pieces, whole gradients, new buffers and copies."""
    touched = []
    with monkeypatch.context() as patch:

        def count(owner, name, size):
            original = getattr(owner, name)

            def call(*args, **kwargs):
                touched.append(size(*args, **kwargs))
                return original(*args, **kwargs)

            patch.setattr(owner, name, call)

        y = use(leaf(drawn(T, 2)), T)
        count(np, "zeros", lambda shape, *_: int(np.prod(shape)))
        count(np, "array", lambda value, *_, **__: np.size(value))
        count(Piece, "add_to", lambda piece, xp, buffer: piece.g.size)
        count(graph.Accumulator, "add", lambda total, g, owned, in_place: g.size)
        y.backward()
    return sum(touched)


def read_by_slices(x, T):
    return F.stack([x[t : t + 1, 1:] * float(t) for t in range(T)]).sum()


def read_by_columns(x, T):
    x = x.T
    return F.stack([x[:, t] * float(t) for t in range(T)]).sum()


def read_by_arrays(x, T):
    return F.concatenate([x[np.array([t, t])] for t in range(T)]).sum()


def read_by_embedding(x, T):
    return F.concatenate([F.embedding(np.array([t, t, 0]), x) for t in range(T)]).sum()


def read_by_take_along_axis(x, T):
    return F.concatenate([F.take_along_axis(x, np.full((1, 2), t), 0) for t in range(T)]).sum()


def read_of_a_computed_tensor(x, T):
    return read_by_columns(F.tanh(x), T)


@pytest.mark.parametrize(
    "use",
    [
        read_by_slices,
        read_by_columns,
        read_by_arrays,
        read_by_embedding,
        read_by_take_along_axis,
        read_of_a_computed_tensor,
    ],
)
def test_reading_every_place_once_costs_one_array_and_not_one_for_each(monkeypatch, use):
    """A dense zero array for each of the T reads would make this T², and the ratio 4."""
    small, large = (elements_touched(monkeypatch, T, use) for T in (64, 128))
    assert 1.9 < large / small < 2.1


def test_pieces_add_into_a_dense_gradient_and_the_other_way_round():
    for first in ("piece", "dense"):
        x = leaf(drawn(4))
        square, piece = (x * x, x[1:3]) if first == "piece" else (None, None)
        if first == "dense":
            piece, square = x[1:3], x * x
        (square.sum() + 5.0 * piece.sum()).backward()
        assert np.allclose(x.grad.data, 2 * x.data + np.array([0, 5.0, 5.0, 0]), rtol=1e-15)


def test_a_piece_is_not_added_into_an_array_that_others_hold():
    """x and z begin with the same part of v; the piece of x comes later and belongs to x alone."""
    x, z, v = leaf(drawn(3)), leaf(drawn(3, seed=1)), drawn(5, seed=2)
    piece = x[1:]
    kept = v.copy()
    F.concatenate([x + z, piece]).backward(v)
    assert np.array_equal(v, kept)
    assert np.array_equal(z.grad.data, v[:3])
    assert np.array_equal(x.grad.data, v[:3] + np.array([0, *v[3:]]))


@pytest.mark.parametrize("read", [lambda x: x[...], lambda x: x[()], lambda x: x[None][0]])
def test_pieces_of_a_number_meet_its_other_gradients(read):
    """NumPy gives the product of two 0-d arrays as a scalar, which is no buffer to add into."""
    x = leaf(2.0)
    (read(x) + x * x).backward()
    assert x.grad.data == 5.0
    assert type(x.grad.data) is np.ndarray


@pytest.mark.parametrize(
    "read",
    [
        lambda x, t: x[:, t],
        lambda x, t: x[:, np.array([t, t])],
        lambda x, t: F.embedding(np.array([[t, 0], [t, t]]), x),
    ],
)
def test_pieces_under_create_graph_have_second_derivatives(read):
    x = leaf(drawn(4, 4))
    total = F.sum(read(x, 0) ** 3)
    for t in range(1, 4):
        total = total + F.sum(read(x, t) ** 3)
    counts = grad(sum(F.sum(read(x, t)) for t in range(4)), x)  # how often each place is read
    first = grad(total, x, create_graph=True)
    assert np.allclose(first.data, counts.data * 3 * x.data**2, rtol=1e-13)
    second = grad(first.sum(), x)
    assert np.allclose(second.data, counts.data * 6 * x.data, rtol=1e-13)

"""Tests of what functional refuses before an op sees it: axes, integers, shapes, bounds."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_llm import Tensor
from tinygrad_llm import functional as F


def ones(*shape: int) -> Tensor:
    return Tensor(np.ones(shape))


REFUSED = {
    "axis must be one integer, not None": (
        lambda: F.softmax(ones(2, 3), axis=None),
        lambda: F.log_softmax(ones(2, 3), axis=None),
        lambda: F.sort(ones(2), axis=None),
        lambda: F.split(ones(2), 2, axis=None),
    ),
    "axis must be one integer, not (0, 1)": (
        lambda: F.softmax(ones(2, 3), axis=(0, 1)),
        lambda: F.log_softmax(ones(2, 3), axis=(0, 1)),
        lambda: F.cumsum(ones(2, 3), axis=(0, 1)),
        lambda: F.argmax(ones(2, 3), axis=(0, 1)),
        lambda: F.argmin(ones(2, 3), axis=(0, 1)),
    ),
    "axis must be one integer, not 1.0": (
        lambda: F.softmax(ones(2, 3), axis=1.0),
        lambda: F.sum(ones(2, 3), axis=1.0),
        lambda: F.sum(ones(2, 3), axis=(0, 1.0)),
        lambda: F.expand_dims(ones(2), 1.0),
    ),
    "axis must be one integer, not True": (
        lambda: F.softmax(ones(2, 3), axis=True),
        lambda: F.mean(ones(2, 3), axis=True),
    ),
    "repeat: repeats must be integers, not 2.5": (lambda: F.repeat(ones(2), 2.5),),
    "repeat: repeats must be integers, not [1, 1.5]": (lambda: F.repeat(ones(2), [1, 1.5], 0),),
    "pad: pad_width must be integers, not 1.7": (lambda: F.pad(ones(2), 1.7),),
    "split: sections must be an integer, not 2.0": (lambda: F.split(ones(4), 2.0),),
    "split: indices must be integers, not [1.5]": (lambda: F.split(ones(4), [1.5]),),
    "topk: k must be an integer, not 1.0": (lambda: F.topk(ones(4), 1.0),),
    "roll: shift must be an integer, not 1.5": (
        lambda: F.roll(ones(4), 1.5),
        lambda: F.roll(ones(4), [1.5], 0),
    ),
    "tril: k must be an integer, not 0.5": (lambda: F.tril(ones(2, 2), 0.5),),
    "triu: k must be an integer, not 0.5": (lambda: F.triu(ones(2, 2), 0.5),),
    "getitem: a bound of a slice must be an integer, not 1.5": (lambda: ones(4)[:1.5],),
    "embedding: padding_idx must be an integer, not 1.0": (
        lambda: F.embedding([0], ones(3, 2), padding_idx=1.0),
    ),
    "each size of a shape must be an integer, not 2.0": (
        lambda: F.zeros(2.0),
        lambda: F.randn((2.0, 3)),
    ),
    "clip: low must be one number without a gradient, not Tensor": (
        lambda: F.clip(ones(2), ones(1), None),
        lambda: F.clip(ones(2), Tensor(1.0, requires_grad=True), None),
    ),
    "clip: high must be one number without a gradient, not list": (
        lambda: F.clip(ones(2), None, [1.0]),
    ),
    "clip: high must be one number without a gradient, not str": (
        lambda: F.clip(ones(2), None, "1"),
    ),
}


@pytest.mark.parametrize(
    ("message", "call"),
    [
        pytest.param(message, call, id=f"{message}-{i}")
        for message, calls in REFUSED.items()
        for i, call in enumerate(calls)
    ],
)
def test_a_wrong_type_is_refused_in_one_clear_line(message, call):
    with pytest.raises(TypeError) as caught:
        call()
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_numpy_integers_are_integers():
    x, two = ones(4, 4), np.int32(2)
    assert F.softmax(x, np.int64(0)).data[0, 0] == 0.25
    assert F.repeat(x, two, np.int8(0)).shape == (8, 4) and F.pad(x, two).shape == (8, 8)
    assert len(F.split(x, two)) == 2 and F.topk(x, two)[0].shape == (4, 2)
    assert F.zeros(two, 3).shape == (2, 3) and F.roll(x, two, 0).shape == (4, 4)
    assert F.tril(x, two).data.sum() == 15 and F.sum(x, np.array([0, 1])).item() == 16


def test_counts_of_no_element_may_be_an_empty_list():
    assert F.repeat(ones(0), [], 0).shape == (0,) and len(F.split(ones(3), [])) == 1


@pytest.mark.parametrize("repeats", [-1, [1, -1]])
def test_negative_repeats_are_refused(repeats):
    with pytest.raises(ValueError, match="is negative"):
        F.repeat(ones(2), repeats, 0)


@pytest.mark.parametrize("padding_idx", [-1, 3])
def test_a_padding_idx_that_is_no_row_is_refused(padding_idx):
    with pytest.raises(IndexError, match=f"padding_idx {padding_idx} is outside 0 … 2"):
        F.embedding([0], ones(3, 2), padding_idx=padding_idx)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ((2,), (1,), r"matmul: (2,) @ (1,): inner sizes 2 and 1 differ"),
        ((2,), (3, 4), r"matmul: (2,) @ (3, 4): inner sizes 2 and 3 differ"),
        ((5, 2), (3,), r"matmul: (5, 2) @ (3,): inner sizes 2 and 3 differ"),
        ((2,), (5, 3, 4), r"matmul: (2,) @ (5, 3, 4): inner sizes 2 and 3 differ"),
    ],
)
def test_matmul_names_the_shapes_as_they_were_given(a, b, message):
    with pytest.raises(ValueError) as caught:
        F.matmul(ones(*a), ones(*b))
    assert str(caught.value) == message


@pytest.mark.parametrize("one", [1, 1.0, np.float64(1), np.array(1), Tensor(1), Tensor(1.0)])
def test_clip_takes_bounds_of_no_dimension(one):
    x = Tensor([0.5, 2.0], requires_grad=True)
    low, high = F.clip(x, one, None), F.clip(x, None, one)
    assert low.dtype == high.dtype == np.float32
    assert low.tolist() == [1.0, 2.0] and high.tolist() == [0.5, 1.0]
    low.sum().backward()
    assert x.grad.tolist() == [0.0, 1.0]


def test_clip_keeps_integers_between_integers():
    assert F.clip([0, 2], Tensor(1)).dtype == np.int64
    assert F.clip([0, 2], Tensor(0.5)).tolist() == [0.5, 2.0]

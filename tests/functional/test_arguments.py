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
    "scaled_dot_product_attention: scale must be a number, not 'x'": (
        lambda: F.scaled_dot_product_attention(*[ones(2, 3)] * 3, scale="x"),
    ),
    "scaled_dot_product_attention: dropout_p must be a number, not []": (
        lambda: F.scaled_dot_product_attention(*[ones(2, 3)] * 3, dropout_p=[]),
    ),
    "layer_norm: eps must be a number, not 'a'": (lambda: F.layer_norm(ones(2), eps="a"),),
    "rms_norm: eps must be a number, not '1'": (lambda: F.rms_norm(ones(2), eps="1"),),
    "add_layer_norm: eps must be a number, not None": (
        lambda: F.add_layer_norm(ones(2), ones(2), eps=None),
    ),
    "add_rms_norm: eps must be a number, not None": (
        lambda: F.add_rms_norm(ones(2), ones(2), eps=None),
    ),
    "cross_entropy: label_smoothing must be a number, not 'a'": (
        lambda: F.cross_entropy(ones(2, 3), [0, 1], label_smoothing="a"),
    ),
    "cross_entropy: ignore_index must be an integer, not None": (
        lambda: F.cross_entropy(ones(2, 3), [0, 1], ignore_index=None),
    ),
    "linear_cross_entropy: label_smoothing must be a number, not 'a'": (
        lambda: F.linear_cross_entropy(ones(2, 3), ones(3, 4), [0, 1], label_smoothing="a"),
    ),
    "linear_cross_entropy: ignore_index must be an integer, not 1.5": (
        lambda: F.linear_cross_entropy(ones(2, 3), ones(3, 4), [0, 1], ignore_index=1.5),
    ),
    "dropout: p must be a number, not 'a'": (lambda: F.dropout(ones(2), "a"),),
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


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.linear(ones(2), ones(2, 2), activation=["relu"]), "or None, not ['relu']"),
        (lambda: ones(4)[::0], "getitem: slice(None, None, 0) has step 0"),
        (
            lambda: F.scaled_dot_product_attention(*[ones(0, 2, 3)] * 3),
            "scaled_dot_product_attention: q (0, 2, 3), k (0, 2, 3), v (0, 2, 3): "
            "there are no heads of keys",
        ),
    ],
)
def test_a_wrong_value_is_named(call, message):
    with pytest.raises(ValueError) as caught:
        call()
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_query_far_before_the_first_key_sees_none():
    q = ones(2, 3)
    y = F.scaled_dot_product_attention(q, q, q, is_causal=True, offset=-(10**30))
    assert not y.data.any()
    y = F.scaled_dot_product_attention(q, q, q, is_causal=True, offset=10**30)
    np.testing.assert_allclose(y.data, 1.0)


def test_an_empty_list_of_ids_is_one_of_integers():
    assert F.embedding([], ones(5, 4)).shape == (0, 4)
    assert F.embedding([[], []], ones(5, 4)).shape == (2, 0, 4)
    assert F.cross_entropy(np.zeros((0, 3)), []).item() == 0.0
    assert F.linear_cross_entropy(np.zeros((0, 2)), ones(2, 3), []).item() == 0.0
    with pytest.raises(TypeError, match="embedding: ids are float64"):
        F.embedding(np.zeros(0), ones(5, 4))


def test_two_classes_may_be_booleans_in_either_loss():
    x, w = ones(3, 2), Tensor(np.arange(4.0).reshape(2, 2))
    for loss in (
        lambda target: F.linear_cross_entropy(x, w, target),
        lambda target: F.cross_entropy(x @ w, target),
    ):
        assert loss(np.array([True, False, True])).item() == loss([1, 0, 1]).item()


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

"""Tests of indices on the tape: what their owner does with them later changes no gradient."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_llm import Tensor
from tinygrad_llm import functional as F


def loss_of(name: str, x: Tensor, ids) -> Tensor:
    """A sum whose gradient lies where `ids` point to."""
    zeros, places = Tensor(np.zeros((3, 3), np.float32)), np.arange(9.0).reshape(3, 3)
    calls = {
        "embedding": lambda: F.embedding(ids, x),
        "take_along_axis": lambda: F.take_along_axis(x, ids[:, None], 1),
        "scatter_add": lambda: F.scatter_add(zeros, ids[:, None], x[:, :1], 1) * places,
        "cross_entropy": lambda: F.cross_entropy(x, ids),
        "getitem": lambda: x[ids],
    }
    return calls[name]().sum()


@pytest.mark.parametrize(
    "name", ["embedding", "take_along_axis", "scatter_add", "cross_entropy", "getitem"]
)
@pytest.mark.parametrize("kind", [np.ndarray, np.memmap])
def test_an_index_array_may_change_before_backward(name, kind, tmp_path):
    def indices():
        if kind is np.ndarray:
            return np.array([0, 1, 1])
        made = np.memmap(tmp_path / "ids", dtype=np.int64, mode="w+", shape=3)
        made[:] = [0, 1, 1]
        return made

    gradients = []
    for changed in (False, True):
        x = Tensor(np.arange(9, dtype=np.float32).reshape(3, 3), requires_grad=True)
        ids = indices()
        loss = loss_of(name, x, ids)
        if changed:
            ids[:] = 2
        loss.backward()
        gradients.append(x.grad.tolist())
    assert gradients[0] == gradients[1] and np.any(gradients[0])


@pytest.mark.parametrize("name", ["embedding", "cross_entropy"])
def test_a_changed_index_tensor_is_noticed(name):
    x = Tensor(np.ones((3, 3), np.float32), requires_grad=True)
    ids = Tensor([0, 1, 1])
    loss = loss_of(name, x, ids)
    ids[:] = 2
    with pytest.raises(RuntimeError):
        loss.backward()


def test_soft_targets_and_class_weights_may_change_before_backward():
    gradients = []
    for changed in (False, True):
        x = Tensor(np.arange(6, dtype=np.float32).reshape(2, 3), requires_grad=True)
        soft, weight = np.eye(3, dtype=np.float32)[:2], np.array([1, 2, 3], np.float32)
        loss = F.cross_entropy(x, soft) + F.cross_entropy(x, [0, 1], weight)
        if changed:
            soft[:], weight[:] = 0, 9
        loss.backward()
        gradients.append(x.grad.tolist())
    assert gradients[0] == gradients[1]


def test_a_tensor_in_a_slice_is_read_once():
    x, stop = Tensor([1.0, 2.0, 3.0], requires_grad=True), Tensor(2)
    y = x[:stop].sum()
    stop[...] = 1
    y.backward()
    assert x.grad.tolist() == [1.0, 1.0, 0.0]
    assert x[Tensor(2) :: Tensor(-1)].tolist() == [3.0, 2.0, 1.0]

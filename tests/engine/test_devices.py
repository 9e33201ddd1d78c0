"""Tests of the engine on a device, by the strict stand-in for CuPy: the same bits as on the CPU."""

from __future__ import annotations

import numpy as np
import pytest

from tests.engine.common import drawn, leaf
from tinygrad_llm import Tensor, checkpoint, grad, jvp, manual_seed, no_grad
from tinygrad_llm import functional as F
from tinygrad_llm.testing import strict_cupy


@pytest.fixture(autouse=True)
def cupy():
    """Within each test, `import cupy` finds the stand-in."""
    with strict_cupy.installed() as module:
        yield module


def train(device):
    """Two steps of a small net with dropout, checkpoint, indexing and a hook."""
    manual_seed(0)
    w = Tensor(drawn(4, 3), requires_grad=True, device=device)
    b = Tensor(drawn(3), requires_grad=True, device=device)
    b.register_hook(lambda g: g * 2.0)
    x = Tensor(drawn(5, 4, seed=1), device=device)
    losses = []
    for _ in range(2):
        h = checkpoint(lambda x: F.dropout(F.gelu(x @ w + b), 0.3), x)
        parts = F.split(F.concatenate([h, h[:, [0, 2, 2]]], axis=1), 2, axis=1)
        loss = F.cross_entropy(parts[0] * parts[1] + h[0], [0, 1, 2, 0, -100])
        loss.backward()
        losses.append(loss)
        with no_grad():
            for p in (w, b):
                p -= 0.1 * p.grad
                p.grad = None
    return [*losses, w, b]


def test_training_gives_the_same_bits_as_on_the_cpu():
    for here, there in zip(train("cpu"), train("cuda")):
        assert there.device == "cuda:0" and here.device == "cpu"
        assert here.numpy().tobytes() == there.numpy().tobytes()


def test_gradients_lie_where_their_tensor_lies(cupy):
    x = leaf(drawn(3))
    y = x.to("cuda")
    z = y * y
    assert y.device == z.device == "cuda:0"
    z.backward(Tensor(np.ones(3), device="cuda"))
    assert x.grad.device == "cpu" and np.array_equal(x.grad.data, 2 * x.data)
    w = Tensor(np.ones(3), requires_grad=True, device="cuda")
    (w + w[0]).sum().backward()
    assert type(w.grad.data) is cupy.ndarray and w.grad.tolist() == [4.0, 1.0, 1.0]


def test_a_tensor_is_not_moved_to_where_it_is():
    x = Tensor([1.0], device="cuda")
    assert x.to("cuda") is x and x.to("cuda:0") is x and x.to("cpu").to("cpu").device == "cpu"


def test_arrays_lists_and_numbers_go_to_the_device_of_their_tensor():
    x = Tensor(np.ones(2), requires_grad=True, device="cuda")
    for y in (x + np.ones(2), [1.0, 1.0] * x, 2.0**x, F.stack([x[0], 1.0]), x / np.float64(2)):
        assert y.device == "cuda:0"
    assert (x == [1.0, 1.0]).all() and x[np.array([0, 0])].shape == (2,)
    assert x[Tensor([True, False])].shape == (1,)


def test_higher_derivatives_on_the_device():
    x = Tensor(drawn(3), requires_grad=True, device="cuda")
    first = grad(F.sum(F.tanh(x) * x[[0, 0, 1]]), x, create_graph=True)
    second = grad(first.sum(), x)
    here = leaf(drawn(3))
    expected = grad(F.sum(F.tanh(here) * here[[0, 0, 1]]), here, create_graph=True)
    assert np.array_equal(first.numpy(), expected.data)
    assert np.array_equal(second.numpy(), grad(expected.sum(), here).data)
    assert jvp(lambda x: F.exp(x), x, x.detach())[1].device == "cuda:0"


def test_views_on_the_device_share_their_version():
    for view in (lambda x: x[1:], lambda x: x.reshape(1, 3)[0], lambda x: x.detach()):
        x = Tensor(drawn(3), requires_grad=True, device="cuda")
        y = x * x
        with no_grad():
            v = view(x)
            v += 1.0
        with pytest.raises(RuntimeError, match="changed in place"):
            y.sum().backward()


def test_gradients_on_the_device_share_no_memory():
    a, b = (Tensor(drawn(3, seed=i), requires_grad=True, device="cuda") for i in range(2))
    (a + b).sum().backward()
    a.grad.data[...] = 7.0
    assert b.grad.tolist() == [1.0, 1.0, 1.0]

"""Several linear layers of one input, as one node and as one product."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_llm import Tensor, grad, nn
from tinygrad_llm import functional as F
from tinygrad_llm.nn.layers import linears


def drawn(*shape: int, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    return Tensor(rng.standard_normal(shape).astype(np.float32), requires_grad=True)


def test_they_are_what_each_layer_gives_with_its_gradients():
    x, layers = drawn(4, 30, 8), [nn.Linear(8, n) for n in (8, 8, 4)]
    one_node = linears(x, *layers)
    assert len({y._edge[0] for y in one_node}) == 1
    wrt = [x, *(p for layer in layers for p in layer.parameters())]
    cotangents = [drawn(*y.shape, seed=k + 1).detach() for k, y in enumerate(one_node)]
    found = grad(list(one_node), wrt, cotangents)
    expected = grad([layer(x) for layer in layers], wrt, cotangents)
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(b.data, a.data, rtol=0, atol=2e-5)


def test_layers_that_are_more_than_linear_are_called_by_themselves():
    class Doubled(nn.Linear):
        def forward(self, x, activation=None):
            return 2.0 * super().forward(x, activation)

    x, plain, doubled, seen = drawn(2, 3), nn.Linear(3, 3), Doubled(3, 3), []
    _, y = linears(x, plain, doubled)
    np.testing.assert_array_equal(y.data, doubled(x).data)
    plain.register_forward_hook(lambda *call: seen.append(call))
    linears(x, plain, nn.Linear(3, 3))
    assert len(seen) == 1


@pytest.mark.parametrize("ints", [[0], [1], [2, 3], [0, 1, 2]])
def test_integers_take_the_dtype_of_the_floats_beside_them(ints):
    arrays = [np.ones((9, 2)), np.ones((2, 2)), np.ones((2, 2)), np.ones(2)]
    given = [Tensor(a.astype(int if i in ints else np.float32)) for i, a in enumerate(arrays)]
    ys = F.linears(given[0], given[1:3], [given[3], None])
    assert [y.dtype for y in ys] == [np.float32, np.float32]
    assert [y.data[0, 0] for y in ys] == [3.0, 2.0]


@pytest.mark.parametrize(
    "weights, biases, message",
    [
        ([(3, 2)], [None], "1 weights and 1 biases: give two weights or more"),
        ([(3, 2), (3, 2)], [None], "2 weights and 1 biases"),
        ([(3, 2), (4, 2)], [None, None], r"x \(5, 3\) with a weight \(4, 2\)"),
        ([(3, 2), (3, 2)], [None, (3,)], r"x \(5, 3\) with \(3, 2\), \(3, 2\), \(3,\)"),
    ],
)
def test_what_does_not_fit(weights, biases, message):
    biases = [None if b is None else drawn(*b) for b in biases]
    with pytest.raises(ValueError, match=message):
        F.linears(drawn(5, 3), [drawn(*w) for w in weights], biases)

"""What the tests of modules share: small networks, and their weights as plain arrays."""

from __future__ import annotations

import numpy as np

from tests.engine.common import drawn
from tinygrad_llm import Tensor, nn
from tinygrad_llm import functional as F


def numbers(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal float32 numbers, off the tape."""
    return Tensor(drawn(*shape, seed=seed).astype(np.float32))


def values(module: nn.Module) -> dict[str, np.ndarray]:
    """A copy of all parameters as arrays."""
    return {name: p.numpy().copy() for name, p in module.named_parameters()}


def same_values(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    """Whether two results of `values` agree in names, order, dtypes, shapes and bits."""
    kinds = [[(n, v.dtype, v.shape, v.tobytes()) for n, v in d.items()] for d in (a, b)]
    return kinds[0] == kinds[1]


def held(module):
    """Path → object of all attributes that are Tensors, Parameters or not, in their order."""
    return {
        f"{path}.{name}": value
        for path, each in module.named_modules()
        for name, value in vars(each).items()
        if isinstance(value, Tensor)
    }


def attributes(module):
    """Everything that all modules hold, in its order."""
    return [list(vars(each).items()) for each in module.modules()]


def same(a, b):
    """Whether two lists of attributes have the same names and objects."""
    return [n for n, _ in a] == [n for n, _ in b] and all(x is y for (_, x), (_, y) in zip(a, b))


class Block(nn.Module):
    """A layer and its activation, with a gain of its own."""

    def __init__(self, n_in: int, n_out: int):
        self.gain = nn.Parameter(np.ones(n_out, np.float32))
        self.inner = nn.Linear(n_in, n_out)
        self.act = nn.Tanh()

    def forward(self, x):
        return self.act(self.inner(x)) * self.gain


class Net(nn.Module):
    """Two blocks, dropout, and a head without bias."""

    def __init__(self):
        self.first = Block(3, 4)
        self.blocks = nn.ModuleList([Block(4, 4)])
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(4, 2, bias=False)
        self.scale = nn.Parameter(np.array(2.0, np.float32))

    def forward(self, x):
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return self.head(self.drop(x)) * self.scale


class Tied(nn.Module):
    """Two layers with one weight, under three names."""

    def __init__(self):
        self.a = nn.Linear(3, 3)
        self.b = nn.Linear(3, 3)
        self.b.weight = self.a.weight
        self.again = self.a.weight

    def forward(self, x):
        return self.b(F.tanh(self.a(x)))


NAMES = [
    "first.gain",
    "first.inner.weight",
    "first.inner.bias",
    "blocks.0.gain",
    "blocks.0.inner.weight",
    "blocks.0.inner.bias",
    "head.weight",
    "scale",
]
"""Parameters of Net, in their order."""

"""Samples of matrix products, linear layers and Einstein sums."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_llm import functional as F
from tinygrad_llm.testing.samples.drawing import Drawer
from tinygrad_llm.testing.samples.registry import Call, exact, sample

MATRICES = (
    ((3, 3), (3, 3)),
    ((2, 2, 2), (2, 2)),
    ((3, 3, 3), (3, 3, 3)),
    ((2, 3), (3, 4)),
    ((2, 3, 4), (4, 2)),
    ((3, 4), (2, 4, 1)),
    ((2, 1, 2, 3), (3, 3, 2)),
    ((2, 0), (0, 3)),
)
"""Squares first, so that a missing transpose gives a wrong value and no error."""


@sample("matmul", draws=len(MATRICES))
def _matrices(d: Drawer) -> Call:
    a, b = d.choice(*MATRICES)
    return Call((d.array(a), d.array(b)), lambda a, b: F.matmul(a, b))


VECTORS = (((3,), (3, 3)), ((3, 3), (3,)), ((3,), (3,)), ((2,), (3, 2, 2)), ((2, 2, 2), (2,)))


@sample("matmul", draws=len(VECTORS), composite=True)
def _vectors(d: Drawer) -> Call:
    a, b = d.choice(*VECTORS)
    return Call((d.array(a), d.array(b)), lambda a, b: F.matmul(a, b))


@sample("matmul", draws=1, composite=True)
def _one_matrix_on_both_sides(d: Drawer) -> Call:
    return Call((d.array((3, 3), size=10),), lambda a: a @ a.T @ a)


LAYERS = (
    ((3, 3), 3, True),
    ((3, 3), 3, False),
    ((2, 3, 3), 3, True),
    ((2, 1, 3), 2, True),
    ((4, 2), 3, True),
    ((3,), 3, True),
    ((0, 2), 2, True),
    ((2, 0), 3, True),
)
"""Shape of x, width of the output, whether there is a bias; squares first, as above."""


@sample("linear", draws=len(LAYERS))
def _layers(d: Drawer) -> Call:
    shape, out, has_bias = d.choice(*LAYERS)
    bias = d.array((out,)) if has_bias else None
    return Call((d.array(shape), d.array((shape[-1], out)), bias), F.linear)


def _tanh_gelu(z: np.ndarray) -> np.ndarray:
    return 0.5 * z * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (z + 0.044715 * z**3)))


_exact_gelu = np.vectorize(lambda z: 0.5 * z * math.erfc(-z / math.sqrt(2.0)), otypes=[float])


def activated(op: str, activation: str, formula: Callable) -> None:
    """A sample of a linear layer with an activation in the same node."""

    def layers(d: Drawer) -> Call:
        shape, out, has_bias = d.choice(*LAYERS)
        bias = d.array((out,), size=1) if has_bias else None
        arrays = (d.array(shape, size=3), d.array((shape[-1], out), size=1), bias)

        def function(x: Any, w: Any, b: Any) -> Any:
            return F.linear(x, w, b, activation)

        def reference(x: Any, w: Any, b: Any) -> Any:
            return formula(x @ w + (0.0 if b is None else b))

        return Call(arrays, function, reference=reference)

    sample(op, draws=len(LAYERS))(layers)


activated("linearrelu", "relu", lambda z: np.where(z > 0, z, 0))
activated("lineargelu", "gelu", _exact_gelu)
activated("lineargelutanh", "gelu_tanh", _tanh_gelu)

exact(
    "linear",
    "a sum of more ones than float16 can count",
    lambda x, w, b: F.linear(x.astype("float16"), w.astype("float16"), b.astype("float16")),
    (np.zeros((4096, 1)), np.zeros((1, 2)), np.zeros(2)),
    np.ones((4096, 2)),
    np.zeros((4096, 1)),
    [[0.0, 0.0]],
    [4096.0, 4096.0],
)
exact(
    "linearrelu",
    "0 at the kink",
    lambda x, w: F.linear(x, w, activation="relu"),
    ([[2.0, 1.0]], [[1.0, 3.0], [-2.0, 1.0]]),
    [[5.0, 11.0]],
    [[33.0, 11.0]],
    [[0.0, 22.0], [0.0, 11.0]],
    value=[[0.0, 7.0]],
)

SUMS = (
    ("ij,jk->ik", ((3, 3), (3, 3)), (["ij", "jk"], "ik")),
    ("ij,kj->ki", ((3, 3), (3, 3)), (["ij", "kj"], "ki")),
    ("ij->ji", ((3, 3),), (["ij"], "ji")),
    ("ii->i", ((3, 3),), (["ii"], "i")),
    ("ii", ((3, 3),), (["ii"], "")),
    ("ij->i", ((3, 3),), (["ij"], "i")),
    ("aab,bc->c", ((2, 2, 2), (2, 2)), (["aab", "bc"], "c")),
    ("ij,ik,il->jl", ((2, 3), (2, 2), (2, 3)), (["ij", "ik", "il"], "jl")),
    ("b...d,dk->b...k", ((2, 3, 2), (2, 2)), (["bAd", "dk"], "bAk")),
    ("ij,ij->", ((2, 3), (2, 3)), (["ij", "ij"], "")),
    ("ij,jk", ((2, 3), (1, 2)), (["ij", "jk"], "ik")),
    ("iij,i->j", ((2, 2, 3), (2,)), (["iij", "i"], "j")),
    ("i,j->ji", ((2,), (3,)), (["i", "j"], "ji")),
    (",i->i", ((), (3,)), (["", "i"], "i")),
    ("bhqd,bhkd->bhqk", ((1, 2, 2, 3), (1, 2, 2, 3)), (["bhqd", "bhkd"], "bhqk")),
)
"""Notation as users write it, shapes, and the terms and output that the op gets."""


@sample("einsum", draws=len(SUMS))
def _notations(d: Drawer) -> Call:
    notation, shapes, (terms, output) = d.choice(*SUMS)
    xs = tuple(d.array(s) for s in shapes)
    constants = {"terms": terms, "output": output}
    return Call(xs, lambda *xs: F.einsum(notation, *xs), constants)

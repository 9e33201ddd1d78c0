"""Runs of a function with the faster forms of its ops and with the references, to be compared."""

from __future__ import annotations

import numpy as np

from tinygrad_llm import Tensor, grad, use_backend

equal = np.testing.assert_array_equal


def drawn(*shape: int, size: float = 1.0) -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32) * size


def run(function, *arrays, create_graph=False):
    """Outputs and gradients, with cotangents that are no constants."""
    xs = [Tensor(x.copy(), requires_grad=x.dtype.kind == "f") for x in arrays]
    ys = function(*xs)
    ys = ys if isinstance(ys, tuple) else (ys,)
    wrt = [x for x in xs if x.requires_grad]
    loss = sum((y * np.cos(np.arange(y.size, dtype=np.float32)).reshape(y.shape)).sum() for y in ys)
    found = grad(loss, wrt, create_graph=create_graph)
    if create_graph:
        found = grad(sum((g * g).sum() for g in found), wrt, allow_unused=True)
        found = [g for g in found if g is not None]
    return [y.data for y in (*ys, *found)]


def close(a, b, ulps=16):
    """Equal but for rounding, relative to the largest number of the array."""
    size = max(np.abs(a).max(initial=0.0), 1e-36)
    assert a.shape == b.shape and a.dtype == b.dtype
    np.testing.assert_allclose(b, a, rtol=0, atol=ulps * 2.0**-23 * size)


def on_both(function, *arrays, ulps=16, **options):
    with use_backend("reference"):
        expected = run(function, *arrays, **options)
    for a, b in zip(expected, run(function, *arrays, **options), strict=True):
        close(a, b, ulps)

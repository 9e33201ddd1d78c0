"""Layer norm and RMS norm over the last axis: x̂ is kept for backward, and row sums are by BLAS."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_llm.backend.cpu.sums import in_rows, of_rows, over_rows
from tinygrad_llm.backend.devices import Array
from tinygrad_llm.backend.overrides import Cached

FAR = 16.0
"""A row whose mean is further from 0 than so many s: BLAS rounds a sum of D by up to D/32 ulps."""


def layer_forward(x: Array, weight: Array | None, bias: Array | None, *, eps: float) -> Any:
    """y = γ·x̂ + β with x̂ = (x − mean x)/s, s = √(mean (x − mean x)² + ε)."""
    if not _has_form(x, weight, bias):
        return NotImplemented
    rows = in_rows(x)
    mean = of_rows(rows)
    mean /= rows.shape[1]
    normed = np.subtract(rows, mean, order="C")
    inverse = _inverse_root(normed, eps)
    _centre(normed, mean, inverse, eps)
    normed *= inverse
    y = _scaled(normed, weight, bias).reshape(x.shape)
    return y, (x, weight, Cached(normed), Cached(inverse), eps)


def layer_backward(g: Array, saved: tuple, needs: tuple[bool, ...]) -> tuple:
    """dx = (ĝ − mean ĝ − x̂·mean(ĝ·x̂))/s with ĝ = γ·g,  dγ = Σ g·x̂,  dβ = Σ g."""
    _, weight, normed, inverse, _ = saved
    dx = dweight = dbias = None
    if needs[0] or needs[1]:
        dx, dweight = _backward(g, normed, weight, needs)
    if dx is not None:
        dxs = in_rows(dx)
        dxs -= _mean_product(in_rows(g), weight)
        dxs *= inverse
    if needs[2]:
        dbias = over_rows(in_rows(g))
    return dx, dweight, dbias


def rms_forward(x: Array, weight: Array | None, *, eps: float) -> Any:
    """y = γ·x̂ with x̂ = x/s, s = √(mean x² + ε)."""
    if not _has_form(x, weight, None):
        return NotImplemented
    inverse = _inverse_root(in_rows(x), eps)
    y = _scaled(np.multiply(in_rows(x), inverse, order="C"), weight, None).reshape(x.shape)
    return y, (x, weight, Cached(inverse), eps)


def rms_backward(g: Array, saved: tuple, needs: tuple[bool, ...]) -> tuple:
    """dx = (ĝ − x̂·mean(ĝ·x̂))/s with ĝ = γ·g,  dγ = Σ g·x̂."""
    x, weight, inverse, _ = saved
    dx, dweight = _backward(g, in_rows(x) * inverse, weight, needs)
    if dx is not None:
        dxs = in_rows(dx)
        dxs *= inverse
    return dx, dweight


def add_layer_forward(
    x: Array, residual: Array, weight: Array | None, bias: Array | None, *, eps: float
) -> Any:
    """(LayerNorm(s), s) with s = x + r."""
    if x.shape != residual.shape or not _has_form(x, weight, bias):
        return NotImplemented
    s = x + residual
    y, (_, *kept) = layer_forward(s, weight, bias, eps=eps)
    return (y, s), (s, *kept)


def add_layer_backward(g: tuple, saved: tuple, needs: tuple[bool, ...]) -> tuple:
    """dx = dr = what layer norm gives, + the gradient of s."""
    gy, gs = g
    ds, dweight, dbias = layer_backward(gy, saved, (needs[0] or needs[1], *needs[2:]))
    return (*_shared(ds, gs, needs), dweight, dbias)


def add_rms_forward(x: Array, residual: Array, weight: Array | None, *, eps: float) -> Any:
    """(RMSNorm(s), s) with s = x + r."""
    if x.shape != residual.shape or not _has_form(x, weight, None):
        return NotImplemented
    s = x + residual
    y, (_, *kept) = rms_forward(s, weight, eps=eps)
    return (y, s), (s, *kept)


def add_rms_backward(g: tuple, saved: tuple, needs: tuple[bool, ...]) -> tuple:
    """dx = dr = what RMS norm gives, + the gradient of s."""
    gy, gs = g
    ds, dweight = rms_backward(gy, saved, (needs[0] or needs[1], needs[2]))
    return (*_shared(ds, gs, needs), dweight)


def _has_form(x: Array, weight: Array | None, bias: Array | None) -> bool:
    """(..., D) with something in it, and (D,); the reference has the words for others."""
    return x.size > 0 and all(a is None or a.shape == x.shape[-1:] for a in (weight, bias))


def _inverse_root(rows: Array, eps: float) -> Array:
    """1 / √(mean of squares + ε) of each row, (N, 1)."""
    squares = np.vecdot(rows, rows)[:, None]
    squares /= rows.shape[1]
    squares += eps
    np.sqrt(squares, out=squares)
    return np.reciprocal(squares, out=squares)


def _centre(rows: Array, mean: Array, inverse: Array, eps: float) -> None:
    """Take the mean of rows − mean away too, and with it what BLAS rounded, where that shows; their
    1/s is put into `inverse`."""
    far = (np.abs(mean * inverse) > FAR).nonzero()[0]
    if far.size:
        rest = rows[far]
        rest -= of_rows(rest) / rest.shape[1]
        rows[far], inverse[far] = rest, _inverse_root(rest, eps)


def _scaled(normed: Array, weight: Array | None, bias: Array | None) -> Array:
    """γ·x̂ + β, in memory of its own."""
    y = normed.copy() if weight is None else normed * weight
    if bias is not None:
        y += bias
    return y


def _backward(
    g: Array, normed: Array, weight: Array | None, needs: tuple[bool, ...]
) -> tuple[Array | None, Array | None]:
    """(ĝ − x̂·mean(ĝ·x̂), Σ g·x̂), the first without its 1/s; `normed` is x̂ (N, D).

    The mean of ĝ·x̂ is a product of g·x̂ with γ, and g·x̂ is there for dγ already.
    """
    dx = np.empty(g.shape, np.float32)
    dxs, gs = in_rows(dx), in_rows(g)
    np.multiply(gs, normed, out=dxs)
    dweight = over_rows(dxs) if needs[1] else None
    if not needs[0]:
        return None, dweight
    along = normed * _mean_product(dxs, weight)
    np.multiply(gs, 1.0 if weight is None else weight, out=dxs)
    dxs -= along
    return dx, dweight


def _mean_product(rows: Array, weight: Array | None) -> Array:
    """mean of γ·rows over the last axis, (N, 1)."""
    total = of_rows(rows) if weight is None else (rows @ weight)[:, None]
    total /= rows.shape[1]
    return total


def _shared(ds: Array | None, gs: Array | None, needs: tuple[bool, ...]) -> tuple:
    """The gradients of x and r: the same array, with that of s in it where there is one."""
    if ds is not None and gs is not None:
        ds += gs
    return ds if needs[0] else None, ds if needs[1] else None

"""GELU, by itself and of a linear layer: Y = Z·Φ(Z) and the derivative Φ(Z) + Z·φ(Z), in tiles and
in place."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_llm.backend.cpu import linear
from tinygrad_llm.backend.cpu.sums import in_rows
from tinygrad_llm.backend.devices import Array
from tinygrad_llm.backend.overrides import Cached

TILE = 1 << 16
"""Elements of a tile, 256 kB: smaller ones cost calls, larger ones fall out of the cache."""

ROOT = math.sqrt(2.0 / math.pi)
CUBIC = 0.044715

PHI = (
    0.79788494146,
    0.0363330845766,
    -3.25949790627e-05,
    -5.53061920192e-05,
    3.96474406742e-06,
    -1.32263308518e-07,
    1.75616978727e-09,
)
"""P with Φ(x) = ½ + ½·tanh(x·P(x²)) but for 3e−8, from x⁰ on; the best of its degree for |x| ≤ FAR
(Remez 1934)."""

FAR = 6.0
"""Beyond it Φ is 0 or 1 in float32, and x² would leave the range in which P was fitted."""

Curve = Callable[[Array, Array, Array], None]
"""(z, slope, scratch): z becomes the value, slope the derivative; scratch is two more like them."""


def forward(x: Array) -> tuple[Array, tuple]:
    """y = x·Φ(x), with Φ by a polynomial: NumPy has no erf, and the reference's takes long."""
    return _alone(x, _exact)


def forward_tanh(x: Array) -> Any:
    """y = ½x(1 + t), t = tanh(√(2/π)·(x + 0.044715x³)). Left to the reference: an |x| above 10¹²,
    of which the cube is ∞."""
    return _unless_infinite(_alone, x, _by_tanh)


def backward(g: Array, saved: tuple, needs: tuple[bool, ...]) -> Array:
    """dx = g·slope."""
    _, slope = saved
    dx = g * slope
    return dx


def linear_forward(x: Array, w: Array, b: Array | None) -> Any:
    """Y = Z·Φ(Z), Z = X W + b."""
    return _of_linear(x, w, b, _exact)


def linear_forward_tanh(x: Array, w: Array, b: Array | None) -> Any:
    """Y = ½Z(1 + T) as `forward_tanh` has it, Z = X W + b."""
    return _unless_infinite(_of_linear, x, w, b, _by_tanh)


def linear_backward(g: Array, saved: tuple, needs: tuple[bool, ...]) -> tuple:
    """dZ = G·slope, and on from there as linear."""
    x, w, _, slope = saved
    dx, dw, db = linear.backward(g * slope, (x, w), needs)
    return dx, dw, db


def _unless_infinite(forward: Callable, *inputs: Any) -> Any:
    try:
        with np.errstate(over="raise"):
            return forward(*inputs)
    except FloatingPointError:
        return NotImplemented


def _alone(x: Array, curve: Curve) -> tuple[Array, tuple]:
    y = np.array(x, order="C")
    slope = _in_tiles(y.reshape(-1, 1), None, curve).reshape(x.shape)
    return y, (x, Cached(slope))


def _of_linear(x: Array, w: Array, b: Array | None, curve: Curve) -> Any:
    if not linear.fits(x, w, b):
        return NotImplemented
    z = linear.product(x, w)
    slope = _in_tiles(in_rows(z), b, curve).reshape(z.shape)
    return z, (x, w, b, Cached(slope))


def _in_tiles(z: Array, b: Array | None, curve: Curve) -> Array:
    """z (N, D) becomes the curve's value of z + b; gives its slope (N, D)."""
    slope = np.empty_like(z)
    step = max(1, TILE // max(1, z.shape[1]))
    scratch = np.empty((2, min(step, len(z)), z.shape[1]), np.float32)
    for start in range(0, len(z), step):
        tile = z[start : start + step]
        if b is not None:
            tile += b
        curve(tile, slope[start : start + step], scratch[:, : len(tile)])
    return slope


def _by_tanh(z: Array, slope: Array, scratch: Array) -> None:
    """With h = ½(1 + t): y = z·h, and y' = h + 2y·(1 − h)·√(2/π)·(1 + 3·0.044715z²)."""
    h, rest = scratch
    np.multiply(z, z, out=slope)
    np.multiply(slope, ROOT * CUBIC, out=h)
    h += ROOT
    h *= z
    _half_tanh(h)
    z *= h
    slope *= 6.0 * CUBIC * ROOT
    slope += 2.0 * ROOT
    slope *= z
    np.subtract(1.0, h, out=rest)
    slope *= rest
    slope += h


def _exact(z: Array, slope: Array, scratch: Array) -> None:
    """y = z·Φ, and y' = Φ + z·φ with φ = e^−z²/2 / √(2π); beyond FAR z·φ is left as it is there,
    4e−8, which is rounding."""
    cdf, near = scratch
    np.clip(z, -FAR, FAR, out=near)
    square = np.multiply(near, near, out=slope)
    np.multiply(square, PHI[-1], out=cdf)
    for coefficient in PHI[-2:0:-1]:
        cdf += coefficient
        cdf *= square
    cdf += PHI[0]
    cdf *= near
    _half_tanh(cdf)
    slope *= -0.5 / math.log(2.0)
    np.exp2(slope, out=slope)
    slope *= near
    slope *= 0.5 * ROOT
    slope += cdf
    z *= cdf


def _half_tanh(h: Array) -> None:
    """h becomes ½(1 + tanh h)."""
    np.tanh(h, out=h)
    h *= 0.5
    h += 0.5

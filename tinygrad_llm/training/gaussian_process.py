"""A Gaussian process (高斯过程): from a few values of a function, where it goes and how surely.

Before any value is seen, f is a random function: its values at any points x_1 … x_n are normal with
mean 0 and covariance k(x_i, x_j), so that near points have like values. What is measured is
y = f(x) + ε, ε ~ N(0, σ²). Given N measurements, f at other points X* is normal again, with

    mean        k(X*, X) (K + σ²I)⁻¹ y
    covariance  k(X*, X*) − k(X*, X) (K + σ²I)⁻¹ k(X, X*)        K = k(X, X)

With LLᵀ = K + σ²I, the root of Cholesky, these are VᵀL⁻¹y and k(X*, X*) − VᵀV, V = L⁻¹k(X, X*):
no inverse is needed (Rasmussen and Williams 2006, "Gaussian Processes for Machine Learning",
chapter 2). With the kernel k(a, b) = a·b this is Bayesian linear regression, f(x) = w·x with
w ~ N(0, I)  (S66).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import product
from typing import Any, NamedTuple

import numpy as np

LENGTHSCALES = (0.1, 0.15, 0.25, 0.4, 0.6, 1.0, 2.0)
NOISES = (0.01, 0.1, 0.3)
"""Tried where none is given: for x in the unit cube and y of deviation 1."""

JITTERS = (0.0, 1e-12, 1e-10, 1e-8, 1e-6)
"""Shares of the mean of K's diagonal that are added to it, in this order, until it has a root."""

Kernel = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(points (N, D), others (M, D), lengthscales (D,)) -> covariances (N, M)."""


def rbf(a: np.ndarray, b: np.ndarray, lengthscale: np.ndarray) -> np.ndarray:
    """k(a, b) = exp(−½ Σ_d (a_d − b_d)² / ℓ_d²): smooth functions that bend over distances of about
    ℓ_d along the axis d, and hardly change along one with a large ℓ_d."""
    steps = (a[:, None, :] - b[None, :, :]) / lengthscale  # (N, M, D)
    return np.exp(-0.5 * (steps**2).sum(axis=-1))


def linear(a: np.ndarray, b: np.ndarray, lengthscale: np.ndarray) -> np.ndarray:
    """k(a, b) = Σ_d a_d b_d / ℓ_d²: functions w·x with w_d ~ N(0, ℓ_d⁻²)."""
    return (a / lengthscale) @ (b / lengthscale).T


class _Fit(NamedTuple):
    """What a pair of lengthscale (D,) and noise makes of the values."""

    lengthscale: np.ndarray
    noise: float
    root: np.ndarray  # L (N, N) with LLᵀ = K + σ²I (+ jitter)
    white: np.ndarray  # L⁻¹y (N,)
    jitter: float
    likelihood: float


class GaussianProcess:
    """A function of D numbers, known from N noisy values.

    kernel: `rbf`, `linear`, or a function like them. lengthscale: ℓ, a number or one for each of
        the D axes; noise: σ, the deviation of ε. What is None is chosen by `fit`.
    The prior has mean 0, and under `rbf` deviation 1: give it (y − mean of y) / deviation of y.
    """

    def __init__(self, kernel: Kernel = rbf, lengthscale: Any = None, noise: float | None = None):
        given = np.asarray(1.0 if lengthscale is None else lengthscale, dtype=np.float64)
        if not ((given > 0) & np.isfinite(given)).all():
            raise ValueError(f"GaussianProcess: lengthscale {lengthscale} is not above 0")
        if noise is not None and not 0 <= noise < math.inf:
            raise ValueError(f"GaussianProcess: noise {noise} is not a deviation, 0 or more")
        self.kernel = kernel
        self._lengthscales = LENGTHSCALES if lengthscale is None else (given,)
        self._noises = NOISES if noise is None else (noise,)
        self._fit: _Fit | None = None

    def fit(self, x: Any, y: Any) -> GaussianProcess:
        """Learn the values y (N,) at the points x (N, D); returns itself.

        Of ℓ and σ on small grids it takes those under which the values are most likely: first the
        best pair with one ℓ for all axes, then the best ℓ_d of one axis after the other, then σ.
        Sets `lengthscale` (D,), `noise`, `log_marginal_likelihood` = ln p(y | X)
        = −½ ‖L⁻¹y‖² − Σ ln L_ii − N/2 ln 2π, where LLᵀ = K + σ²I, and `jitter`: what was added to
        the diagonal beside σ² so that rounding leaves it positive definite; 0.0 where nothing was
        needed.
        Raises ValueError for other shapes, for no values and for such as are not finite.
        """
        self._x, self._y = _checked(x, y)
        axes = self._x.shape[1]
        alike = product((np.broadcast_to(each, axes) for each in self._lengthscales), self._noises)
        best = self._best(alike)
        for axis in range(axes if len(self._lengthscales) > 1 else 0):
            others = [np.where(np.arange(axes) == axis, l, best.lengthscale) for l in LENGTHSCALES]
            best = self._best([(each, best.noise) for each in others])
        best = self._best([(best.lengthscale, noise) for noise in self._noises])
        self._fit, self.log_marginal_likelihood = best, best.likelihood
        self.lengthscale, self.noise, self.jitter = best.lengthscale, best.noise, best.jitter
        return self

    def _best(self, pairs: Iterable[tuple[np.ndarray, float]]) -> _Fit:
        """The most likely of the pairs of lengthscale and noise."""
        return max((self._solve(*pair) for pair in pairs), key=lambda fit: fit.likelihood)

    def _solve(self, lengthscale: np.ndarray, noise: float) -> _Fit:
        k = self.kernel(self._x, self._x, lengthscale) + noise**2 * np.eye(len(self._x))
        root, jitter = _root(k)
        white = np.linalg.solve(root, self._y)
        size = np.log(root.diagonal()).sum() + 0.5 * len(k) * math.log(2 * math.pi)
        return _Fit(lengthscale, noise, root, white, jitter, float(-0.5 * white @ white - size))

    def predict(self, x: Any) -> tuple[np.ndarray, np.ndarray]:
        """(mean, deviation) of f, each (M,), at the points x (M, D); the noise is not in it.

        Raises RuntimeError before `fit`, ValueError for another number of columns.
        """
        if self._fit is None:
            raise RuntimeError("GaussianProcess: it knows no values yet: call fit(x, y) first")
        x = np.asarray(x, dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != self._x.shape[1]:
            raise ValueError(
                f"GaussianProcess: x has shape {x.shape}, not (M, {self._x.shape[1]}) as in fit"
            )
        across = self.kernel(x, self._x, self.lengthscale)  # (M, N)
        v = np.linalg.solve(self._fit.root, across.T)  # V = L⁻¹ k(X, X*), (N, M)
        prior = np.array([self.kernel(row, row, self.lengthscale)[0, 0] for row in x[:, None]])
        variance = prior - (v**2).sum(axis=0)
        return v.T @ self._fit.white, np.sqrt(np.maximum(variance, 0.0))


def expected_improvement(mean: Any, deviation: Any, best: float) -> np.ndarray:
    """E[max(best − f, 0)] of f ~ N(mean, deviation²): how far below `best` it will be on average.

        (best − μ) Φ(z) + σ φ(z),   z = (best − μ) / σ

    with the normal distribution Φ and its density φ; max(best − μ, 0) where σ = 0 (Jones, Schonlau
    and Welch 1998). It is large where the mean is low and where little is known: ∂/∂μ = −Φ(z),
    ∂/∂σ = φ(z). For a maximum give −mean and −best. mean, deviation: (M,) or numbers; result: (M,).
    """
    mean, deviation = np.broadcast_arrays(
        np.asarray(mean, dtype=np.float64), np.asarray(deviation, dtype=np.float64)
    )
    if (deviation < 0).any():
        raise ValueError("expected_improvement: a deviation is 0 or more")
    gain = best - mean
    with np.errstate(over="ignore"):
        z = np.clip(gain / np.where(deviation > 0, deviation, 1.0), -40.0, 40.0)  # Φ is 0, 1 beyond
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    below = np.array([0.5 * math.erfc(-each / math.sqrt(2)) for each in z.flat]).reshape(z.shape)
    expected = np.maximum(gain * below + deviation * density, 0.0)
    return np.where(deviation > 0, expected, np.maximum(gain, 0.0))


def _root(k: np.ndarray) -> tuple[np.ndarray, float]:
    """L with LLᵀ = k + jitter · I, and the smallest jitter of `JITTERS` with which there is one."""
    for share in JITTERS:
        jitter = share * float(k.diagonal().mean())
        try:
            return np.linalg.cholesky(k + jitter * np.eye(len(k))), jitter
        except np.linalg.LinAlgError:
            continue
    raise ValueError(
        "GaussianProcess: the kernel gives no positive definite matrix for these points: raise the "
        "noise, or check the kernel"
    )


def _checked(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.ndim != 2 or y.shape != (len(x),) or not len(x):
        raise ValueError(
            f"GaussianProcess: x has shape {x.shape} and y {y.shape}: give points (N, D) and one "
            "value of each, (N,)"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("GaussianProcess: x and y must be finite: leave out what is not")
    return x, y

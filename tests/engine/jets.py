"""A naive engine that knows no tape: each value carries its Jacobian and Hessian, forward.

A jet is a value v of shape s with J of shape (P,) + s and H of shape (P, P) + s, its first and
second derivatives in the P numbers that all leaves have together. Every function that the machine
plays is linear, bilinear, or works on each element alone; that makes three rules. What has been
computed from a gradient has J alone (H would need third derivatives).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


class Jet:
    """A value and its derivatives; `v` is a view of another jet's where NumPy makes it one."""

    def __init__(self, v: Any, J: np.ndarray, H: np.ndarray | None):
        self.v, self.J, self.H = v if isinstance(v, np.ndarray) else np.array(v), J, H


def leaves(*values: np.ndarray) -> list[Jet]:
    """Jets of the given arrays, whose numbers are the variables, one after another."""
    P, first, made = sum(v.size for v in values), 0, []
    for v in values:
        J = np.zeros((P, v.size))
        J[first : first + v.size] = np.eye(v.size)
        made.append(Jet(v, J.reshape(P, *v.shape), np.zeros((P, P, *v.shape))))
        first += v.size
    return made


def linear(f: Callable, *xs: Jet) -> Jet:
    """f is linear in all its arguments together: derivatives go through f as values do."""
    J = np.array([f(*parts) for parts in zip(*(x.J for x in xs))])
    if any(x.H is None for x in xs):
        return Jet(f(*(x.v for x in xs)), J, None)
    rows = [zip(*parts) for parts in zip(*(x.H for x in xs))]
    return Jet(f(*(x.v for x in xs)), J, np.array([[f(*parts) for parts in row] for row in rows]))


def bilinear(f: Callable, a: Jet, b: Jet) -> Jet:
    """The product rule, (ab)′ = a′b + ab′ and (ab)″ = a″b + a′b′ᵀ + b′a′ᵀ + ab″."""
    n = range(len(a.J))
    J = np.array([f(a.J[p], b.v) + f(a.v, b.J[p]) for p in n])
    if a.H is None or b.H is None:
        return Jet(f(a.v, b.v), J, None)

    def second(p: int, q: int) -> Any:
        ends = f(a.H[p, q], b.v) + f(a.v, b.H[p, q])
        return ends + f(a.J[p], b.J[q]) + f(a.J[q], b.J[p])

    return Jet(f(a.v, b.v), J, np.array([[second(p, q) for q in n] for p in n]))


def elementwise(f: Callable, f1: Callable, f2: Callable, x: Jet) -> Jet:
    """The chain rule, f(x)′ = f′x′ and f(x)″ = f″x′x′ᵀ + f′x″."""
    J = f1(x.v) * x.J
    H = None if x.H is None else f2(x.v) * x.J[:, None] * x.J[None] + f1(x.v) * x.H
    return Jet(f(x.v), J, H)


def constant(x: Jet, v: np.ndarray) -> Jet:
    """The value v with no derivatives."""
    return Jet(v, np.zeros_like(x.J), np.zeros((len(x.J), *x.J.shape)))

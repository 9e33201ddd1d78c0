"""gradcheck: hold the derivatives of any function of Tensors against central differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_llm.autograd import grad
from tinygrad_llm.backend import random
from tinygrad_llm.functional import zeros_like
from tinygrad_llm.tensor import Tensor
from tinygrad_llm.testing import numeric
from tinygrad_llm.testing.numeric import Array, GradientError

__all__ = ["GradientError", "gradcheck"]

Taped = Callable[[Sequence[Tensor], bool], list[Tensor]]
"""From Tensors to Tensors; the flag asks for a tape of the result."""


def gradcheck(
    fn: Callable[..., Any],
    inputs: Tensor | Sequence[Tensor],
    order: int = 2,
    *,
    tolerance: float = 1e-6,
    eps: float = 1e-3,
    full: int = numeric.FULL,
    seed: int = 0,
    name: str = "gradcheck",
) -> float:
    """The worst relative error of the derivatives of `fn(*inputs)` up to `order`.

    fn: takes the inputs, returns a Tensor or a tuple of them; random streams are wound back before
        each call, so that dropout inside it draws the same mask.
    inputs: float64 Tensors with requires_grad, away from kinks by a hundredth of their size.
    order: 2 checks also the gradient's own gradient, in the inputs and in the cotangent; and so on.
    eps: gradients smaller than this are held to an absolute error of tolerance·eps.
    full: an input of more elements is measured along random directions, not one by one.
    seed: of the cotangents, which are drawn: under ones the gradient of a softmax is zero.
    name: what the message of an error calls the function.

    The error is ‖numeric − analytic‖∞ / max(‖numeric‖∞, ‖analytic‖∞, eps), for each input, over all
    elements of vᵀJ or over its projections; a Jacobian of up to `full` elements is compared whole.
    Raises GradientError for an error above `tolerance`; TypeError for inputs that are not float64
    or do not ask for a gradient; ValueError for an order below 1.
    """
    xs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    _refuse(xs, order)
    rng = np.random.default_rng(seed)
    names = [f"input {i}" for i in range(len(xs))]
    taped, points = _repeatable(fn), [x.numpy().copy() for x in xs]
    worst = 0.0
    for n in range(1, order + 1):
        check = _Order(taped, points, xs[0].device, names, n, rng, full)
        worst = max(worst, check.run(numeric.Limits(tolerance, eps), name))
        taped, points, names = check.next()
    return worst


class _Order:
    """The first derivative of one function: of `fn`, or of its derivative of some order."""

    def __init__(
        self,
        taped: Taped,
        points: list[Array],
        device: str,
        names: list[str],
        order: int,
        rng: np.random.Generator,
        full: int,
    ):
        self.taped, self.points, self.device = taped, points, device
        self.names, self.order, self.rng, self.full = names, order, rng, full
        outputs = taped(self._tensors(points), False)
        self.cotangents = [rng.standard_normal(y.shape) for y in outputs]

    def run(self, limits: numeric.Limits, name: str) -> float:
        """The worst error of all inputs. A wrong gradient is wrong with both sizes of the step."""
        rows = self._rows()
        gradients = [self._gradients(v) for v in rows]

        def error_of(i: int, slope: numeric.Slope) -> float:
            measured = numeric.probes(self._values, self.points, i, slope, self.rng, self.full)
            subject = numeric.Subject(name, self.names[i], self.order)
            return max(
                numeric.agree(measured, numeric.flat(v), found[i], limits, subject)
                for v, found in zip(rows, gradients)
            )

        worst = 0.0
        for i in range(len(self.names)):
            try:
                error = error_of(i, numeric.central_slope)
            except GradientError:
                error = error_of(i, numeric.finer_slope)
            worst = max(worst, error)
        return worst

    def next(self) -> tuple[Taped, list[Array], list[str]]:
        """The gradient as a function of the inputs and of the cotangents, and where to check it."""
        names = [f"cotangent {i} (order {self.order})" for i in range(len(self.cotangents))]
        derivative = _derivative(self.taped, len(self.points))
        return derivative, self.points + self.cotangents, self.names + names

    def _tensors(self, arrays: Sequence[Array]) -> list[Tensor]:
        return [Tensor(x, device=self.device) for x in arrays]

    def _values(self, *arrays: Array) -> Array:
        return numeric.flat([y.numpy() for y in self.taped(self._tensors(arrays), False)])

    def _gradients(self, cotangents: list[Array]) -> list[Array]:
        tensors = self._tensors([*self.points, *cotangents])
        found = _derivative(self.taped, len(self.points))(tensors, False)
        return [g.numpy() for g in found]

    def _rows(self) -> list[list[Array]]:
        """Drawn cotangents, and before them one for each row of a small Jacobian."""
        count = sum(v.size for v in self.cotangents)
        if count * sum(x.size for x in self.points) > self.full:
            return [self.cotangents]
        ends = np.cumsum([v.size for v in self.cotangents])[:-1]
        rows = [np.split(unit, ends) for unit in np.eye(count)]
        shapes = [v.shape for v in self.cotangents]
        units = [[part.reshape(s) for part, s in zip(row, shapes)] for row in rows]
        return [*units, self.cotangents]


def _refuse(xs: list[Tensor], order: int) -> None:
    if order < 1:
        raise ValueError(f"gradcheck: order {order} is below 1: give 1, 2, …")
    for i, x in enumerate(xs):
        if not isinstance(x, Tensor):
            raise TypeError(f"gradcheck: input {i} is a {type(x).__name__}: give Tensors")
        if x.dtype != np.float64:
            raise TypeError(
                f"gradcheck: input {i} is {x.dtype}, too coarse for finite differences: "
                "use .astype('float64')"
            )
        if not x.requires_grad:
            raise TypeError(f"gradcheck: input {i} asks for no gradient: set requires_grad=True")


def _repeatable(fn: Callable[..., Any]) -> Taped:
    """fn with a list as its answer and the same random numbers in every call."""
    start = random.state()

    def taped(xs: Sequence[Tensor], create_graph: bool) -> list[Tensor]:
        random.restore(start)
        y = fn(*xs)
        return [y] if isinstance(y, Tensor) else list(y)

    return taped


def _derivative(taped: Taped, count: int) -> Taped:
    """(x, v) -> vᵀJ(x) for the first `count` arguments x and as many v as `taped` has outputs."""

    def derivative(arguments: Sequence[Tensor], create_graph: bool) -> list[Tensor]:
        xs = [_on_tape(x) for x in arguments[:count]]
        pairs = [(y, v) for y, v in zip(taped(xs, True), arguments[count:]) if y.requires_grad]
        if not pairs:
            return [zeros_like(x) for x in xs]
        ys, vs = zip(*pairs)
        found = grad(ys, xs, vs, create_graph=create_graph, allow_unused=True)
        return [zeros_like(x) if g is None else g for g, x in zip(found, xs)]

    return derivative


def _on_tape(x: Tensor) -> Tensor:
    if x.requires_grad:
        return x
    x = x.detach()
    x.requires_grad = True
    return x

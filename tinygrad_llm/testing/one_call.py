"""All checks of one call of one op: orders 1 and 2, needs, memory, dtypes, float32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_llm.autograd import grad
from tinygrad_llm.ops import OPS, Cached, Piece
from tinygrad_llm.tensor import Tensor
from tinygrad_llm.testing import numeric, raw
from tinygrad_llm.testing.numeric import Array, GradientError
from tinygrad_llm.testing.samples import Call, Sample
from tinygrad_llm.testing.samples.registry import differentiable, is_float, run

COMPLEX_TOLERANCE = 1e-9
"""For derivatives against the complex step; what is right comes out near 1e-15."""

CENTRAL_TOLERANCE = 1e-6
"""For derivatives against central differences; what is right comes out near 1e-11."""

VALUE_TOLERANCE = 1e-12
"""For a value against an independent formula."""

EPS = 1e-3
"""Gradients smaller than this are held to an absolute error."""

FLOAT32_ULPS = {
    "erf": 8, "logsoftmax": 8, "matmul": 8, "power": 8, "std": 8, "softcrossentropy": 12,
}  # fmt: skip
"""How far float32 gradients may be from float64 ones, in 2⁻²³ of the largest element of gradient
and cotangent. Measured over 150 seeds: 1.8, 2.1, 1.9, 1.9, 1.6 and 2.8; all others under 1.5."""

USUAL_ULPS = 4


class OneCall:
    """One call under check: the op looked up now, its inputs, drawn cotangents."""

    def __init__(self, sample: Sample, call: Call, seed: int):
        self.sample, self.call, self.op = sample, call, OPS[sample.op]
        self.arrays = call.arrays
        self.before = [np.copy(x) if isinstance(x, np.ndarray) else x for x in self.arrays]
        self.wrt = differentiable(sample, call)
        self.rng = np.random.default_rng(seed)
        self.outputs, self.saved = raw.forward(self.op, self.arrays, call.constants)
        self.cotangents = [
            np.array(self.rng.standard_normal(y.shape), order="F") if is_float(y) else None
            for y in self.outputs
        ]

    def run(self, order: int, precision: bool = True) -> float:
        """Every check; the worst relative error of a derivative. Raises GradientError.

        precision: hold float32 to the op's bound, which is for numbers of size near 1.
        """
        self.value()
        worst = self.first()
        self.needs()
        if order > 1:
            worst = max(worst, self.second())
        self.float32(precision)
        self.dtypes(np.float16)
        self.unmodified()
        return worst

    def caches(self) -> bool:
        """Whether the op keeps an intermediate."""
        return any(type(s) is Cached for s in self.saved)

    def value(self) -> None:
        """The function gives what the op gives, and that is what the independent formula gives."""
        ys = run(self.sample, self.call, tensors(self.arrays, ()))
        for k, (y, expected) in enumerate(zip(ys, self.outputs)):
            self._equal(f"value {k}", 0, expected, y.data)
        if self.call.reference is not None:
            expected = np.asarray(self.call.reference(*self.arrays))
            self._equal("value", 0, expected, self.outputs[0], VALUE_TOLERANCE)

    def first(self) -> float:
        """vᵀJ against the measured J, in memory of its own, and the same under create_graph."""
        xs, ys, vs = self._taped(self.wrt)
        found = grad(ys, xs, vs, allow_unused=True)
        worst = self._agree(found, self._forward_values, self._points(), vs, 1)
        self._unaliased(found, ys)
        xs, ys, vs = self._taped(self.wrt)
        again = grad(ys, xs, vs, create_graph=True)
        for i, g, h in zip(self.wrt, found, again):
            self._equal(f"input {i} under create_graph", 1, g.data, h.data)
        return worst

    def second(self) -> float:
        """The gradient of the gradient, in the inputs and in the cotangents."""
        xs, ys, vs = self._taped(self.wrt)
        for v in vs:
            v.requires_grad = True
        first = list(grad(ys, xs, vs, create_graph=True))
        ws = [Tensor(self.rng.standard_normal(h.shape)) for h in first]
        second = grad(first, [*xs, *vs], ws, allow_unused=True)
        filled = [Tensor(np.zeros(x.shape)) if s is None else s for s, x in zip(second, [*xs, *vs])]
        points = [*self._points(), *[v.data for v in vs]]
        return self._agree(filled, self._backward_values, points, ws, 2)

    def needs(self) -> None:
        """Where only one input needs a gradient, it gets the same one and the others get none."""
        if len(self.wrt) < 2:
            return
        xs, ys, vs = self._taped(self.wrt)
        whole = grad(ys, xs, vs)
        for i, expected in zip(self.wrt, whole):
            asked = [j == i for j in range(len(self.arrays))]
            answers = raw.backward(self.op, self.cotangents, self.saved, asked)
            for j, answer in enumerate(answers):
                if j != i and answer is not None:
                    raise GradientError(f"{self.sample!r}: computed unasked", f"input {j}", 1)
            xs, ys, vs = self._taped([i])
            self._equal(f"input {i} alone", 1, expected.data, grad(ys, xs, vs)[0].data)

    def float32(self, precision: bool) -> None:
        """float32 gradients have their dtype, and are as near to float64 ones as is promised."""
        arrays, cotangents, found = self.dtypes(np.float32)
        if not precision:
            return
        wide = [x.astype(np.float64) if is_float(x) else x for x in arrays]
        vs = [None if v is None else v.astype(np.float64) for v in cotangents]
        _, saved = raw.forward(self.op, wide, self.call.constants)
        answers = raw.backward(self.op, vs, saved, self._all_needs())
        exact = [raw.undo_piece(answers[i], arrays[i].shape) for i in self.wrt]
        ulps = FLOAT32_ULPS.get(self.op.name, USUAL_ULPS)
        for i, g, e in zip(self.wrt, found, exact):
            size = max(np.abs(x).max(initial=0.0) for x in (e, *vs) if x is not None)
            wrong = ~(np.abs(g - e) <= ulps * 2.0**-23 * size)
            if wrong.any():
                what = f"{self.sample!r}: float32 beyond {ulps} ulp"
                raise wrong_at(wrong, what, f"input {i}", 1, e, g)

    def dtypes(self, dtype: Any) -> tuple[list[Any], list[Any], list[Array]]:
        """Nothing promotes: outputs and gradients have the dtype of the inputs."""
        with np.errstate(all="ignore"):
            arrays = [x.astype(dtype) if is_float(x) else x for x in self.arrays]
            ys, saved = raw.forward(self.op, arrays, self.call.constants)
            expected = self.call.constants.get("dtype", dtype)
            for k, y in enumerate(ys):
                if is_float(y) and y.dtype != expected:
                    raise GradientError(f"{self.sample!r}: {y.dtype}", f"output {k}", 0)
            vs = [None if v is None else v.astype(expected) for v in self.cotangents]
            grads = raw.backward(self.op, vs, saved, self._all_needs())
            for i in self.wrt:
                found = grads[i].g.dtype if type(grads[i]) is Piece else grads[i].dtype
                if found != dtype:
                    what = f"{self.sample!r}: a gradient of {found} for {np.dtype(dtype)}"
                    raise GradientError(what, f"input {i}", 1)
            return arrays, vs, [raw.undo_piece(grads[i], arrays[i].shape) for i in self.wrt]

    def unmodified(self) -> None:
        """The inputs are what they were before all this."""
        for i, (x, before) in enumerate(zip(self.arrays, self.before)):
            if isinstance(x, np.ndarray):
                self._equal(f"input {i} itself", 0, before, x)

    def _all_needs(self) -> list[bool]:
        return [i in self.wrt for i in range(len(self.arrays))]

    def _points(self) -> list[Array]:
        return [self.arrays[i] for i in self.wrt]

    def _with(self, points: Sequence[Array]) -> list[Any]:
        arrays = list(self.arrays)
        for i, x in zip(self.wrt, points):
            arrays[i] = x
        return arrays

    def _forward_values(self, *points: Array) -> Array:
        ys, _ = raw.forward(self.op, self._with(points), self.call.constants)
        return numeric.flat([y for y in ys if is_float(y)])

    def _backward_values(self, *points: Array) -> Array:
        count = len(self.wrt)
        vs = iter(points[count:])
        cotangents = [None if v is None else next(vs) for v in self.cotangents]
        arrays = self._with(points[:count])
        return numeric.flat(
            raw.gradients(self.op, arrays, self.call.constants, cotangents, self.wrt)
        )

    def _taped(self, wrt: Sequence[int]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Inputs that ask for gradients, outputs that have them, cotangents; all new Tensors."""
        inputs = tensors(self.arrays, wrt)
        ys = run(self.sample, self.call, inputs)
        vs = [Tensor(v) for v in self.cotangents if v is not None]
        return [inputs[i] for i in wrt], [y for y in ys if y.dtype.kind == "f"], vs

    def _agree(
        self,
        found: Sequence[Tensor | None],
        values: Callable[..., Array],
        points: list[Array],
        weights: list[Tensor],
        order: int,
    ) -> float:
        smooth = self.sample.smooth
        slope = numeric.complex_slope if smooth else numeric.central_slope
        limits = numeric.Limits(COMPLEX_TOLERANCE if smooth else CENTRAL_TOLERANCE, EPS)
        v = numeric.flat([w.data for w in weights])
        worst = 0.0
        for i, g in enumerate(found):
            count = len(self.wrt)
            input = f"input {self.wrt[i]}" if i < count else f"cotangent {i - count}"
            if g is None:
                raise GradientError(f"{self.sample!r}: no gradient", input, order)
            measured = numeric.probes(values, points, i, slope, self.rng)
            subject = numeric.Subject(repr(self.sample), input, order)
            worst = max(worst, numeric.agree(measured, v, g.data, limits, subject))
        return worst

    def _unaliased(self, found: Sequence[Tensor], ys: list[Tensor]) -> None:
        """A gradient shares memory with no input, output, cotangent, or other gradient."""
        others = [x for x in (*self.arrays, *self.cotangents) if isinstance(x, np.ndarray)]
        others += [y.data for y in ys]
        for i, g in zip(self.wrt, found):
            if any(np.may_share_memory(g.data, other) for other in others):
                raise GradientError(f"{self.sample!r}: shared memory", f"input {i}", 1)
            others.append(g.data)

    def _equal(
        self, input: str, order: int, expected: Array, found: Array, tolerance: float = 0.0
    ) -> None:
        equal(repr(self.sample), input, order, expected, found, tolerance)


def tensors(arrays: Sequence[Any], wrt: Sequence[int]) -> list[Any]:
    """The arrays as Tensors, those at `wrt` asking for a gradient; everything else as it is."""
    return [
        Tensor(x, requires_grad=i in wrt) if isinstance(x, np.ndarray) else x
        for i, x in enumerate(arrays)
    ]


def equal(
    what: str, input: str, order: int, expected: Array, found: Array, tolerance: float = 0.0
) -> None:
    """GradientError unless shapes and values are equal, each element to a relative tolerance.

    0 and −0 are equal: which of them a sum of zeros gives depends on its order.
    """
    if expected.shape != found.shape:
        raise GradientError(f"{what}: shape {found.shape}, not {expected.shape}", input, order)
    wrong = ~np.isclose(found, expected, rtol=tolerance, atol=0.0)
    if wrong.any():
        raise wrong_at(wrong, f"{what}: wrong value", input, order, expected, found)


def wrong_at(
    wrong: Array, what: str, input: str, order: int, expected: Array, found: Array
) -> GradientError:
    """The error that names the first place where `wrong` is true."""
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    a, b = float(expected[place]), float(found[place])
    return GradientError(what, input, order, place, a, b, abs(b - a) / max(abs(a), abs(b)))

"""Products of arrays: matrix multiplication, linear layers and Einstein sums."""

from __future__ import annotations

import math
from string import ascii_letters

from tinygrad_llm.ops.base import Cached, Op, broadcast_clash
from tinygrad_llm.ops.elementwise import GELU_CUBIC, SQRT_2_OVER_PI, SQRT_HALF
from tinygrad_llm.ops.erf import erf
from tinygrad_llm.ops.precision import narrow, total, wide


class Matmul(Op):
    """Y = A B over the last two axes (two or more each), the others broadcast;
    dA = G Bᵀ,  dB = Aᵀ G  (G03).

    One matrix B against a stack of A is one large product, forward and backward: the gradient of a
    shared weight needs no sum over the stack.
    """

    broadcasts = True

    @staticmethod
    def forward(xp, a, b):
        return a @ b, (a, b)

    @staticmethod
    def backward(xp, g, saved, needs):
        a, b = saved
        da = g @ b.swapaxes(-1, -2) if needs[0] else None
        if needs[1] and b.ndim == 2:
            # computed, because reshape(-1) is ambiguous when K or N is 0
            rows = math.prod(a.shape[:-1])
            a, g = a.reshape(rows, a.shape[-1]), g.reshape(rows, g.shape[-1])
        db = a.swapaxes(-1, -2) @ g if needs[1] else None
        return da, db

    @classmethod
    def explain(cls, error, shapes, constants):
        a, b = shapes
        if a[-1] != b[-2]:
            return f"matmul: {a} @ {b}: inner sizes {a[-1]} and {b[-2]} differ"
        return f"matmul: {a} @ {b}: stacks{broadcast_clash([a[:-2], b[:-2]])}"


class Linear(Op):
    """Y = X W + b for rows X (..., in), W (in, out) and b (out,), or no b;
    dX = G Wᵀ,  dW = Xᵀ G,  db = Σ_n G_n over all rows n  (F03, F05, F09–F12, G03).

    One node where `x @ w + b` has two; the rows of all leading axes are one large product.
    """

    @staticmethod
    def forward(xp, x, w, b):
        if w.ndim != 2 or (b is not None and b.shape != w.shape[1:]):
            raise ValueError
        y = x @ w
        if b is not None:
            y += b
        return y, (x, w)

    @staticmethod
    def backward(xp, g, saved, needs):
        x, w = saved
        dx = g @ w.T if needs[0] else None
        # computed, because reshape(-1) is ambiguous when a width is 0
        rows = math.prod(x.shape[:-1])
        g = g.reshape(rows, w.shape[1])
        dw = x.reshape(rows, w.shape[0]).T @ g if needs[1] else None
        db = total(g, axis=0) if needs[2] else None
        return dx, dw, db

    @classmethod
    def explain(cls, error, shapes, constants):
        x, w, *b = shapes
        bias = f" and a bias {b[0]}" if b else ""
        return f"linear: x {x} with a weight {w}{bias}: expected (..., in), (in, out) and (out,)"


class LinearReLU(Linear):
    """Y = max(Z, 0), Z = X W + b;  dZ = G where Y > 0, else 0, and on from there as Linear
    (F32)."""

    @staticmethod
    def forward(xp, x, w, b):
        z, _ = Linear.forward(xp, x, w, b)
        y = xp.maximum(z, 0)
        return y, (x, w, y)

    @staticmethod
    def backward(xp, g, saved, needs):
        x, w, y = saved
        dx, dw, db = Linear.backward(xp, g * (y > 0), (x, w), needs)
        return dx, dw, db


class LinearGELU(Linear):
    """Y = Z·Φ(Z), Z = X W + b;  dZ = G·(Φ(Z) + Z·φ(Z)), and on from there as Linear  (G08).

    The derivative is kept in place of Z: backward has one product left to do. GELU has Φ and φ.
    """

    @staticmethod
    def forward(xp, x, w, b):
        z, _ = Linear.forward(xp, x, w, b)
        cdf = 0.5 * (1.0 + erf(xp, z * SQRT_HALF))
        return z * cdf, (x, w, b, Cached(_gelu_slope(xp, z, cdf)))

    @staticmethod
    def backward(xp, g, saved, needs):
        x, w, b, slope = saved
        if slope is None:
            z = xp.linear(x, w, b)
            slope = _gelu_slope(xp, z, 0.5 * (1.0 + xp.erf(z * SQRT_HALF)))
        dx, dw, db = Linear.backward(xp, g * slope, (x, w), needs)
        return dx, dw, db


class LinearGELUTanh(Linear):
    """Y = ½Z(1 + T), T = tanh(√(2/π)·(Z + 0.044715Z³)), Z = X W + b;  dZ = G·dY/dZ, which GELUTanh
    has, and on from there as Linear  (G08, GPT-2's form). The derivative is kept in place of Z."""

    @staticmethod
    def forward(xp, x, w, b):
        z, _ = Linear.forward(xp, x, w, b)
        t = xp.tanh(SQRT_2_OVER_PI * (z + GELU_CUBIC * z * z * z))
        return 0.5 * z * (1.0 + t), (x, w, b, Cached(_gelu_tanh_slope(z, t)))

    @staticmethod
    def backward(xp, g, saved, needs):
        x, w, b, slope = saved
        if slope is None:
            z = xp.linear(x, w, b)
            t = xp.tanh(SQRT_2_OVER_PI * (z + GELU_CUBIC * z * z * z))
            slope = _gelu_tanh_slope(z, t)
        dx, dw, db = Linear.backward(xp, g * slope, (x, w), needs)
        return dx, dw, db


def _gelu_slope(xp, z, cdf):
    """Φ + z·φ."""
    return cdf + z * (xp.exp(-0.5 * z * z) * (0.5 * SQRT_2_OVER_PI))


def _gelu_tanh_slope(z, t):
    """The derivative of ½z(1 + t) in z."""
    s = z * (1.0 - t * t)  # far out it is 0, and stays so: z² may be ∞ there
    return 0.5 * (1.0 + t + SQRT_2_OVER_PI * (s + 3.0 * GELU_CUBIC * s * z * z))


class Einsum(Op):
    """y = the sum that the letters name, e.g. "ij", "jk" → "ik".

    The gradient of one operand is an Einstein sum again: g and the other operands in, its own
    letters out. A letter that only it has is filled by ones; the second "i" of a diagonal "ii"
    becomes a letter of its own, tied to the first by an identity matrix. Both are kept as booleans.
    """

    broadcasts = True
    views = True  # of one operand, when letters only change places

    @staticmethod
    def forward(xp, *operands, terms, output):
        y = _einsum(xp, (*terms, output), operands)
        plans = [_plan(xp, i, operands, terms, output) for i in range(len(operands))]
        return y, (*operands, plans, output)

    @staticmethod
    def backward(xp, g, saved, needs):
        *operands, plans, output = saved
        dxs = [None] * len(operands)
        for i, (terms, own, fillers) in enumerate(plans):
            if needs[i]:
                others = [x for j, x in enumerate(operands) if j != i]
                dxs[i] = _einsum(xp, (output, *terms, own), [g, *others, *fillers])
        return tuple(dxs)

    @classmethod
    def explain(cls, error, shapes, constants):
        given = ", ".join(f"{t}: {s}" for t, s in zip(constants["terms"], shapes))
        return f"einsum: {given} → {constants['output']!r}: {error}"


def _einsum(xp, letters, operands):
    """xp.einsum by lists of letters; more than one operand goes through matrix products."""
    subscripts = ",".join(letters[:-1]) + "->" + letters[-1]
    y = xp.einsum(subscripts, *map(wide, operands), optimize=len(operands) > 1)
    return narrow(y, operands[0])


def _plan(xp, i: int, operands, terms: list[str], output: str):
    """Terms beside g, own letters and boolean fillers for the gradient of operand i."""
    spare = [c for c in ascii_letters if c not in "".join(terms)]
    others = [(t, x.shape) for j, (t, x) in enumerate(zip(terms, operands)) if j != i]
    sizes = {pair for t, shape in others for pair in zip(t, shape)}
    own, extra, fillers = "", [], []
    for letter, n in zip(terms[i], operands[i].shape):
        if letter in own:
            if not spare:
                raise ValueError("all 52 letters are in use, and a diagonal needs one more")
            twin = spare.pop()
            own += twin
            extra.append(letter + twin)
            fillers.append(xp.eye(n, dtype=bool))
        else:
            own += letter
            if letter not in output and (letter, n) not in sizes:
                extra.append(letter)
                fillers.append(xp.ones(n, dtype=bool))
    return [*(t for t, _ in others), *extra], own, fillers

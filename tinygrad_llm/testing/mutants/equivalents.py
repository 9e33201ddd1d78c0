"""Mutants that compute the same as the original, each with the algebra that shows it.

Keyed by function, original line and mutated line. An entry that fits no mutant, or a mutant that
does not survive, is an error: the list can neither grow old nor hide a gap. "Cost" means that the
same numbers come out with more work or memory; what an op may not compute is checked elsewhere.
"""

from __future__ import annotations

from tinygrad_llm.testing.mutants.cpu_equivalents import LISTED as _OF_CPU
from tinygrad_llm.testing.mutants.fused_equivalents import LISTED as _OF_FUSED_OPS
from tinygrad_llm.testing.mutants.generator import plain
from tinygrad_llm.testing.mutants.optimizer_equivalents import LISTED as _OF_OPTIMIZERS

_LISTED: dict[str, list[tuple[str, str, str]]] = {
    "Pow.backward": [
        (
            "return xp.where(xp.isfinite(g), g, 0.0) * 0.0",
            "return xp.where(xp.isfinite(g), g, 1.0) * 0.0",
            "of any finite number 0 times is 0",
        ),
        (
            "return xp.where(xp.isfinite(g), g, 0.0) * 0.0",
            "return xp.where(xp.isfinite(g), g, -1.0) * 0.0",
            "of any finite number 0 times is 0",
        ),
    ],
    "Mean.backward": [
        (
            "share = 1.0 / (count_of(shape, axis) or 1)",
            "share = 1.0 / count_of(shape, axis)",
            "count 0 means an empty x, and its gradient has no elements",
        ),
        (
            "share = 1.0 / (count_of(shape, axis) or 1)",
            "share = 1.0 / (count_of(shape, axis) or 2)",
            "count 0 means an empty x, and its gradient has no elements",
        ),
        (
            "share = 1.0 / (count_of(shape, axis) or 1)",
            "share = 1.0 / (count_of(shape, axis) or 0)",
            "count 0 means an empty x, and its gradient has no elements",
        ),
    ],
    "Sign.backward": [
        (
            "dx = xp.where(xp.isfinite(g), g, 0.0) * 0.0",
            "dx = xp.where(xp.isfinite(g), g, 1.0) * 0.0",
            "of any finite number 0 times is 0",
        ),
        (
            "dx = xp.where(xp.isfinite(g), g, 0.0) * 0.0",
            "dx = xp.where(xp.isfinite(g), g, -1.0) * 0.0",
            "of any finite number 0 times is 0",
        ),
    ],
    "CrossEntropy.backward": [
        (
            "z = z if counted is None else xp.where(counted[..., None], z, 0.0)",
            "z = z if counted is None else xp.where(counted[..., None], z, 1.0)",
            "where nothing is counted, dz is 0 for every finite row",
        ),
        (
            "z = z if counted is None else xp.where(counted[..., None], z, 0.0)",
            "z = z if counted is None else xp.where(counted[..., None], z, -1.0)",
            "where nothing is counted, dz is 0 for every finite row",
        ),
    ],
    "WeightedCrossEntropy.backward": [
        (
            "logp = xp.log_softmax(xp.where(weight_sum == 0, 0.0, z), -1)",
            "logp = xp.log_softmax(xp.where(weight_sum == 0, 1.0, z), -1)",
            "where Σq = 0, dz is 0 for every finite row",
        ),
        (
            "logp = xp.log_softmax(xp.where(weight_sum == 0, 0.0, z), -1)",
            "logp = xp.log_softmax(xp.where(weight_sum == 0, -1.0, z), -1)",
            "where Σq = 0, dz is 0 for every finite row",
        ),
    ],
    "GELUTanh.backward": [
        (
            "t = xp.tanh(SQRT_2_OVER_PI * (x + GELU_CUBIC * x * x * x)) if t is None else t",
            "t = xp.tanh(SQRT_2_OVER_PI * (x + GELU_CUBIC * x * x * x))",
            "the cache is this very number: cost",
        ),
    ],
    "Std.backward": [
        (
            "per_y = xp.where(y == 0, 0.0, g / xp.where(y == 0, 1.0, y))",
            "per_y = xp.where(y == 0, 0.0, g / xp.where(y == 0, 2.0, y))",
            "where y = 0, the outer choice takes 0.0, and g / 2 is finite as g / 1 is",
        ),
    ],
    "Norm.backward": [
        (
            "per_y = xp.where(y == 0, 0.0, g / xp.where(y == 0, 1.0, y))",
            "per_y = xp.where(y == 0, 0.0, g / xp.where(y == 0, 2.0, y))",
            "where y = 0, the outer choice takes 0.0, and g / 2 is finite as g / 1 is",
        ),
    ],
    "LogSumExp.backward": [
        (
            "y = xp.where(y == -math.inf, 0.0, y).reshape(kept)",
            "y = xp.where(y == -math.inf, 1.0, y).reshape(kept)",
            "where y = −∞ every x is −∞, and e^(−∞ − c) is 0 for every finite c",
        ),
        (
            "y = xp.where(y == -math.inf, 0.0, y).reshape(kept)",
            "y = xp.where(y == -math.inf, -1.0, y).reshape(kept)",
            "where y = −∞ every x is −∞, and e^(−∞ − c) is 0 for every finite c",
        ),
    ],
    "TopK.backward": [
        (
            "dx = Piece(g[0], grid, repeats=False)",
            "dx = Piece(g[0], grid, repeats=True)",
            "the places of the k largest are distinct: adding each time is adding once: cost",
        ),
    ],
    "Matmul.backward": [
        (
            "if needs[1] and b.ndim == 2:",
            "if b.ndim == 2:",
            "da is computed above and db is not asked for: what is reshaped is not read",
        ),
        (
            "if needs[1] and b.ndim == 2:",
            "if needs[1] and b.ndim == 1:",
            "Σ over a stack of Aᵀ G, which the engine takes, is one product of all rows: cost",
        ),
        (
            "a, g = (a.reshape(rows, a.shape[-1]), g.reshape(rows, g.shape[-1]))",
            "pass",
            "Σ over a stack of Aᵀ G, which the engine takes, is one product of all rows: cost",
        ),
    ],
    "Transpose.backward": [
        (
            "back = [0] * len(axes)",
            "back = [1] * len(axes)",
            "axes is a permutation: the loop writes every place",
        ),
        (
            "back = [0] * len(axes)",
            "back = [-1] * len(axes)",
            "axes is a permutation: the loop writes every place",
        ),
    ],
    "scaled_mask": [
        (
            "return keep.astype(like.dtype) * (1.0 / kept_share if kept_share else 0.0)",
            "return keep.astype(like.dtype) * (1.0 / kept_share if kept_share else "
            "0.0) * keep.astype(like.dtype)",
            "of 0 and 1 the square is the number itself",
        ),
        (
            "return keep.astype(like.dtype) * (1.0 / kept_share if kept_share else 0.0)",
            "return keep.astype(like.dtype) * (1.0 / kept_share if kept_share else 1.0)",
            "where no share is kept, every element of the mask is 0",
        ),
        (
            "return keep.astype(like.dtype) * (1.0 / kept_share if kept_share else 0.0)",
            "return keep.astype(like.dtype) * (1.0 / kept_share if kept_share else -1.0)",
            "where no share is kept, every element of the mask is 0",
        ),
    ],
    "_products_before": [
        (
            "ones = xp.ones_like(x[..., :1])",
            "ones = -xp.ones_like(x[..., :1])",
            "before and after both change their sign: their product does not",
        ),
        (
            "while step < x.shape[-1]:",
            "while step <= x.shape[-1]:",
            "at step = n the part before is all of p and the part beyond is empty: p stays",
        ),
    ],
    "target_distribution": [
        (
            "q = q * (1.0 - smoothing) + smoothing / len(classes)",
            "q = q * (1.0 - smoothing) * q + smoothing / len(classes)",
            "of 0 and 1 the square is the number itself",
        ),
    ],
    "_log_where_positive": [
        (
            "return xp.log(xp.where(t == 0, 1.0, t))",
            "return xp.log(xp.where(t == 0, 2.0, t))",
            "where t = 0, backward chooses 0.0 instead, and ln 2 is finite as ln 1 is",
        ),
        (
            "return xp.log(xp.where(t == 0, 1.0, t))",
            "return xp.log(xp.where(t == 0, 0.0, t))",
            "where t = 0, backward chooses 0.0 instead: only a warning of ln 0 would be new",
        ),
    ],
    "astype": [
        (
            "return x if x.dtype == dtype else apply(ops.AsType, x, dtype=dtype)",
            "return apply(ops.AsType, x, dtype=dtype)",
            "to its own dtype, x becomes an equal copy: cost",
        ),
    ],
    "ones_like": [
        (
            "return Tensor(values, requires_grad, device=device)",
            "return Tensor(-values, requires_grad, device=device)",
            "Prod alone uses it: before and after both change their sign, as in _products_before",
        ),
    ],
    "concatenate": [
        (
            "return apply(ops.Concatenate, *xs, axis=axis_of(xs[0].ndim, axis))",
            "return apply(ops.Concatenate, *xs, axis=axis_of(xs[-1].ndim, axis))",
            "all parts have the same number of axes",
        ),
    ],
    "log_softmax": [
        (
            "return apply(ops.LogSoftmax, x, axis=_filled_axis('log_softmax', x, axis))",
            "return apply(ops.LogSoftmax, x, axis=_filled_axis('log_softmax', x, -1))",
            "each backward that calls it asks for axis −1",
        ),
    ],
    "Operators.max": [
        (
            "return F.max(self, axis, keepdims)",
            "return F.max(self, -1, keepdims)",
            "each backward that calls it asks for the last axis",
        ),
    ],
    "max": [
        (
            "return apply(ops.Max, x, axis=_not_empty('max', x, axis), keepdims=keepdims)",
            "return apply(ops.Max, x, axis=_not_empty('max', x, -1), keepdims=keepdims)",
            "each backward that calls it asks for the last axis",
        ),
    ],
    "_plan": [
        (
            "sizes = {pair for t, shape in others for pair in zip(t, shape)}",
            "sizes = {pair for t, shape in others for pair in zip(shape, t)}",
            "sizes then has no such pair: one more factor of ones changes no product",
        ),
        (
            "if letter in own:",
            "if letter not in own:",
            "a first letter too gets a twin, tied to it by the identity: Σᵢ gᵢ δᵢₐ = gₐ",
        ),
        (
            "if letter not in output and (letter, n) not in sizes:",
            "if (letter, n) not in sizes:",
            "one more factor of ones changes no product",
        ),
        (
            "if letter not in output and (letter, n) not in sizes:",
            "if letter not in output:",
            "one more factor of ones changes no product",
        ),
        (
            "if letter not in output and (letter, n) not in sizes:",
            "if letter not in output or (letter, n) not in sizes:",
            "one more factor of ones changes no product",
        ),
    ],
    "narrow": [
        (
            "return y if y.dtype == like.dtype else y.astype(like.dtype)",
            "return y.astype(like.dtype)",
            "a conversion into the dtype that it has: cost",
        ),
    ],
    "unbroadcast": [
        (
            "repeated = [i for i, n in enumerate(shape, new) if n == 1 and g.shape[i] != 1]",
            "repeated = [i for i, n in enumerate(shape, new) if n == 1]",
            "a sum over an axis of size 1 is its element",
        ),
        (
            "return precision.total(g, axes, keepdims=True).reshape(shape) if axes else g",
            "return precision.total(g, axes, keepdims=True).reshape(shape)",
            "a sum over no axis is g",
        ),
        (
            "return precision.total(g, axes, keepdims=True).reshape(shape) if axes else g",
            "return precision.total(g, axes, keepdims=False).reshape(shape) if axes else g",
            "the reshape puts the axes of size 1 back",
        ),
    ],
    "Accumulator.add": [
        (
            "if self.owned and in_place:",
            "if self.owned:",
            "in a walk without in_place nothing is ever owned",
        ),
        (
            "self.owned = in_place",
            "pass",
            "every later part makes a new sum: cost",
        ),
    ],
    "Accumulator.add_piece": [
        (
            "self.owned = True",
            "pass",
            "every later part makes a copy or a new sum: cost",
        ),
        (
            "self.owned = True",
            "self.owned = False",
            "every later part makes a copy or a new sum: cost",
        ),
    ],
    "_output_gradient": [
        (
            "return arrived[0].value",
            "return arrived[-1].value",
            "of one element the first is the last",
        ),
        (
            "if g is None and dtype.kind == 'f' and (i not in node.op.spares_zeros):",
            "if g is None and i not in node.op.spares_zeros:",
            "no op reads the gradient of an output of integers",
        ),
        (
            "if g is None and dtype.kind == 'f' and (i not in node.op.spares_zeros):",
            "if g is None and dtype.kind == 'f':",
            "an op that spares zeros takes them too: cost",
        ),
        (
            "g = lift.tensor(g, None, None) if lift else g",
            "pass",
            "functional takes an array of zeros as it takes a constant Tensor of them",
        ),
        (
            "g = lift.tensor(g, None, None) if lift else g",
            "g = -lift.tensor(g, None, None) if lift else g",
            "g is all 0, and −0 and 2·0 are 0",
        ),
        (
            "g = lift.tensor(g, None, None) if lift else g",
            "g = 2.0 * lift.tensor(g, None, None) if lift else g",
            "g is all 0, and −0 and 2·0 are 0",
        ),
        (
            "g = lift.tensor(g, None, None) if lift else g",
            "g = lift.tensor(g, None, None) if lift else -g",
            "g is all 0, and −0 and 2·0 are 0",
        ),
        (
            "g = lift.tensor(g, None, None) if lift else g",
            "g = lift.tensor(g, None, None) if lift else 2.0 * g",
            "g is all 0, and −0 and 2·0 are 0",
        ),
    ],
}

EQUIVALENTS = {
    (function, plain(original), plain(mutated)): why
    for function, changes in {**_LISTED, **_OF_FUSED_OPS, **_OF_OPTIMIZERS, **_OF_CPU}.items()
    for original, mutated, why in changes
}
"""(function, original line, mutated line) -> why nothing changes."""

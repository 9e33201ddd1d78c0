"""Products of tensors."""

from __future__ import annotations

from typing import Any

from tinygrad_llm.functional.arguments import one_dtype, operands, tensor, tensor_like
from tinygrad_llm.functional.shapes import reshape
from tinygrad_llm.ops import products as ops
from tinygrad_llm.tensor import Tensor, apply


def matmul(a: Any, b: Any) -> Tensor:
    """A B by NumPy's rules: a vector is a row on the left and a column on the right, more than two
    axes are stacks of matrices that broadcast. Raises ValueError when inner sizes differ."""
    a, b = (tensor(x) for x in operands("matmul", a, b))
    if not a.ndim or not b.ndim:
        raise ValueError(f"matmul: {a.shape} @ {b.shape}: a number has no product here, use *")
    if a.ndim > 1 and b.ndim > 1:
        return apply(ops.Matmul, a, b)
    if a.shape[-1] != b.shape[max(b.ndim - 2, 0)]:
        sizes = f"inner sizes {a.shape[-1]} and {b.shape[max(b.ndim - 2, 0)]} differ"
        raise ValueError(f"matmul: {a.shape} @ {b.shape}: {sizes}")
    left = reshape(a, (1, *a.shape)) if a.ndim == 1 else a
    right = reshape(b, (*b.shape, 1)) if b.ndim == 1 else b
    y = apply(ops.Matmul, left, right)
    kept = y.shape[: y.ndim - (a.ndim == 1) - (b.ndim == 1)]
    if a.ndim == 1 and b.ndim > 1:
        kept = (*y.shape[:-2], y.shape[-1])
    return reshape(y, kept)


def linear(
    x: Any, weight: Tensor, bias: Tensor | None = None, activation: str | None = None
) -> Tensor:
    """X W + b: x (..., in), weight (in, out), bias (out,) or None -> (..., out)  (F03, F05, G03).

    activation: "relu", "gelu" or "gelu_tanh" of it, in the same node  (F32, G08).
    Raises ValueError for shapes that do not fit and unknown activations, TypeError for different
    floating dtypes.
    """
    if not (activation is None or isinstance(activation, str)) or activation not in _LINEAR:
        known = "'relu', 'gelu', 'gelu_tanh' or None"
        raise ValueError(f"linear: activation must be {known}, not {activation!r}")
    weight = tensor(weight)
    x, weight = operands("linear", x if isinstance(x, Tensor) else tensor_like(weight, x), weight)
    if bias is not None:
        x, bias = operands("linear", x, bias if isinstance(bias, Tensor) else tensor_like(x, bias))
        _, weight = operands("linear", x, weight)
    return apply(_LINEAR[activation], x, weight, bias)


_LINEAR = {
    None: ops.Linear,
    "relu": ops.LinearReLU,
    "gelu": ops.LinearGELU,
    "gelu_tanh": ops.LinearGELUTanh,
}


def einsum(subscripts: str, *operands: Any, optimize: bool = True) -> Tensor:
    """Einstein sum by NumPy's notation: "ij,jk->ik", implicit output, "..." and diagonals "ii".

    optimize: accepted because the op's backward passes it; the op chooses by itself.
    Raises ValueError for a notation that does not fit the operands.
    """
    xs = one_dtype("einsum", list(operands))
    terms, output = _explicit(subscripts, [x.ndim for x in xs])
    return apply(ops.Einsum, *xs, terms=terms, output=output)


def _explicit(subscripts: str, ndims: list[int]) -> tuple[list[str], str]:
    """The notation with letters for "..." and with its output written out."""
    text = subscripts.replace(" ", "")
    left, arrow, output = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ndims):
        raise ValueError(f"einsum: {subscripts!r} has {len(terms)} terms for {len(ndims)} operands")
    spare = [c for c in map(chr, (*range(65, 91), *range(97, 123))) if c not in text]
    widths = [_width(subscripts, term, ndim) for term, ndim in zip(terms, ndims)]
    rest = "".join(spare[: max(widths)])
    named = "".join(terms).replace("...", "")
    terms = [t.replace("...", rest[len(rest) - w :]) for t, w in zip(terms, widths)]
    if not arrow:
        return terms, rest + "".join(sorted(c for c in set(named) if named.count(c) == 1))
    output = output.replace("...", rest)
    strange = set(output) - set("".join(terms))
    if strange or len(set(output)) < len(output) or not set(rest) <= set(output):
        raise ValueError(f"einsum: {subscripts!r}: the output must name letters of the input, once")
    return terms, output


def _width(subscripts: str, term: str, ndim: int) -> int:
    """How many axes the "..." of one term stands for."""
    letters = term.replace("...", "")
    width = ndim - len(letters)
    if not all(c.isalpha() and c.isascii() for c in letters) or term.count("...") > 1:
        raise ValueError(f"einsum: {subscripts!r}: the term {term!r} cannot be read")
    if width < 0 or (width and "..." not in term):
        raise ValueError(f"einsum: the term {term!r} for an operand of {ndim} dimensions")
    return width

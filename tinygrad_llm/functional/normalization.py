"""Layer norm and RMS norm over the last axis, alone and with the residual sum before them."""

from __future__ import annotations

from typing import Any

from tinygrad_llm.functional.arguments import floating, number, operands, tensor_like
from tinygrad_llm.ops import normalization as ops
from tinygrad_llm.tensor import Tensor, apply


def layer_norm(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Tensor:
    """γ·(x − mean)/√(variance + ε) + β over the last axis, for weight γ and bias β of shape (D,)
    (G07, F76; Ba et al. 2016).

    PyTorch's takes `normalized_shape` as its second argument; here it is the last axis, always.
    Without a weight or a bias it is 1 or 0. The variance is the biased one.
    Raises ValueError for shapes that do not fit, TypeError for different floating dtypes and an eps
    that is no number.
    """
    x = floating(x)
    weight, bias = _of_width("layer_norm", x, weight=weight, bias=bias)
    return apply(ops.LayerNorm, x, weight, bias, eps=number("layer_norm: eps", eps))


def rms_norm(x: Any, weight: Any = None, eps: float = 1e-6) -> Tensor:
    """γ·x/√(mean x² + ε) over the last axis, for a weight γ of shape (D,) or 1  (Zhang & Sennrich
    2019). Errors as in `layer_norm`.

    PyTorch's takes `normalized_shape` second, and its ε without a value is that of the dtype.
    """
    x = floating(x)
    (weight,) = _of_width("rms_norm", x, weight=weight)
    return apply(ops.RMSNorm, x, weight, eps=number("rms_norm: eps", eps))


def add_layer_norm(
    x: Any, residual: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> tuple[Tensor, Tensor]:
    """(layer_norm(s), s) of the residual sum s = x + residual, as one node  (F76, G07).

    Raises ValueError for two shapes; other errors as in `layer_norm`.
    """
    x, residual = _summands("add_layer_norm", x, residual)
    weight, bias = _of_width("add_layer_norm", x, weight=weight, bias=bias)
    return apply(
        ops.AddLayerNorm, x, residual, weight, bias, eps=number("add_layer_norm: eps", eps)
    )


def add_rms_norm(
    x: Any, residual: Any, weight: Any = None, eps: float = 1e-6
) -> tuple[Tensor, Tensor]:
    """(rms_norm(s), s) of the residual sum s = x + residual, as one node; errors as in
    `add_layer_norm`."""
    x, residual = _summands("add_rms_norm", x, residual)
    (weight,) = _of_width("add_rms_norm", x, weight=weight)
    return apply(ops.AddRMSNorm, x, residual, weight, eps=number("add_rms_norm: eps", eps))


def _of_width(name: str, x: Tensor, **parameters: Any) -> list[Tensor | None]:
    """The parameters as Tensors (D,) of the dtype of x (..., D), those that are None as they are.

    Raises ValueError for other shapes, or where x has no axis or no width.
    """
    if not x.ndim or not x.shape[-1]:
        raise ValueError(f"{name}: x {x.shape} needs a last axis with elements to normalise")
    found: list[Tensor | None] = []
    for what, value in parameters.items():
        if value is not None:
            value = value if isinstance(value, Tensor) else tensor_like(x, value)
            _, value = operands(name, x, value)
            if value.shape != x.shape[-1:]:
                raise ValueError(f"{name}: {what} {value.shape} for x {x.shape}: expected (D,)")
        found.append(value)
    return found


def _summands(name: str, x: Any, residual: Any) -> tuple[Tensor, Tensor]:
    x, residual = operands(name, floating(x), residual)
    if not isinstance(residual, Tensor) or x.shape != residual.shape:
        shape = getattr(residual, "shape", "a number")
        raise ValueError(f"{name}: x {x.shape} and residual {shape} differ in shape")
    return x, residual

"""Values to begin with: each function fills a tensor in place and returns it.

Why it matters: a layer of n inputs with weights of variance v turns inputs of mean square s into
sums of variance n·v·s. After L layers that is (n·v)^L, so n·v must be about 1, or the signal
explodes or fades with depth; backward the same holds with the number of outputs.

- Xavier (Glorot & Bengio 2010): v = 2/(n_in + n_out), between the 1/n_in that forward wants and
  the 1/n_out that backward wants; for tanh and sigmoid near 0, where they are straight lines.
- He (Kaiming He et al. 2015): v = 2/n_in; a ReLU passes half of the mean square, the 2 mends it.
- A normal cut off at 2 standard deviations (trunc_normal_) has no outliers; BERT begins so.

Weights are (in, out), so n_in is the first axis and n_out the last (PyTorch's are the other way
round). For an embedding (V, D) use `normal_`: each row is read alone, and V is no sum.

The numbers come from the random stream "init". `gain` multiplies the standard deviation. (G16)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_llm.backend.devices import put
from tinygrad_llm.backend.random import stream
from tinygrad_llm.backend.storage import NoStorage
from tinygrad_llm.tensor import Tensor

_GAINS = {
    "linear": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3.0,
    "relu": math.sqrt(2.0),
    "gelu": 1.5335,
    "silu": 1.6765,
}
"""By name; those of GELU and SiLU are 1/√E[act(z)²] for a standard normal z, as √2 is for ReLU."""


def calculate_gain(nonlinearity: str) -> float:
    """The factor on the standard deviation that makes up for what an activation shrinks.

    √2 for ReLU, 1.53 for GELU and 1.68 for SiLU keep the mean square of a standard normal; 5/3 for
    tanh, by custom; 1 for the others.
    Raises ValueError for an unknown name.
    """
    if nonlinearity not in _GAINS:
        raise ValueError(f"calculate_gain: {nonlinearity!r} is not one of {', '.join(_GAINS)}")
    return _GAINS[nonlinearity]


def constant_(tensor: Tensor, value: float) -> Tensor:
    """All elements `value`."""
    return values_(tensor, np.asarray(value))


def values_(tensor: Tensor, values: np.ndarray) -> Tensor:
    """These values, of the same shape, or one number; without storage there is nothing to fill.

    Raises ValueError for another shape.
    """
    if values.shape not in (tensor.shape, ()):
        raise ValueError(f"values_: {values.shape} are no values for {tensor.shape}")
    if isinstance(tensor.data, NoStorage):
        return tensor
    tensor.data[...] = put(values.astype(tensor.dtype), tensor.device)
    tensor.touched()
    return tensor


def zeros_(tensor: Tensor) -> Tensor:
    """All 0: for biases. Weights of 0 make all units of a layer the same, for ever."""
    return constant_(tensor, 0.0)


def zero_row_(tensor: Tensor, row: int) -> Tensor:
    """One row 0: that of the padding in an embedding."""
    if not isinstance(tensor.data, NoStorage):
        tensor.data[row] = 0.0
        tensor.touched()
    return tensor


def ones_(tensor: Tensor) -> Tensor:
    """All 1: for the gains of a layer norm."""
    return constant_(tensor, 1.0)


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Uniform in [a, b); variance (b − a)²/12."""
    if not a <= b:
        raise ValueError(f"uniform_: the bounds {a} and {b} are the wrong way round")
    return _draw(tensor, lambda generator: generator.uniform(a, b, tensor.shape))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Normal with this mean and standard deviation."""
    if not std >= 0.0:
        raise ValueError(f"normal_: std must be at least 0, not {std}")
    return _draw(tensor, lambda generator: generator.normal(mean, std, tensor.shape))


def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0
) -> Tensor:
    """Normal, drawn again wherever it falls outside [a, b] (bounds of the values, as in PyTorch).

    Cut at two standard deviations, the result has 0.88 of `std`.
    Raises ValueError for bounds that less than one draw in a thousand would meet.
    """
    share = _normal_below((b - mean) / std) - _normal_below((a - mean) / std) if std > 0 else 0.0
    if share < 1e-3:
        raise ValueError(f"trunc_normal_: mean {mean}, std {std} hardly ever lies in [{a}, {b}]")

    def within(generator: np.random.Generator) -> np.ndarray:
        values = np.asarray(generator.normal(mean, std, tensor.shape))
        while (outside := (values < a) | (values > b)).any():
            values[outside] = generator.normal(mean, std, int(outside.sum()))
        return values

    return _draw(tensor, within)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Uniform with Xavier's variance, gain²·2/(n_in + n_out) (Glorot & Bengio 2010)."""
    return _uniform_of(tensor, _xavier_std(tensor, gain))


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Normal with Xavier's variance, gain²·2/(n_in + n_out) (Glorot & Bengio 2010)."""
    return normal_(tensor, 0.0, _xavier_std(tensor, gain))


def kaiming_uniform_(tensor: Tensor, nonlinearity: str = "relu") -> Tensor:
    """Uniform with He's variance, gain²/n_in: 2/n_in for ReLU (He et al. 2015)."""
    return _uniform_of(tensor, _kaiming_std(tensor, nonlinearity))


def kaiming_normal_(tensor: Tensor, nonlinearity: str = "relu") -> Tensor:
    """Normal with He's variance, gain²/n_in: 2/n_in for ReLU (He et al. 2015)."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, nonlinearity))


def _xavier_std(tensor: Tensor, gain: float) -> float:
    n_in, n_out = _fans("xavier", tensor)
    return gain * math.sqrt(2.0 / (n_in + n_out))


def _kaiming_std(tensor: Tensor, nonlinearity: str) -> float:
    return calculate_gain(nonlinearity) / math.sqrt(_fans("kaiming", tensor)[0])


def _fans(name: str, tensor: Tensor) -> tuple[int, int]:
    if tensor.ndim != 2 or not tensor.size:
        raise ValueError(f"{name}: needs a weight (in, out) of some size, not {tensor.shape}")
    return tensor.shape[0], tensor.shape[1]


def _uniform_of(tensor: Tensor, std: float) -> Tensor:
    bound = math.sqrt(3.0) * std  # the variance of U(−b, b) is b²/3
    return uniform_(tensor, -bound, bound)


def _normal_below(x: float) -> float:
    return 0.5 * (1.0 + math.erf(x / math.sqrt(2.0)))


def _draw(tensor: Tensor, values: Callable[[np.random.Generator], Any]) -> Tensor:
    if tensor.dtype.kind != "f":
        raise TypeError(f"init: random numbers do not fit into {tensor.dtype}; use a float dtype")
    if isinstance(tensor.data, NoStorage):
        return tensor
    return values_(tensor, np.asarray(values(stream("init").next().generator())))

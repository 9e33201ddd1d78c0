"""Floor 3: `Tensor`, an array that remembers how it was computed, and `apply`, which runs an op."""

from tinygrad_llm.tensor.convert import DEFAULT_DTYPE, as_array
from tinygrad_llm.tensor.core import Tensor, cotangent, lift
from tinygrad_llm.tensor.operators import register
from tinygrad_llm.tensor.run import apply

__all__ = ["DEFAULT_DTYPE", "Tensor", "apply", "as_array", "cotangent", "lift", "register"]

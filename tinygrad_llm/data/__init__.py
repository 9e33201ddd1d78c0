"""Floor 6: data to learn from, and how it is split and cut into mini-batches, as NumPy arrays."""

from tinygrad_llm.data.batches import minibatches
from tinygrad_llm.data.digits import load_digits
from tinygrad_llm.data.splits import stratified_split

__all__ = ["load_digits", "minibatches", "stratified_split"]

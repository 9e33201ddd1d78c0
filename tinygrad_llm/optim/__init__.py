"""Floor 6: optimizers, which move parameters against their gradients."""

from tinygrad_llm.optim.adam import Adam
from tinygrad_llm.optim.base import Optimizer
from tinygrad_llm.optim.sgd import SGD

__all__ = ["SGD", "Adam", "Optimizer"]

"""Floor 6: optimizers, which move parameters against their gradients."""

from tinygrad_llm.optim.adam import Adam, AdamW
from tinygrad_llm.optim.base import Optimizer
from tinygrad_llm.optim.clipping import clip_grad_norm_, clip_grad_value_
from tinygrad_llm.optim.groups import decay_groups
from tinygrad_llm.optim.lamb import LAMB
from tinygrad_llm.optim.rmsprop import RMSprop
from tinygrad_llm.optim.scaling import GradScaler
from tinygrad_llm.optim.schedules import (
    Schedule,
    constant,
    constant_factor,
    cosine,
    cosine_factor,
    linear,
    linear_factor,
)
from tinygrad_llm.optim.sgd import SGD

__all__ = [
    "LAMB",
    "SGD",
    "Adam",
    "AdamW",
    "GradScaler",
    "Optimizer",
    "RMSprop",
    "Schedule",
    "clip_grad_norm_",
    "clip_grad_value_",
    "constant",
    "constant_factor",
    "cosine",
    "cosine_factor",
    "decay_groups",
    "linear",
    "linear_factor",
]

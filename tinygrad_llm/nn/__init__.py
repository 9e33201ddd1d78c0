"""Floor 6: modules, layers, initialization, and weights in files."""

from tinygrad_llm.nn import init
from tinygrad_llm.nn.activations import (
    GELU,
    Identity,
    LogSoftmax,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from tinygrad_llm.nn.containers import ModuleList, Sequential
from tinygrad_llm.nn.layers import Dropout, Embedding, Flatten, Linear
from tinygrad_llm.nn.module import Module, Parameter
from tinygrad_llm.nn.precision import in_dtype
from tinygrad_llm.nn.weights import load_weights, save_weights

__all__ = [
    "GELU",
    "Dropout",
    "Embedding",
    "Flatten",
    "Identity",
    "Linear",
    "LogSoftmax",
    "Module",
    "ModuleList",
    "Parameter",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
    "in_dtype",
    "init",
    "load_weights",
    "save_weights",
]

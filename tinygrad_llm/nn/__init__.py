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
from tinygrad_llm.nn.attention import MultiHeadAttention
from tinygrad_llm.nn.cache import KeyValueCache, LayerCache
from tinygrad_llm.nn.containers import ModuleList, Sequential
from tinygrad_llm.nn.evaluation import evaluating
from tinygrad_llm.nn.layers import Dropout, Embedding, Flatten, Linear
from tinygrad_llm.nn.module import Module, Parameter
from tinygrad_llm.nn.normalization import LayerNorm, RMSNorm
from tinygrad_llm.nn.positions import LearnedPositions, Rotary, SinusoidalPositions, sinusoidal
from tinygrad_llm.nn.precision import in_dtype
from tinygrad_llm.nn.storage import no_storage
from tinygrad_llm.nn.transformer import (
    FeedForward,
    Residual,
    TransformerDecoder,
    TransformerEncoder,
    TransformerLayer,
)
from tinygrad_llm.nn.weights import load_weights, save_weights

__all__ = [
    "GELU",
    "Dropout",
    "Embedding",
    "FeedForward",
    "Flatten",
    "Identity",
    "KeyValueCache",
    "LayerCache",
    "LayerNorm",
    "LearnedPositions",
    "Linear",
    "LogSoftmax",
    "Module",
    "ModuleList",
    "MultiHeadAttention",
    "Parameter",
    "RMSNorm",
    "ReLU",
    "Residual",
    "Rotary",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SinusoidalPositions",
    "Softmax",
    "Softplus",
    "Tanh",
    "TransformerDecoder",
    "TransformerEncoder",
    "TransformerLayer",
    "evaluating",
    "in_dtype",
    "init",
    "load_weights",
    "no_storage",
    "save_weights",
    "sinusoidal",
]

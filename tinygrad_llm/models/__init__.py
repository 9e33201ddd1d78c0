"""Floor 7: whole models."""

from tinygrad_llm.models.gpt2 import GPT2Config, GPT2LMHeadModel
from tinygrad_llm.models.mlp import MLP
from tinygrad_llm.models.outputs import LanguageModelOutput
from tinygrad_llm.models.transformer import Transformer, TransformerConfig

__all__ = [
    "MLP",
    "GPT2Config",
    "GPT2LMHeadModel",
    "LanguageModelOutput",
    "Transformer",
    "TransformerConfig",
]

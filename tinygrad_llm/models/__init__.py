"""Floor 7: whole models."""

from tinygrad_llm.models.mlp import MLP

__all__ = ["MLP"]

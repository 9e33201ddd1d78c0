"""Small models with drawn weights, and what is asked of all of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.engine.common import drawn
from tinygrad_llm import manual_seed, models, nn

WORDS = 13


def livelier(model: nn.Module) -> Any:
    """The model in float64, its weights large enough that every part of it tells in the output."""
    model.astype("float64").eval()
    for i, p in enumerate(model.parameters()):
        p.data[...] = p.data + 0.3 * drawn(*p.shape, seed=i)
    return model


def gpt2(**options: Any) -> models.GPT2LMHeadModel:
    manual_seed(0)
    sizes = {"vocab_size": WORDS, "n_positions": 24, "n_embd": 8, "n_layer": 2, "n_head": 4}
    return livelier(models.GPT2LMHeadModel(models.GPT2Config(**{**sizes, **options})))


def bert(kind: str = "BertForPreTraining", **options: Any) -> Any:
    manual_seed(0)
    sizes = {"vocab_size": WORDS, "hidden_size": 8, "num_hidden_layers": 2, "intermediate_size": 12}
    sizes |= {"num_attention_heads": 2, "max_position_embeddings": 12}
    return livelier(getattr(models, kind)(models.BertConfig(**{**sizes, **options})))


def translator(**options: Any) -> models.Transformer:
    manual_seed(0)
    sizes = {"vocab_size": WORDS, "d_model": 8, "nhead": 2, "encoder_layers": 2}
    sizes |= {"decoder_layers": 2, **options}
    return livelier(models.Transformer(models.TransformerConfig(**sizes)))


def ids(*shape: int, seed: int = 0, least: int = 2) -> np.ndarray:
    """Drawn ids, none of them padding (0) or the start (1)."""
    return np.random.default_rng([seed, *shape]).integers(least, WORDS, shape)


def close(ours: Any, theirs: Any, tolerance: float = 1e-10) -> None:
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=tolerance, atol=tolerance)


def count(module: nn.Module) -> int:
    return sum(p.size for p in module.parameters())

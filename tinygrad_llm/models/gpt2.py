"""GPT-2: a decoder that foretells the next token (Radford et al. 2019)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_llm import functional as F
from tinygrad_llm import nn
from tinygrad_llm.models.outputs import LanguageModelOutput
from tinygrad_llm.nn.transformer import TransformerDecoder
from tinygrad_llm.tensor import Tensor

IGNORED = -100
"""The label of a place that does not count."""


@dataclass(frozen=True)
class GPT2Config:
    """Sizes and choices, under Hugging Face's names; GPT-2's own (124 million) where not said.

    vocab_size V; n_positions: the longest text; n_embd D; n_layer; n_head H; n_inner: 4·D if None;
    resid_pdrop, embd_pdrop, attn_pdrop: dropout of sublayers, embeddings and attention weights.
    """

    vocab_size: int = 50257
    n_positions: int = 1024
    n_embd: int = 768
    n_layer: int = 12
    n_head: int = 12
    n_inner: int | None = None
    activation_function: str = "gelu_tanh"
    resid_pdrop: float = 0.1
    embd_pdrop: float = 0.1
    attn_pdrop: float = 0.1
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02

"""Folders of tiny models, with their tokenizers, for the tests of the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinygrad_llm import manual_seed, models, tokenizers

TEXT = "the rain fell on the hills, the hills fed the river, it isn't dry; 雨落在山上。🙂"

TOKENIZERS = {
    "characters": lambda: tokenizers.CharTokenizer.train([TEXT]),
    "bytes": lambda: tokenizers.ByteBPETokenizer.train([TEXT], vocab_size=262),
    "pieces": lambda: tokenizers.WordPieceTokenizer.train([TEXT], vocab_size=80),
}


def save_gpt(folder: Path, kind: str = "bytes", **changes: Any) -> str:
    """A GPT-2 with drawn weights, which reads 64 tokens; its folder as a command line has it.

    Its weights are large, so that what it writes is varied, though it makes no sense.
    """
    tokenizer = TOKENIZERS[kind]()
    manual_seed(1)
    sizes = {"n_positions": 64, "n_embd": 16, "n_layer": 1, "n_head": 2, "initializer_range": 0.4}
    sizes["vocab_size"] = len(tokenizer)
    model = models.GPT2LMHeadModel(models.GPT2Config(**{**sizes, **changes}))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def save_bert(folder: Path) -> str:
    """A BERT, which does not go on with texts."""
    sizes = {"vocab_size": 40, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    models.BertForMaskedLM(models.BertConfig(**sizes, intermediate_size=16)).save_pretrained(folder)
    return str(folder)

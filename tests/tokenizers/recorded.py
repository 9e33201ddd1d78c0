"""The recorded tokenizers of Hugging Face, built from our classes."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from tinygrad_llm import tokenizers
from tinygrad_llm.tokenizers import AddedToken, Template, Tokenizer

FIXTURES = Path(__file__).parents[1] / "fixtures"


def read(name: str) -> dict[str, Any]:
    """A file of recordings."""
    return json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf8"))


RECORDED = read("tokenizer_pipeline")
BPE = read("tokenizer_bpe")
WORDPIECE = read("tokenizer_wordpiece")
KINDS: dict[str, dict] = RECORDED["kinds"]


@cache
def build(name: str) -> Tokenizer:
    """Ours of a recorded kind."""
    kind = KINDS[name]
    arguments = dict(kind["arguments"])
    tokens = [*BPE["model"]["vocab"], *kind["more"]]
    if kind["class"] == "WordPieceTokenizer":
        tokens = WORDPIECE["vocab"]
    else:
        arguments["merges"] = [tuple(pair) for pair in BPE["model"]["merges"]]
    if kind["template"]:
        arguments["template"] = Template(*kind["template"])
    return getattr(tokenizers, kind["class"])(
        {token: id for id, token in enumerate(tokens)},
        added_tokens=[AddedToken(**token) for token in kind["added"]],
        special_tokens=kind["roles"],
        model_input_names=kind["inputs"],
        model_max_length=kind.get("model_max_length"),
        **arguments,
    )

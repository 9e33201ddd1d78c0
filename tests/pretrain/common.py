"""What the tests of pretraining share: little text, small runs, and how two of them compare."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path
from typing import Any

from tinygrad_llm import pretrain, tokenizers
from tinygrad_llm.data import corpora
from tinygrad_llm.pretrain import Document, PretrainOptions, sentences
from tinygrad_llm.tokenizers.wordpiece import SPECIAL_TOKENS

TEXTS = corpora.paragraphs()[:24]

FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
"""Of a folder, those that two equal runs have byte by byte."""


def documents(texts: Any = TEXTS) -> list[Document]:
    return [Document(str(i), tuple(sentences(text))) for i, text in enumerate(texts)]


def parts(texts: Any = TEXTS) -> tuple[list[Document], list[Document]]:
    return pretrain.split_documents(documents(texts), 0.2)


def characters(texts: Any = TEXTS, **options: Any) -> Any:
    """A tokenizer that a GPT can have."""
    special = ("[PAD]", "[UNK]", "<|endoftext|>")
    return tokenizers.CharTokenizer.train(texts, **{"special_tokens": special, **options})


def wordpiece(texts: Any = TEXTS) -> Any:
    """A tokenizer that a BERT can have."""
    return tokenizers.WordPieceTokenizer.train(texts, 1500, special_tokens=SPECIAL_TOKENS)


def write_data(folder: Path) -> Path:
    path = folder / "data.txt"
    path.write_text("\n\n".join(TEXTS), encoding="utf-8")
    return path


def options(folder: Path, name: str = "out", **changes: Any) -> PretrainOptions:
    """A run of a second."""
    data = folder / "data.txt"
    usual = {"model": "gpt", "data": data if data.exists() else write_data(folder)}
    usual |= {
        "out": folder / name,
        "steps": 8,
        "batch_size": 4,
        "block_size": 16,
        "vocab_size": 300,
    }
    usual |= {"save_steps": 3, "eval_steps": 4, "valid_share": 0.2}
    if changes.get("model") == "bert":
        usual |= {"tokenizer": "characters", "vocab_size": None}
    return PretrainOptions(**{**usual, **changes})


def run(folder: Path, name: str = "out", **changes: Any) -> pretrain.Pretrained:
    return pretrain.pretrain(options(folder, name, **changes), quiet=True)


def digest(folder: Path) -> str:
    """Of all that a run has made and that does not tell the time."""
    found = hashlib.sha256()
    for name in FILES:
        found.update((folder / name).read_bytes())
    for name in ("train.csv", "eval.csv"):
        with open(folder / name, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                row.pop("seconds", None)
                found.update(repr(sorted(row.items())).encode())
    return found.hexdigest()

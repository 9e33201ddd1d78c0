"""Folders of tiny models, with their tokenizers, for the tests of the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tinygrad_llm import manual_seed, models, tokenizers
from tinygrad_llm.tokenizers.wordpiece import SPECIAL_TOKENS

TEXT = "the rain fell on the hills, the hills fed the river, it isn't dry; 雨落在山上。🙂"

TOKENIZERS = {
    "characters": lambda: tokenizers.CharTokenizer.train([TEXT]),
    "bytes": lambda: tokenizers.ByteBPETokenizer.train([TEXT], vocab_size=262),
    "pieces": lambda: tokenizers.WordPieceTokenizer.train([TEXT], vocab_size=80),
}

ROWS = [
    f"{text} the {place} {number}\t{label}"
    for number in range(12)
    for place in ("hill", "river")
    for text, label in (("rain fell on", "wet"), ("it isn't dry on", "wet"), ("dry is", "dry"))
]
"""Texts with labels, 72 different ones; after "rain" and "isn't" it is wet."""


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


def rows_file(path: Path, rows: list[str] = ROWS) -> str:
    """A file with these rows."""
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return str(path)


def save_tuning_start(folder: Path, **changes: Any) -> str:
    """A pretrained BERT with its tokenizer, which reads 32 tokens; it learns `ROWS` in a moment."""
    tokenizer = _bert_tokenizer()
    manual_seed(1)
    models.BertForPreTraining(_bert_config(tokenizer, **changes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def save_classifier(folder: Path, pairs: bool = False, **changes: Any) -> str:
    """A classifier with drawn weights, large ones, so that it says something else of each text."""
    tokenizer = _bert_tokenizer()
    manual_seed(5)
    usual = {"num_labels": 3, "id2label": {0: "dry", 1: "wet", 2: "大雨"}}
    config = _bert_config(tokenizer, **{**usual, "initializer_range": 0.5, **changes})
    models.BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    said = {"max_length": 24, "base": "tiny", "pairs": pairs}
    (folder / "finetune.json").write_text(json.dumps(said))
    return str(folder)


def save_numbers(folder: Path) -> str:
    """The same for a model that gives a number."""
    return save_classifier(folder, num_labels=1, id2label=None, problem_type="regression")


def _bert_tokenizer() -> tokenizers.WordPieceTokenizer:
    return tokenizers.WordPieceTokenizer.train(
        [*(row.partition("\t")[0] for row in ROWS), "大雨"],
        200,
        special_tokens=SPECIAL_TOKENS,
        template=tokenizers.Template.around("[CLS]", "[SEP]"),
        model_input_names=("input_ids", "token_type_ids", "attention_mask"),
    )


def _bert_config(tokenizer: Any, **changes: Any) -> models.BertConfig:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 32, "max_position_embeddings": 32, "initializer_range": 0.1}
    return models.BertConfig(**{"vocab_size": len(tokenizer), **sizes, **changes})

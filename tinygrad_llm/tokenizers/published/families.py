"""The published classes of tokenizers, and what each means where its files leave it unsaid."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import NamedTuple

from tinygrad_llm.tokenizers.roles import conventional_roles

_TEXT_KEYS = ("input_ids", "attention_mask")
_PAIR_KEYS = ("input_ids", "token_type_ids", "attention_mask")


class Family(NamedTuple):
    """Classes that share a kind of tokenizer and the roles of special tokens.

    roles: role -> token, of those that the vocabulary has.
    input_names: the keys that a call answers.
    pattern, normalization: of a BPE that is read from vocab.json and merges.txt.
    around: whether special tokens stand around a text.
    """

    kind: str
    roles: Mapping[str, str]
    input_names: tuple[str, ...] = _TEXT_KEYS
    pattern: str = "gpt2"
    normalization: str | None = None
    around: bool = False


_BERT_ROLES = {
    "unk_token": "[UNK]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}

_ROBERTA_ROLES = {
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "cls_token": "<s>",
    "sep_token": "</s>",
    "mask_token": "<mask>",
    "bos_token": "<s>",
    "eos_token": "</s>",
}

_END = "<|endoftext|>"

BERT = Family("wordpiece", _BERT_ROLES, _PAIR_KEYS, around=True)
DISTILBERT = Family("wordpiece", _BERT_ROLES, around=True)
ROBERTA = Family("bpe", _ROBERTA_ROLES, around=True)
GPT2 = Family("bpe", {"unk_token": _END, "bos_token": _END, "eos_token": _END})
QWEN2 = Family(
    "bpe",
    {"unk_token": _END, "pad_token": _END, "eos_token": _END},
    pattern="qwen2",
    normalization="NFC",
)

FAMILIES: dict[str, Family] = {
    "BertTokenizer": BERT,
    "ElectraTokenizer": BERT,
    "MobileBertTokenizer": BERT,
    "DistilBertTokenizer": DISTILBERT,
    "RobertaTokenizer": ROBERTA,
    "BartTokenizer": ROBERTA,
    "LongformerTokenizer": ROBERTA,
    "GPT2Tokenizer": GPT2,
    "Qwen2Tokenizer": QWEN2,
}
"""By the class that tokenizer_config.json names, without "Fast" at its end."""

CLASS_OF_MODEL = {name.removesuffix("Tokenizer").lower(): name for name in FAMILIES}
"""By the model_type of config.json."""


def usual_family(kind: str, vocab: Container[str]) -> Family:
    """What a vocabulary looks like for which no class is named."""
    if kind == "wordpiece":
        return BERT
    if kind == "bpe" and all(token in vocab for token in _ROBERTA_ROLES.values()):
        return ROBERTA
    if kind == "bpe" and _END in vocab:
        return GPT2
    return Family(kind, conventional_roles(vocab))

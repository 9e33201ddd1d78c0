"""What each side of the benchmark of tokenizers does: train on texts, or encode them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

Merges = Sequence[tuple[str, str]]

TOKENS = {"bpe": 5_256, "wordpiece": 8_000}
"""Sizes of vocabularies: of BPE 256 bytes and 5,000 merges."""

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

BATCH = 64
"""Texts of one call, where a side takes lists."""


class Encoder(NamedTuple):
    """encode: what is timed; ids: of one text without special tokens, which all sides agree on."""

    encode: Callable[[list[str]], None]
    ids: Callable[[str], list[int]]


def train_ours(model: str, texts: list[str]) -> Any:
    """The merges of BPE, or the vocabulary of WordPiece."""
    from tinygrad_llm import tokenizers

    if model == "bpe":
        return tokenizers.train_bpe(texts, TOKENS[model])[1]
    return tokenizers.train_wordpiece(texts, TOKENS[model])


def train_theirs(model: str, texts: list[str]) -> Any:
    from tokenizers import pre_tokenizers, trainers

    tokenizer = _theirs(model, {"[UNK]": 0}, [])
    settings = {"vocab_size": TOKENS[model], "min_frequency": 2, "show_progress": False}
    if model == "bpe":
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(initial_alphabet=alphabet, **settings)
    else:
        trainer = trainers.WordPieceTrainer(special_tokens=SPECIAL, **settings)
    tokenizer.train_from_iterator(texts, trainer)
    learnt = json.loads(tokenizer.to_str())["model"]
    return learnt["merges"] if model == "bpe" else learnt["vocab"]


def cores(model: str, vocab: dict[str, int], merges: Merges) -> Encoder:
    """Ids and spans of one text, from BPE and WordPiece alone."""
    from tinygrad_llm import tokenizers

    core = tokenizers.BPE(vocab, merges) if model == "bpe" else tokenizers.WordPiece(vocab)
    return Encoder(_one_by_one(core.encode), lambda text: core.encode(text).ids)


def classes(model: str, vocab: dict[str, int], merges: Merges) -> Encoder:
    """A call of the tokenizer, text by text."""
    tokenizer = _ours(model, vocab, merges)
    return Encoder(_one_by_one(tokenizer), _ids(tokenizer))


def lists(model: str, vocab: dict[str, int], merges: Merges) -> Encoder:
    """A call of the tokenizer for many texts."""
    tokenizer = _ours(model, vocab, merges)

    def encode(texts: list[str]) -> None:
        for first in range(0, len(texts), BATCH):
            tokenizer(texts[first : first + BATCH])

    return Encoder(encode, _ids(tokenizer))


def theirs(model: str, vocab: dict[str, int], merges: Merges) -> Encoder:
    tokenizer = _theirs(model, vocab, merges)
    return Encoder(
        _one_by_one(lambda text: tokenizer.encode(text).ids),
        lambda text: tokenizer.encode(text, add_special_tokens=False).ids,
    )


def _ours(model: str, vocab: dict[str, int], merges: Merges) -> Any:
    from tinygrad_llm import tokenizers

    if model == "bpe":
        return tokenizers.ByteBPETokenizer(vocab, merges)
    return tokenizers.WordPieceTokenizer(vocab)


def _theirs(model: str, vocab: dict[str, int], merges: Merges) -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    if model == "bpe":
        tokenizer = Tokenizer(models.BPE(vocab, list(map(tuple, merges))))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        return tokenizer
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [(token, vocab.get(token, 0)) for token in ("[SEP]", "[CLS]")]
    tokenizer.post_processor = processors.BertProcessing(*ends)
    return tokenizer


def _one_by_one(encode: Callable[[str], Any]) -> Callable[[list[str]], None]:
    def encode_all(texts: list[str]) -> None:
        for text in texts:
            encode(text)

    return encode_all


def _ids(tokenizer: Any) -> Callable[[str], list[int]]:
    return lambda text: tokenizer.encode(text, add_special_tokens=False)


TRAINERS = {"ours": train_ours, "tokenizers": train_theirs}

ENCODERS = {
    "ours core": cores,
    "ours": classes,
    "ours lists": lists,
    "tokenizers": theirs,
}
"""First word: whose it is."""

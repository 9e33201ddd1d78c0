"""Writes a tokenizer into a folder, in the files that Hugging Face's libraries read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tinygrad_llm.files import write_json, write_text
from tinygrad_llm.tokenizers.added import AddedToken
from tinygrad_llm.tokenizers.patterns import PATTERNS
from tinygrad_llm.tokenizers.published.components import EVERY_CHARACTER
from tinygrad_llm.tokenizers.published.pieces import check_gaps
from tinygrad_llm.tokenizers.published.read import MERGES, TOKENIZER, VOCAB_JSON, VOCAB_TXT
from tinygrad_llm.tokenizers.published.settings import CONFIG
from tinygrad_llm.tokenizers.roles import ROLES
from tinygrad_llm.tokenizers.template import Template
from tinygrad_llm.tokenizers.wordpiece import PREFIX, UNKNOWN, fits_a_line, save_vocab

_NO_LIMIT = 10**30
"""What says in model_max_length that there is no limit."""

Json = dict[str, Any]


def save_folder(tokenizer: Any, folder: str | os.PathLike[str]) -> None:
    """Write tokenizer.json, tokenizer_config.json and the vocabulary: vocab.txt for WordPiece,
    where each token fits on a line, vocab.json and merges.txt for BPE.

    The folder is made where it is missing. Each file is replaced completely or not at all.

    tokenizer: a CharTokenizer, ByteBPETokenizer or WordPieceTokenizer.
    Raises ValueError where the published form has no way to say what the tokenizer does or an id
    is left out, NotADirectoryError where `folder` is a file.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; give the name of a folder")
    vocab = _by_id(tokenizer.vocab)
    check_gaps(folder, vocab)
    content = _tokenizer_file(tokenizer)
    folder.mkdir(parents=True, exist_ok=True)
    if tokenizer.kind == "wordpiece":
        _save_lines(folder / VOCAB_TXT, vocab)
    elif tokenizer.kind == "bpe":
        write_text(folder / VOCAB_JSON, json.dumps(vocab, ensure_ascii=False) + "\n")
        write_text(folder / MERGES, _merges_file(tokenizer.merges))
    write_json(folder / CONFIG, _config_file(tokenizer))
    write_json(folder / TOKENIZER, content)


def _save_lines(path: Path, vocab: dict[str, int]) -> None:
    """Write vocab.txt, or take away the one that is there where it would not be this one."""
    if all(map(fits_a_line, vocab)):
        save_vocab(path, vocab)
    else:
        path.unlink(missing_ok=True)


def _merges_file(merges: Iterable[tuple[str, str]]) -> str:
    return "".join(f"{line}\n" for line in ("#version: 0.2", *map(" ".join, merges)))


def _tokenizer_file(tokenizer: Any) -> Json:
    """What tokenizer.json holds."""
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": token.id, **_flags(token)} for token in tokenizer.added_tokens],
        **_PARTS[tokenizer.kind](tokenizer),
    }


def _flags(token: AddedToken) -> Json:
    return {
        "content": token.content,
        "single_word": token.single_word,
        "lstrip": token.lstrip,
        "rstrip": token.rstrip,
        "normalized": token.normalized,
        "special": token.special,
    }


def _bpe_parts(tokenizer: Any) -> Json:
    return {
        "normalizer": {"type": "NFC"} if tokenizer.normalization == "NFC" else None,
        "pre_tokenizer": _cut(tokenizer),
        "post_processor": _post_processor(tokenizer, tokenizer.trim_offsets),
        "decoder": _byte_level(True),
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": tokenizer.ignore_merges,
            "vocab": _by_id(tokenizer.base_vocab),
            "merges": [list(merge) for merge in tokenizer.merges],
        },
    }


def _cut(tokenizer: Any) -> Json:
    """BPE's pre-tokenizer: ByteLevel knows GPT-2's pattern, a Split before it all others."""
    if tokenizer.pattern == "gpt2":
        return _byte_level(tokenizer.add_prefix_space)
    if tokenizer.add_prefix_space:
        raise ValueError(
            f"tokenizer.json cannot hold add_prefix_space=True with the pattern "
            f"{tokenizer.pattern!r}; save one with the pattern 'gpt2' or without the space"
        )
    pattern = PATTERNS.get(tokenizer.pattern, tokenizer.pattern)
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated"}
    parts = [{**split, "invert": False}, {**_byte_level(False), "use_regex": False}]
    return {"type": "Sequence", "pretokenizers": parts}


def _byte_level(add_prefix_space: bool, trim_offsets: bool = True) -> Json:
    return {
        "type": "ByteLevel",
        "add_prefix_space": add_prefix_space,
        "trim_offsets": trim_offsets,
        "use_regex": True,
    }


def _wordpiece_parts(tokenizer: Any) -> Json:
    return {
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": tokenizer.tokenize_chinese_chars,
            "strip_accents": tokenizer.strip_accents,
            "lowercase": tokenizer.lowercase,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": _post_processor(tokenizer, False),
        "decoder": {"type": "WordPiece", "prefix": PREFIX, "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": UNKNOWN,
            "continuing_subword_prefix": PREFIX,
            "max_input_chars_per_word": tokenizer.max_chars,
            "vocab": _by_id(tokenizer.base_vocab),
        },
    }


def _char_parts(tokenizer: Any) -> Json:
    return {
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Split",
            "pattern": {"Regex": EVERY_CHARACTER},
            "behavior": "Isolated",
            "invert": False,
        },
        "post_processor": _post_processor(tokenizer, False),
        "decoder": {"type": "Fuse"},
        "model": {
            "type": "WordLevel",
            "vocab": _by_id(tokenizer.base_vocab),
            # The field must be there; no token is empty, so this one is never found.
            "unk_token": tokenizer.unk_token or "",
        },
    }


_PARTS = {"bpe": _bpe_parts, "wordpiece": _wordpiece_parts, "char": _char_parts}


def _by_id(vocab: dict[str, int]) -> dict[str, int]:
    return dict(sorted(vocab.items(), key=lambda item: item[1]))


def _post_processor(tokenizer: Any, trim_offsets: bool) -> Json | None:
    """The template, and whether spans leave out spaces."""
    parts = []
    if trim_offsets:
        parts.append(_byte_level(tokenizer.add_prefix_space))
    if tokenizer.template != Template.plain():
        parts.append(_template(tokenizer))
    if len(parts) == 2:
        return {"type": "Sequence", "processors": parts}
    return parts[0] if parts else None


def _template(tokenizer: Any) -> Json:
    names = tokenizer.template.special_tokens()
    return {
        "type": "TemplateProcessing",
        "single": [_entry(*entry) for entry in tokenizer.template.single],
        "pair": [_entry(*entry) for entry in tokenizer.template.pair],
        "special_tokens": {
            name: {"id": name, "ids": [tokenizer.vocab[name]], "tokens": [name]} for name in names
        },
    }


def _entry(token: str, type_id: int) -> Json:
    if token in ("$A", "$B"):
        return {"Sequence": {"id": token[1], "type_id": type_id}}
    return {"SpecialToken": {"id": token, "type_id": type_id}}


def _config_file(tokenizer: Any) -> Json:
    """What tokenizer_config.json holds."""
    config: Json = {
        "added_tokens_decoder": {str(token.id): _flags(token) for token in tokenizer.added_tokens},
        # Wordings such as "do n't" stay as they were: decoding is exact without a clean-up.
        "clean_up_tokenization_spaces": False,
        "model_input_names": list(tokenizer.model_input_names),
        "model_max_length": tokenizer.model_max_length or _NO_LIMIT,
        "padding_side": tokenizer.padding_side,
        # The class that takes every rule from tokenizer.json.
        "tokenizer_class": "PreTrainedTokenizerFast",
        "truncation_side": tokenizer.truncation_side,
        **{role: getattr(tokenizer, role) for role in ROLES},
    }
    if tokenizer.kind == "wordpiece":
        config["do_lower_case"] = tokenizer.lowercase
        config["strip_accents"] = tokenizer.strip_accents
        config["tokenize_chinese_chars"] = tokenizer.tokenize_chinese_chars
    return dict(sorted(config.items()))

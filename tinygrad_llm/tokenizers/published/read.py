"""Reads the folder of a tokenizer: tokenizer.json, or the vocabulary files of older folders."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinygrad_llm.tokenizers.added import AddedToken
from tinygrad_llm.tokenizers.published import components, pieces
from tinygrad_llm.tokenizers.published.families import FAMILIES, Family
from tinygrad_llm.tokenizers.published.fields import Fields, read_object
from tinygrad_llm.tokenizers.published.settings import CONFIG, Settings, added_token
from tinygrad_llm.tokenizers.template import Template
from tinygrad_llm.tokenizers.wordpiece import PREFIX, UNKNOWN, load_vocab

TOKENIZER = "tokenizer.json"
VOCAB_TXT = "vocab.txt"
VOCAB_JSON = "vocab.json"
MERGES = "merges.txt"

_SENTENCEPIECE = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model")

_MODELS = "BPE of bytes, WordPiece and WordLevel of characters"

_BERT_KEYS = {
    "lowercase": "do_lower_case",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "tokenize_chinese_chars",
}
"""Arguments of WordPiece, and how tokenizer_config.json calls them."""

_TYPED = ((0, "$A"), (1, "$B"))
"""The texts of a pair and their types."""

ANY_CLASS = "PreTrainedTokenizer"
"""The class, without "Fast", that takes every rule from tokenizer.json; ours are saved as of it."""

Arguments = dict[str, Any]


def read_folder(folder: str | os.PathLike[str]) -> tuple[str, Arguments]:
    """The kind of tokenizer that a folder holds, and the keyword arguments of its class.

    tokenizer.json is read where there is one, without the truncation and the padding that it may
    carry; else vocab.txt; else vocab.json and merges.txt. tokenizer_config.json adds the roles of
    special tokens, lengths and sides, special_tokens_map.json and added_tokens.json what older
    folders have there. As in transformers, rules that the configuration of a BERT, RoBERTa or GPT-2
    states, such as do_lower_case, count for more than those of tokenizer.json.

    Returns:
        "char", "bpe" or "wordpiece", and what CharTokenizer, ByteBPETokenizer or WordPieceTokenizer
        is built from.

    Raises:
        FileNotFoundError: there is no such folder, or no file in it that we can read.
        ValueError: a file is broken, contradicts itself or another, or has a component that we do
            not have; one line that names the file, the place and the mend.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(_no_folder(folder))
    settings = Settings(folder)
    if (folder / TOKENIZER).is_file():
        return _read_tokenizer(read_object(folder / TOKENIZER), settings)
    if (folder / VOCAB_TXT).is_file():
        return _read_wordpiece(folder / VOCAB_TXT, settings)
    if (folder / VOCAB_JSON).is_file() and (folder / MERGES).is_file():
        return _read_bpe(folder / VOCAB_JSON, folder / MERGES, settings)
    for name in _SENTENCEPIECE:
        if (folder / name).is_file():
            raise ValueError(
                f"{folder / name} is of SentencePiece, which is not supported; "
                f"supported: {TOKENIZER} with {_MODELS}"
            )
    raise FileNotFoundError(_nothing_in(folder))


def _no_folder(folder: Path) -> str:
    """What is wrong with its name."""
    if folder.exists():
        return f"the folder {folder} is a file; give the folder that it is in"
    return (
        f"the folder {folder} does not exist; nothing is downloaded here: give a folder that has "
        f"{TOKENIZER} or {VOCAB_TXT} in it"
    )


def _nothing_in(folder: Path) -> str:
    """What is missing."""
    for there, missing in ((VOCAB_JSON, MERGES), (MERGES, VOCAB_JSON)):
        if (folder / there).is_file():
            return f"{folder} has {there} but no {missing}; put both there"
    return f"{folder} has no {TOKENIZER}, no {VOCAB_TXT}, and no {VOCAB_JSON} with {MERGES}"


def _read_tokenizer(file: Fields, settings: Settings) -> tuple[str, Arguments]:
    file.one_of("version", ("1.0",), "1.0")
    model = file.part("model")
    if model is None:
        raise file.error("model", "is missing; download or save the file again")
    kind, read = _reader(model)
    rules = read(file, model, settings)
    vocab = pieces.vocab_of(model, "vocab")
    listed = [added_token(part, part.require("id", int)) for part in file.parts("added_tokens")]
    pieces.check_owners(file.path, vocab, listed)
    common = settings.common(vocab, listed, settings.family(kind, vocab))
    whole = _whole(file.path, vocab, common["added_tokens"])
    template, trim = components.surroundings(file, whole)
    if kind == "bpe":
        pieces.check_pieces(file.path, vocab)
        pieces.check_joins(file.path, vocab, rules["merges"])
        rules["trim_offsets"] = trim
    elif kind == "char" and model.values.get("unk_token") in vocab:
        common["special_tokens"]["unk_token"] = model.values["unk_token"]
    return kind, {"vocab": vocab, **rules, "template": template, **common}


def _whole(path: Path, vocab: dict[str, int], added: list[AddedToken]) -> dict[str, int]:
    """The vocabulary with added tokens, after a check of all ids. Some may be left out: a model has
    rows for them, and no text is made of them."""
    pieces.check_owners(path, vocab, added)
    return vocab | {token.content: token.id for token in added}


def _reader(model: Fields) -> tuple[str, Callable[[Fields, Fields, Settings], Arguments]]:
    """The kind of tokenizer that the model is of, and what reads its rules."""
    name = model.get("type", str) or _guess(model)
    if name not in _READERS:
        hint = " (SentencePiece)" if name == "Unigram" else ""
        raise model.error(
            "type", f"is {name!r}{hint}, which is not supported; supported: {_MODELS}"
        )
    return _READERS[name]


def _guess(model: Fields) -> str:
    """The type of a model that does not say it, as in the oldest files."""
    if "merges" in model:
        return "BPE"
    if "continuing_subword_prefix" in model:
        return "WordPiece"
    return "Unigram" if isinstance(model.values.get("vocab"), list) else "WordLevel"


def _bpe_model(file: Fields, model: Fields, settings: Settings) -> Arguments:
    model.one_of("byte_fallback", (False, None), False)
    model.one_of("dropout", (None, 0, 0.0))
    for affix in ("continuing_subword_prefix", "end_of_word_suffix"):
        model.one_of(affix, (None, ""))
    components.decoder(file, "ByteLevel", "BPE")
    return {
        "merges": pieces.merges_of(model),
        "normalization": components.composition(file),
        "ignore_merges": model.get("ignore_merges", bool, False),
        **_space_before(settings, components.byte_level(file)),
    }


def _wordpiece_model(file: Fields, model: Fields, settings: Settings) -> Arguments:
    model.one_of("unk_token", (UNKNOWN,))
    model.one_of("continuing_subword_prefix", (PREFIX,))
    longest = model.get("max_input_chars_per_word", int, 100)
    if longest < 1:
        raise model.error("max_input_chars_per_word", f"is {longest}; give 1 or more")
    components.only(file, "pre_tokenizer", "pretokenizers", "BertPreTokenizer", "WordPiece")
    decoder = components.decoder(file, "WordPiece", "WordPiece")
    if decoder:
        decoder.one_of("prefix", (PREFIX,))
        decoder.one_of("cleanup", (True,), True)
    if UNKNOWN not in model.require("vocab", dict):
        raise model.error("vocab", f"has no {UNKNOWN}, which stands for unknown words; add it")
    rules = components.bert_normalizer(file)
    return {"max_chars": longest, **rules, **_bert_rules(settings)}


def _word_level_model(file: Fields, model: Fields, settings: Settings) -> Arguments:
    components.expect_no_normalizer(file)
    components.expect_characters(file)
    components.decoder(file, "Fuse", "WordLevel")
    model.require("unk_token", str)
    return {}


_READERS = {
    "BPE": ("bpe", _bpe_model),
    "WordPiece": ("wordpiece", _wordpiece_model),
    "WordLevel": ("char", _word_level_model),
}


def _bert_rules(settings: Settings) -> Arguments:
    """The rules that tokenizer_config.json states for WordPiece, where they count."""
    if not settings.states_rules:
        return {}
    stated = {name: settings.config.get(key, bool) for name, key in _BERT_KEYS.items()}
    return {name: value for name, value in stated.items() if value is not None}


def _space_before(settings: Settings, rules: Arguments) -> Arguments:
    """The pre-tokenizer's rules, with add_prefix_space as tokenizer_config.json states it."""
    stated = settings.config.get("add_prefix_space", bool) if settings.states_rules else None
    if stated is None:
        return rules
    if stated and rules["pattern"] != "gpt2":
        raise settings.config.error(
            "add_prefix_space", "is true; supported with a Split in tokenizer.json: false"
        )
    return {**rules, "add_prefix_space": stated}


def _read_wordpiece(path: Path, settings: Settings) -> tuple[str, Arguments]:
    """vocab.txt, with BERT's rules where the configuration does not change them."""
    vocab = load_vocab(path)
    common = settings.common(vocab, [], _needed_family("wordpiece", path, vocab, settings))
    _whole(path, vocab, common["added_tokens"])
    roles = common["special_tokens"]
    template = Template.plain()
    if "cls_token" in roles and "sep_token" in roles:
        template = Template.around(roles["cls_token"], roles["sep_token"])
    return "wordpiece", {"vocab": vocab, **_bert_rules(settings), "template": template, **common}


def _read_bpe(path: Path, merges_path: Path, settings: Settings) -> tuple[str, Arguments]:
    """vocab.json and merges.txt, with the rules of the class that the configuration names."""
    vocab = pieces.read_vocab_json(path)
    pieces.check_pieces(path, vocab)
    merges = pieces.read_merges(merges_path, vocab)
    family = _needed_family("bpe", path, vocab, settings)
    common = settings.common(vocab, [], family)
    _whole(path, vocab, common["added_tokens"])
    rules = _space_before(settings, {"pattern": family.pattern, "add_prefix_space": False})
    return "bpe", {
        "vocab": vocab,
        "merges": merges,
        "normalization": family.normalization,
        "trim_offsets": family.around and settings.config.get("trim_offsets", bool, True),
        **rules,
        "template": _bpe_template(family, common["special_tokens"], settings),
        **common,
    }


def _bpe_template(family: Family, roles: dict[str, str], settings: Settings) -> Template:
    """RoBERTa's, or what add_bos_token and add_eos_token ask for."""
    if family.around and "cls_token" in roles and "sep_token" in roles:
        return components.roberta(roles["cls_token"], roles["sep_token"])
    begin, end = (
        [roles[role]] if settings.config.get(f"add_{role}", bool, False) and role in roles else []
        for role in ("bos_token", "eos_token")
    )
    first, second = ([f"{t}:{type}" for t in (*begin, text, *end)] for type, text in _TYPED)
    return Template(first, [*first, *second])


def _needed_family(kind: str, path: Path, vocab: dict[str, int], settings: Settings) -> Family:
    """The family whose rules a vocabulary without tokenizer.json follows."""
    family = settings.family(kind, vocab)
    if family is None and settings.class_name == ANY_CLASS:
        raise FileNotFoundError(
            f"{path.parent} has no {TOKENIZER}, without which its {CONFIG} and {path.name} do not "
            "say how a text becomes tokens; put it there, or save the tokenizer again"
        )
    if family is None:
        known = [name for name, other in FAMILIES.items() if other.kind == kind]
        raise ValueError(
            f"{path.parent / CONFIG}: tokenizer_class is {settings.class_name!r}, whose rules are "
            f"not known for {path.name} without {TOKENIZER}; supported: {', '.join(known)}"
        )
    return family

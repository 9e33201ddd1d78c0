"""The parts of a tokenizer.json: normalizer, pre-tokenizer, post-processor and decoder."""

from __future__ import annotations

import json
import reprlib
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from tinygrad_llm.tokenizers.patterns import PATTERNS, compile_pattern, known_name
from tinygrad_llm.tokenizers.published.fields import Fields
from tinygrad_llm.tokenizers.template import Template

EVERY_CHARACTER = r"[\s\S]"
"""A regular expression that cuts a text into its characters."""

_TYPES = 1 << 31
"""A type id that arrays of ids can hold is smaller."""

_WHOLE_TEXT = r"[\s\S]+"
"""The pattern of a ByteLevel that does not cut."""


def parts_of(file: Fields, key: str, inner: str) -> list[Fields]:
    """The components at a key, those of Sequences one after the other."""
    component = file.part(key)
    todo = deque([component] if component else [])
    found = []
    while todo:
        part = todo.popleft()
        if part.require("type", str) == "Sequence":
            todo.extendleft(reversed(part.parts(inner)))
        else:
            found.append(part)
    return found


def only(file: Fields, key: str, inner: str, kind: str, model: str) -> Fields:
    """The one component at a key, of the one kind that goes with the model."""
    parts = parts_of(file, key, inner)
    for part in parts:
        _expect(part, (kind,), model)
    if len(parts) != 1:
        raise file.error(key, f"has {len(parts)} components; supported with {model}: one {kind}")
    return parts[0]


def decoder(file: Fields, kind: str, model: str) -> Fields | None:
    """The decoder, of the one kind that goes with the model; None where none is written, which
    leaves it to the model."""
    if file.values.get("decoder") is None:
        return None
    return only(file, "decoder", "decoders", kind, model)


def _expect(part: Fields, kinds: Sequence[str], model: str) -> None:
    kind = part.require("type", str)
    if kind not in kinds:
        raise part.error(
            "type",
            f"is {kind!r}, which is not supported with {model}; supported: {' and '.join(kinds)}",
        )


def bert_normalizer(file: Fields) -> dict[str, Any]:
    """WordPiece's normalizer as arguments."""
    part = only(file, "normalizer", "normalizers", "BertNormalizer", "WordPiece")
    part.one_of("clean_text", (True,), True)
    return {
        "lowercase": part.get("lowercase", bool, True),
        "strip_accents": part.get("strip_accents", bool),
        "tokenize_chinese_chars": part.get("handle_chinese_chars", bool, True),
    }


def composition(file: Fields) -> str | None:
    """BPE's normalizer: "NFC" or None."""
    parts = parts_of(file, "normalizer", "normalizers")
    for part in parts:
        _expect(part, ("NFC",), "BPE")
    return "NFC" if parts else None


def expect_no_normalizer(file: Fields) -> None:
    """Characters are taken as they are."""
    for part in parts_of(file, "normalizer", "normalizers"):
        kind = part.require("type", str)
        raise part.error("type", f"is {kind!r}, which is not supported with WordLevel; take it out")


def expect_characters(file: Fields) -> None:
    """A pre-tokenizer that cuts between all characters."""
    part = only(file, "pre_tokenizer", "pretokenizers", "Split", "WordLevel")
    pattern = part.require("pattern", dict)
    if pattern not in ({"String": ""}, {"Regex": EVERY_CHARACTER}):
        raise part.error(
            "pattern",
            f"is {reprlib.repr(pattern)}; supported with WordLevel is every character alone: "
            + json.dumps({"Regex": EVERY_CHARACTER}),
        )
    part.one_of("behavior", ("Isolated",))


def byte_level(file: Fields) -> dict[str, Any]:
    """BPE's pre-tokenizer as arguments: a ByteLevel, or a Split with a ByteLevel after it."""
    parts = parts_of(file, "pre_tokenizer", "pretokenizers")
    for part in parts:
        _expect(part, ("Split", "ByteLevel"), "BPE")
    kinds = [part.values["type"] for part in parts]
    if kinds not in (["ByteLevel"], ["Split", "ByteLevel"]):
        raise file.error(
            "pre_tokenizer",
            f"is {kinds}; supported with BPE: ByteLevel, or one Split and then ByteLevel",
        )
    last = parts[-1]
    space = last.get("add_prefix_space", bool, True)
    if len(parts) == 2:
        last.one_of("use_regex", (False,), True)
        last.one_of("add_prefix_space", (False,), True)
        return {"pattern": _pattern(parts[0]), "add_prefix_space": False}
    cuts = last.get("use_regex", bool, True)
    return {"pattern": "gpt2" if cuts else _WHOLE_TEXT, "add_prefix_space": space}


def _pattern(part: Fields) -> str:
    """The name of a Split's regular expression, or the expression itself."""
    inside = part.part("pattern") or part
    pattern = inside.require("Regex", str)
    try:
        compile_pattern(pattern)
    except ValueError as error:
        raise inside.error("Regex", f"is not supported: {error}") from None
    # Of our own patterns we know that they match every character, so that nothing is removed.
    kept = part.values.get("behavior") == "Removed" and part.values.get("invert") is True
    if not (kept and pattern in PATTERNS.values()):
        part.one_of("behavior", ("Isolated",))
        part.one_of("invert", (False,), False)
    return known_name(pattern)


def surroundings(file: Fields, vocab: Mapping[str, int]) -> tuple[Template, bool]:
    """The post-processor: what is put around texts, and whether spans leave out spaces."""
    template, trim = None, False
    for part in parts_of(file, "post_processor", "processors"):
        kinds = ("ByteLevel", "BertProcessing", "RobertaProcessing", "TemplateProcessing")
        _expect(part, kinds, "any model")
        kind = part.values["type"]
        if kind in ("ByteLevel", "RobertaProcessing"):
            trim = trim or part.get("trim_offsets", bool, True)
        if kind == "ByteLevel":
            continue
        if template is not None:
            raise part.error("type", f"is {kind!r}, the second of its kind; supported: one")
        template = _template(part, kind, vocab)
    return template or Template.plain(), trim


def _template(part: Fields, kind: str, vocab: Mapping[str, int]) -> Template:
    if kind == "TemplateProcessing":
        return _written_template(part, vocab)
    first, last = (_token_with_id(part, key, vocab) for key in ("cls", "sep"))
    return Template.around(first, last) if kind == "BertProcessing" else roberta(first, last)


def roberta(first: str, last: str) -> Template:
    """RoBERTa's template: two `last` between the texts of a pair, and no types."""
    start, end = f"{first}:0", f"{last}:0"
    return Template((start, "$A", end), (start, "$A", end, end, "$B", end))


def _token_with_id(part: Fields, key: str, vocab: Mapping[str, int]) -> str:
    """The token of a pair [token, id]."""
    pair = part.require(key, list)
    if len(pair) != 2 or not isinstance(pair[0], str):
        raise part.error(key, f"is {reprlib.repr(pair)}; write [token, id]")
    return _in_vocab(part, key, pair[0], pair[1], vocab)


def _in_vocab(part: Fields, key: str, token: str, id: Any, vocab: Mapping[str, int]) -> str:
    if token not in vocab:
        raise part.error(key, f"names {token!r}, which the vocabulary lacks; add it")
    if type(id) is not int or vocab[token] != id:
        raise part.error(
            key, f"gives {token!r} the id {id!r}, but the vocabulary {vocab[token]}; keep one"
        )
    return token


def _written_template(part: Fields, vocab: Mapping[str, int]) -> Template:
    """A TemplateProcessing, where a name may stand for several tokens."""
    named = part.part("special_tokens")
    names = {key: _expansion(named, key, vocab) for key in named.values} if named else {}
    single, pair = (
        [entry for item in part.parts(key) for entry in _entries(item, names)]
        for key in ("single", "pair")
    )
    try:
        return Template(single, pair)
    except ValueError as error:
        raise part.error("single and pair", f"are not supported: {error}") from None


def _expansion(named: Fields, key: str, vocab: Mapping[str, int]) -> list[str]:
    fields = named.part(key)
    if fields is None:
        raise named.error(key, 'is null; write {"id": name, "ids": [...], "tokens": [...]}')
    tokens, ids = fields.require("tokens", list), fields.require("ids", list)
    if len(tokens) != len(ids):
        raise fields.error("tokens", f"are {len(tokens)}, but ids are {len(ids)}; give as many")
    for token, id in zip(tokens, ids):
        _in_vocab(fields, "tokens", fields.checked("tokens", token, str), id, vocab)
    return tokens


def _entries(item: Fields, names: Mapping[str, list[str]]) -> list[str]:
    """The entries of a `Template` for one entry of the file."""
    kind = "Sequence" if "Sequence" in item else "SpecialToken"
    inside = item.part(kind)
    if inside is None:
        raise item.error(kind, "is missing; an entry is a Sequence or a SpecialToken")
    name, type_id = inside.require("id", str), inside.get("type_id", int, 0)
    if not 0 <= type_id < _TYPES:
        raise inside.error("type_id", f"is {type_id}; give a whole number from 0 to {_TYPES - 1}")
    if kind == "Sequence":
        return [f"${inside.one_of('id', ('A', 'B'))}:{type_id}"]
    if name not in names:
        raise inside.error("id", f"is {name!r}, which special_tokens lacks; add it there")
    return [f"{token}:{type_id}" for token in names[name]]

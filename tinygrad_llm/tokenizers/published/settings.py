"""tokenizer_config.json and its older companions: roles of special tokens, sides, lengths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from tinygrad_llm.tokenizers.added import AddedToken
from tinygrad_llm.tokenizers.checks import shown
from tinygrad_llm.tokenizers.published.families import (
    CLASS_OF_MODEL,
    FAMILIES,
    Family,
    usual_family,
)
from tinygrad_llm.tokenizers.published.fields import Fields, read_object
from tinygrad_llm.tokenizers.published.pieces import vocab_of
from tinygrad_llm.tokenizers.roles import ROLES

CONFIG = "tokenizer_config.json"
_MODEL_FILE = "config.json"
_ROLES_FILE = "special_tokens_map.json"
_ADDED_FILE = "added_tokens.json"

_NO_LIMIT = 10**20
"""A model_max_length from here up says that there is none; what is written is 10**30."""

_MORE_SPECIAL = ("additional_special_tokens", "extra_special_tokens")


class Settings:
    """What a folder says of a tokenizer beside its vocabulary and its rules.

    As in transformers, special_tokens_map.json and added_tokens.json count only where
    tokenizer_config.json has no added_tokens_decoder.
    """

    def __init__(self, folder: Path):
        config = folder / CONFIG
        self.config = read_object(config) if config.is_file() else Fields({}, config)
        self._model = folder / _MODEL_FILE
        self._sources = [self.config]
        self._decoder = self.config.part("added_tokens_decoder")
        self._numbers: dict[str, int] = {}
        if self._decoder is None:
            if (folder / _ROLES_FILE).is_file():
                self._sources.insert(0, read_object(folder / _ROLES_FILE))
            if (folder / _ADDED_FILE).is_file():
                self._numbers = vocab_of(read_object(folder / _ADDED_FILE))

    @cached_property
    def class_name(self) -> str | None:
        """The tokenizer's class without "Fast" at its end: the one that is named, else the one that
        goes with the model beside it."""
        name = self.config.get("tokenizer_class", str)
        if name is None and self._model.is_file():
            model = read_object(self._model)
            kind = model.get("model_type", str, "")
            name = model.get("tokenizer_class", str) or CLASS_OF_MODEL.get(kind)
        return None if name is None else name.removesuffix("Fast")

    @property
    def states_rules(self) -> bool:
        """Whether rules in the configuration count: classes that we do not know, and those for any
        tokenizer, leave every rule to tokenizer.json."""
        return self.class_name is None or self.class_name in FAMILIES

    def family(self, kind: str, vocab: Mapping[str, int]) -> Family | None:
        """The family of the class; None where it is unknown or means nothing by itself."""
        if self.class_name is None:
            return usual_family(kind, vocab)
        family = FAMILIES.get(self.class_name)
        return family if family is not None and family.kind == kind else None

    def common(
        self, vocab: Mapping[str, int], added: list[AddedToken], family: Family | None
    ) -> dict[str, Any]:
        """The arguments that all kinds of tokenizers share, but for the template.

        added: the added tokens of tokenizer.json.
        """
        tokens = _Added(self.config.path, vocab, added)
        for token in self._numbered():
            tokens.put(token)
        roles = {}
        for role in ROLES:
            named = self._role(role)
            if named is None and role not in self:
                named = _usual(role, family, tokens)
            if named is not None:
                roles[role] = named.content
                tokens.name(named)
        for named in self._more_special():
            tokens.name(named)
        shared = {"added_tokens": tokens.in_order(), "special_tokens": roles}
        return shared | self._lengths() | self._input_names(family)

    def __contains__(self, key: str) -> bool:
        return any(key in source for source in self._sources)

    def _role(self, role: str) -> _Named | None:
        source = next((source for source in self._sources if role in source), None)
        if source is None or source.values[role] is None:
            return None
        return _named(source, role, source.values[role])

    def _more_special(self) -> Iterator[_Named]:
        """Special tokens without a role; a dict has names for them, which we do not need."""
        for source in self._sources:
            for key in _MORE_SPECIAL:
                values = source.values.get(key) or []
                if isinstance(values, dict):
                    values = list(values.values())
                for value in source.checked(key, values, list):
                    yield _named(source, key, value)

    def _numbered(self) -> Iterator[AddedToken]:
        """Added tokens whose id is given."""
        for key, value in self._decoder.values.items() if self._decoder else ():
            fields = self.config.item("added_tokens_decoder", key, value)
            if not (key.isascii() and key.isdigit() and len(key) < 10):
                raise self.config.error(
                    f"added_tokens_decoder[{key!r}]",
                    "has no id for its key; write a whole number from 0 up",
                )
            yield added_token(fields, int(key))
        special = {named.content for named in self._all_special()}
        for content, id in self._numbers.items():
            is_special = content in special
            yield AddedToken(content, id, is_special, normalized=not is_special)

    def _all_special(self) -> Iterator[_Named]:
        yield from filter(None, map(self._role, ROLES))
        yield from self._more_special()

    def _lengths(self) -> dict[str, Any]:
        return {
            "model_max_length": self._model_max_length(),
            "padding_side": self.config.one_of("padding_side", ("right", "left"), "right"),
            "truncation_side": self.config.one_of("truncation_side", ("right", "left"), "right"),
        }

    def _model_max_length(self) -> int | None:
        length = self.config.values.get("model_max_length")
        if isinstance(length, float) and length.is_integer():  # 1e30, as some tools write it
            length = int(length)
        if length is None or (type(length) is int and length >= _NO_LIMIT):
            return None
        if type(length) is not int or length < 1:
            raise self.config.error(
                "model_max_length", f"is {length!r}; give a whole number above 0, or null for none"
            )
        return length

    def _input_names(self, family: Family | None) -> dict[str, Any]:
        names = self.config.get("model_input_names", list)
        if names is not None:
            if not all(isinstance(name, str) for name in names):
                raise self.config.error("model_input_names", f"is {names!r}; give texts")
            return {"model_input_names": tuple(names)}
        return {"model_input_names": family.input_names} if family else {}


class _Named(NamedTuple):
    """A special token as a role names it, its id still open; flags where they are given."""

    content: str
    flags: dict[str, bool]


class _Added:
    """Added tokens as they come in: the first that says how a token is found counts."""

    def __init__(self, path: Path, vocab: Mapping[str, int], added: list[AddedToken]):
        self.path = path
        self.vocab = vocab
        self.tokens: dict[str, AddedToken] = {}
        self._next = max(vocab.values(), default=-1) + 1
        for token in added:
            self.put(token)

    def put(self, token: AddedToken) -> None:
        """Add it where there is none of this text yet; ValueError where that one's id differs."""
        known = self.tokens.setdefault(token.content, token)
        if known.id != token.id:
            raise ValueError(
                f"{self.path}: {shown(token.content)} has the ids {known.id} and "
                f"{token.id}; keep one"
            )
        self._next = max(self._next, token.id + 1)

    def name(self, named: _Named) -> None:
        """Make it special; give it the next id where it has none."""
        if named.content not in self.tokens:
            id = self.vocab.get(named.content, self._next)
            self.put(AddedToken(named.content, id, **named.flags))
        self.tokens[named.content] = self.tokens[named.content]._replace(special=True)

    def __contains__(self, content: str) -> bool:
        return content in self.vocab or content in self.tokens

    def in_order(self) -> list[AddedToken]:
        """All of them by their ids."""
        return sorted(self.tokens.values(), key=lambda token: token.id)


def added_token(fields: Fields, id: int) -> AddedToken:
    """An added token of a file, whose id stands beside it."""
    content = fields.require("content", str)
    if not content:
        raise fields.error("content", "is empty; give the token a text")
    special = fields.get("special", bool, False)
    flags = _flags(fields)
    return AddedToken(content, id, special, **{"normalized": not special, **flags})


def _flags(fields: Fields) -> dict[str, bool]:
    names = ("lstrip", "rstrip", "single_word", "normalized")
    return {name: fields.get(name, bool) for name in names if fields.get(name, bool) is not None}


def _named(source: Fields, key: str, value: Any) -> _Named:
    if isinstance(value, dict):
        fields = Fields(value, source.path, f"{source.trail}{key}.")
        flags = _flags(fields) | {"normalized": False}
        content = fields.require("content", str)
    else:
        content, flags = source.checked(key, value, str), {}
    if not content:
        raise source.error(key, "is an empty text; name a token, or write null")
    return _Named(content, flags)


def _usual(role: str, family: Family | None, tokens: _Added) -> _Named | None:
    """The token that has the role in the family, if the vocabulary has the token."""
    content = family.roles.get(role) if family else None
    if content is None or content not in tokens:
        return None
    # RoBERTa's mask stands for a word and the space before it; its tokenizer.json says so, too.
    return _Named(content, {"lstrip": True} if content == "<mask>" else {})

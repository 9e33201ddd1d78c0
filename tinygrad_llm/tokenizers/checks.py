"""What a tokenizer is built from and trained on, checked before anything is made of it."""

from __future__ import annotations

import operator
import re
import reprlib
from collections import Counter
from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

from tinygrad_llm.tokenizers.bytemap import to_utf8

_SHOWN = 60
"""Characters of a token that an error shows: one that is no token may be as long as its file."""


_SURROGATE = re.compile("[\ud800-\udfff]")


def shown(text: Any) -> str:
    """A token as an error shows it: repr, cut where it is long."""
    if isinstance(text, str) and len(text) > _SHOWN:
        return f"{text[:_SHOWN]!r}... ({len(text)} characters)"
    return reprlib.repr(text)


def read_utf8(path: Path) -> str:
    """The text of a file, without the mark that some editors put first; ValueError where it is not
    UTF-8, OSError where it cannot be read."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 at byte {error.start}; save it as UTF-8") from None


def is_integer(value: Any) -> bool:
    """Whether it is a whole number, of NumPy's types too; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_vocab(vocab: Any) -> None:
    """Raises TypeError where it is no mapping of str to int; ValueError where a token is empty or
    has a lone surrogate, an id is negative, or two tokens share one."""
    if not isinstance(vocab, Mapping):
        raise TypeError(f"vocab is of type {type(vocab).__name__}; give a dict of token to id")
    if not _is_plain(vocab):
        for token, id in vocab.items():
            check_token(token, id)
    if len(set(vocab.values())) < len(vocab):
        twice = next(id for id, times in Counter(vocab.values()).items() if times > 1)
        a, b, *_ = (shown(token) for token, id in vocab.items() if id == twice)
        raise ValueError(f"vocab gives {a} and {b} the same id, {twice}; give each its own")


def _is_plain(vocab: Mapping[Any, Any]) -> bool:
    """Whether no token and no id needs a look of its own, which takes long where there are many."""
    types = set(map(type, vocab)) <= {str} and set(map(type, vocab.values())) <= {int}
    return (
        types
        and "" not in vocab
        and min(vocab.values(), default=0) >= 0
        and not _SURROGATE.search("".join(vocab))
    )


def check_token(token: Any, id: Any) -> None:
    """Raises TypeError where the token is no str or the id no int; ValueError where the token is
    empty or has a lone surrogate, or the id is negative."""
    if not isinstance(token, str) or not is_integer(id):
        raise TypeError(f"vocab has {shown(token)}: {shown(id)}; tokens are str and ids are int")
    if not token:
        raise ValueError(f"the token with the id {id} is empty; give it a text")
    if id < 0:
        raise ValueError(f"{shown(token)} has the id {id}; give one from 0 up")
    to_utf8(token)


def check_training(texts: Any, vocab_size: Any, special_tokens: Any, min_frequency: Any) -> None:
    """Raises TypeError where texts or special_tokens is one string or holds something else, or a
    number is no integer; ValueError where min_frequency is below 1, or a special token is empty,
    there twice, or has a lone surrogate."""
    if isinstance(texts, (str, bytes)):
        raise TypeError("texts is one string; give a list of strings")
    for name, number in (("vocab_size", vocab_size), ("min_frequency", min_frequency)):
        if not is_integer(number):
            raise TypeError(f"{name} is {number!r}; give an integer")
    if min_frequency < 1:
        raise ValueError(f"min_frequency must be at least 1, not {min_frequency}")
    if isinstance(special_tokens, str):
        raise TypeError("special_tokens is one string; give a list of strings")
    if isinstance(special_tokens, Mapping):
        raise TypeError(
            "special_tokens is a dict; for training give a list of tokens, and roles afterwards, "
            "as tokenizer.pad_token = '[PAD]'"
        )
    if not isinstance(special_tokens, Sequence):
        raise TypeError(f"special_tokens is a {type(special_tokens).__name__}; give a list")
    for place, token in enumerate(special_tokens):
        if isinstance(token, str) and (not token or token in special_tokens[:place]):
            raise ValueError(f"special token {shown(token)} is empty or there twice; leave it out")
        check_token(token, place)


def check_length(name: str, length: Any) -> int | None:
    """A length; TypeError where it is no integer, ValueError where it is below 1."""
    if length is not None and not is_integer(length):
        raise TypeError(f"{name} is {length!r}; give an integer, or None for no limit")
    if length is not None and length < 1:
        raise ValueError(f"{name} is {length}; give 1 or more, or None for no limit")
    return None if length is None else int(length)


def check_side(name: str, side: Any) -> str:
    """ValueError where it is neither "left" nor "right"."""
    if side not in ("left", "right"):
        raise ValueError(f"{name} is {side!r}; give 'left' or 'right'")
    return side


def check_names(name: str, names: Any) -> tuple[str, ...]:
    """TypeError where it is no list of strings."""
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise TypeError(f"{name} is {names!r}; give a list of strings")
    if not all(isinstance(one, str) for one in names):
        raise TypeError(f"{name} is {names!r}; give a list of strings")
    return tuple(names)


def row_of(ids: Any) -> list[int]:
    """Python integers of one row. ValueError where there are several rows, TypeError where there
    is something else than integers."""
    if isinstance(ids, str):
        raise TypeError(f"ids is the text {shown(ids)}; give integers, as encode makes them")
    if hasattr(ids, "tolist"):
        ids = ids.tolist()
    if not isinstance(ids, int):
        try:
            ids = list(ids)
        except TypeError:
            raise TypeError(f"ids is a {type(ids).__name__}; give integers") from None
    row: list[Any] = [ids] if isinstance(ids, int) else ids
    if any(isinstance(id, (list, tuple)) for id in row):
        raise ValueError("decode takes one row of ids; use batch_decode for several")
    try:
        return [operator.index(id) for id in row]
    except TypeError:
        wrong = next(id for id in row if not hasattr(id, "__index__"))
        raise TypeError(f"an id is {shown(wrong)}; give integers") from None

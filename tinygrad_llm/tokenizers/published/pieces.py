"""Vocabularies and merges of the published files, checked before anything is built from them."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tinygrad_llm.tokenizers.added import AddedToken
from tinygrad_llm.tokenizers.bytemap import BYTE_TO_CHARACTER
from tinygrad_llm.tokenizers.checks import shown
from tinygrad_llm.tokenizers.published.fields import Fields, read_object, read_utf8

Merge = tuple[str, str]

_VERSION = "#version"
"""What the first line of merges.txt begins with."""

_WORD_END = "</w>"
"""Ends the last piece of a word in vocabularies that are not GPT-2's kind, such as CLIP's."""


def vocab_of(file: Fields, key: str = "") -> dict[str, int]:
    """The vocabulary at a key, or the whole file: tokens with an id each."""
    where = f"{file.path}: {file.trail}{key or 'the vocabulary'}"
    values = file.require(key, dict) if key else file.values
    owners: dict[int, str] = {}
    for token, id in values.items():
        if type(id) is not int or id < 0:
            raise ValueError(
                f"{where} gives {shown(token)} the id {reprlib.repr(id)}; "
                "give whole numbers from 0 up"
            )
        if not token:
            raise ValueError(f"{where} has an empty token, with the id {id}; take it out")
        if id in owners:
            raise ValueError(
                f"{where} gives {shown(owners[id])} and {shown(token)} the same id, {id}; "
                "give each token its own"
            )
        owners[id] = token
    return values


def check_owners(path: Path, vocab: Mapping[str, int], added: Iterable[AddedToken]) -> None:
    """ValueError where an added token has two ids, or an id that is another token's."""
    ids = dict(vocab)
    owners = {id: token for token, id in vocab.items()}
    for content, id, *_ in added:
        if ids.setdefault(content, id) != id:
            raise ValueError(
                f"{path}: {shown(content)} has the ids {ids[content]} and {id}; keep one"
            )
        if owners.setdefault(id, content) != content:
            raise ValueError(
                f"{path}: {shown(owners[id])} and {shown(content)} have the same id, {id}; "
                "give each token its own"
            )


def check_gaps(path: Path, vocab: Mapping[str, int]) -> None:
    """ValueError where ids are left out."""
    owners = {id: token for token, id in vocab.items()}
    missing = next((id for id in range(len(owners)) if id not in owners), None)
    if missing is not None:
        last = max(owners)
        raise ValueError(
            f"{path}: no token has the id {missing}, but {shown(owners[last])} has {last}; number "
            "the tokens 0, 1, 2, ... without gaps"
        )


def merges_of(model: Fields) -> list[Merge]:
    """The merges of a tokenizer.json: lists of two pieces or, in older files, "a b"."""
    return [_merge(model, i, merge) for i, merge in enumerate(model.require("merges", list))]


def _merge(model: Fields, place: int, merge: Any) -> Merge:
    pair = merge.split(" ") if isinstance(merge, str) else merge
    if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(p, str) for p in pair):
        raise model.error(
            f"merges[{place}]", f'is {reprlib.repr(merge)}; write ["a", "b"] or "a b"'
        )
    return pair[0], pair[1]


def check_bytes(path: Path, vocab: Mapping[str, int]) -> None:
    """ValueError where a byte has no piece, or the pieces are of another kind than GPT-2's."""
    if BYTE_TO_CHARACTER[0x21] + _WORD_END in vocab:
        raise ValueError(
            f"{path}: pieces end with {_WORD_END!r}; supported is byte-level BPE without it, "
            "as GPT-2's"
        )
    for byte, character in enumerate(BYTE_TO_CHARACTER):
        if character not in vocab:
            raise ValueError(
                f"{path}: the vocabulary lacks {character!r}, the piece of the byte {byte}; "
                "byte-level BPE needs all 256"
            )


def check_merges(
    path: Path, vocab: Mapping[str, int], merges: Iterable[Merge], place: str, first: int
) -> None:
    """ValueError where the vocabulary lacks a piece that a merge needs.

    place: what a merge's place in the file is called, its number, counted from `first`, as "{}".
    """
    for number, (left, right) in enumerate(merges, start=first):
        for piece in (left, right, left + right):
            if piece not in vocab:
                raise ValueError(
                    f"{path}: {place.format(number)}, the merge of {shown(left)} and "
                    f"{shown(right)}, needs {shown(piece)}, which the vocabulary lacks; "
                    "take both from one source"
                )


def read_vocab_json(path: Path) -> dict[str, int]:
    """The vocabulary that a vocab.json holds."""
    return vocab_of(read_object(path))


def read_merges(path: Path, vocab: Mapping[str, int]) -> list[Merge]:
    """The pairs of a merges.txt, one a line with a space between, after a line "#version"; the
    vocabulary has what they need."""
    lines = read_utf8(path).removesuffix("\n").split("\n")
    # Not every file has the line, and a merge may begin with "#" too.
    start = 1 if lines[0].startswith(_VERSION) else 0
    if lines == [""]:
        return []
    numbered = enumerate(lines[start:], start=start + 1)
    merges = [_pair(path, number, line) for number, line in numbered]
    check_merges(path, vocab, merges, "line {}", start + 1)
    return merges


def _pair(path: Path, number: int, line: str) -> Merge:
    pair = line.removesuffix("\r").split(" ")
    if len(pair) != 2 or not all(pair):
        raise ValueError(
            f"{path}: line {number} is {reprlib.repr(line)}; write two pieces with a space between"
        )
    return pair[0], pair[1]

"""Vocabularies and merges of the published files, checked before anything is built from them."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tinygrad_llm.tokenizers.added import AddedToken, check_added
from tinygrad_llm.tokenizers.bpe import check_bytes, check_merges
from tinygrad_llm.tokenizers.bytemap import BYTE_TO_CHARACTER
from tinygrad_llm.tokenizers.checks import check_vocab, read_utf8, shown
from tinygrad_llm.tokenizers.published.fields import Fields, read_object

Merge = tuple[str, str]

_VERSION = "#version"
"""What the first line of merges.txt begins with."""

_WORD_END = "</w>"
"""Ends the last piece of a word in vocabularies that are not GPT-2's kind, such as CLIP's."""


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """What a check of the tokenizers themselves finds wrong is an error of the file."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None


def vocab_of(file: Fields, key: str = "") -> dict[str, int]:
    """The vocabulary at a key, or the whole file: tokens with an id each."""
    values = file.require(key, dict) if key else file.values
    with naming(file.path):
        check_vocab(values)
    return values


def check_owners(path: Path, vocab: Mapping[str, int], added: Iterable[AddedToken]) -> None:
    """ValueError where an added token has two ids, or an id that is another token's."""
    with naming(path):
        check_added(added, dict(vocab))


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


def check_pieces(path: Path, vocab: Mapping[str, int]) -> None:
    """ValueError where a byte has no piece, or the pieces are of another kind than GPT-2's."""
    if BYTE_TO_CHARACTER[0x21] + _WORD_END in vocab:
        raise ValueError(
            f"{path}: pieces end with {_WORD_END!r}; supported is byte-level BPE without it, "
            "as GPT-2's"
        )
    with naming(path):
        check_bytes(vocab)


def check_joins(path: Path, vocab: Mapping[str, int], merges: Iterable[Merge]) -> None:
    """ValueError where the vocabulary lacks a piece that a merge needs."""
    with naming(path):
        check_merges(vocab, merges)


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
    check_joins(path, vocab, merges)
    return merges


def _pair(path: Path, number: int, line: str) -> Merge:
    pair = line.removesuffix("\r").split(" ")
    if len(pair) != 2 or not all(pair):
        raise ValueError(
            f"{path}: line {number} is {reprlib.repr(line)}; write two pieces with a space between"
        )
    return pair[0], pair[1]

"""How long a row of tokens becomes: truncation, windows with stride, padding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from tinygrad_llm.tokenizers.encoding import Encoding, outside

STRATEGIES = ("longest_first", "only_first", "only_second")


class Truncation(NamedTuple):
    """max_length: of the whole row; strategy: whose tokens go; stride: how many tokens one window
    shares with the next; side: at which tokens go."""

    max_length: int
    strategy: str = "longest_first"
    stride: int = 0
    side: str = "right"


class Padding(NamedTuple):
    """length: None for the longest row; multiple: of which the length is one, None for any;
    side: at which padding stands; id, token, type_id: what it is made of."""

    length: int | None
    multiple: int | None
    side: str
    id: int
    token: str
    type_id: int = 0


def truncate(
    texts: Sequence[Encoding], special: int, truncation: Truncation
) -> list[list[Encoding]]:
    """For each text its windows, the first of which is what stays; `special` tokens come on top.

    Raises ValueError where max_length has no room for the special tokens, where the text that is
    to give way cannot give enough, and where stride is not below the length of a window.
    """
    room = truncation.max_length - special
    if room < 0:
        raise ValueError(
            f"max_length {truncation.max_length} has no room for the {special} special tokens; "
            f"give {special} or more"
        )
    kept = _kept([len(text) for text in texts], room, truncation.strategy)
    return [
        windows(text, length, truncation.stride, truncation.side)
        for text, length in zip(texts, kept)
    ]


def _kept(lengths: list[int], room: int, strategy: str) -> list[int]:
    """How many tokens of each text stay."""
    excess = sum(lengths) - room
    if excess <= 0:
        return lengths
    if strategy == "longest_first":
        return _shared(lengths, room)
    which = STRATEGIES.index(strategy) - 1
    if which >= len(lengths):
        raise ValueError(f"truncation {strategy!r} needs a second text; give text_pair")
    if room and lengths[which] <= excess:
        raise ValueError(
            f"truncation {strategy!r}: {excess} tokens must go, and this text has only "
            f"{lengths[which]}; use 'longest_first' or a longer max_length"
        )
    return [max(n - excess, 0) if i == which else n * (room > 0) for i, n in enumerate(lengths)]


def _shared(lengths: list[int], room: int) -> list[int]:
    """The longer text gives way until both are equally long; then both do. Where what is left is
    odd, the second text has one more, unless the first was the longer one."""
    if len(lengths) == 1:
        return [room]
    shorter, longer = sorted(lengths)
    longer = max(shorter, room - shorter)
    if shorter + longer > room:
        shorter, longer = room // 2, room - room // 2
    return [longer, shorter] if lengths[0] > lengths[1] else [shorter, longer]


def windows(encoding: Encoding, length: int, stride: int, side: str) -> list[Encoding]:
    """Parts of at most `length` tokens that cover the whole, each sharing `stride` tokens with the
    next; from the start, or from the end where side is "left". One that is not too long is its
    only window; for length 0 the first is empty and the second is the whole."""
    n = len(encoding)
    if n <= length:
        return [encoding]
    if length == 0:
        return [Encoding(), encoding]
    if stride >= length:
        raise ValueError(
            f"stride {stride} must be below the {length} tokens that a window has for this text"
        )
    starts = range(0, n - stride, length - stride)
    if side == "right":
        return [encoding.part(start, start + length) for start in starts]
    return [encoding.part(max(n - start - length, 0), n - start) for start in starts]


def pad(rows: Sequence[Encoding], padding: Padding) -> list[Encoding]:
    """All rows, and their further windows, at one length; longer ones stay as they are."""
    length = common_length(map(len, rows), padding)
    return [_pad(row, length, padding) for row in rows]


def common_length(lengths: Iterable[int], padding: Padding) -> int:
    """How long rows of these lengths become."""
    length = padding.length
    if length is None:
        length = max(lengths, default=0)
    if padding.multiple:
        length = -(-length // padding.multiple) * padding.multiple
    return length


def fill(column: Sequence[Any], blank: Any, length: int, side: str) -> list[Any]:
    """The column at this length, with blanks at the side; longer ones stay as they are."""
    blanks = [blank] * (length - len(column))
    return [*blanks, *column] if side == "left" else [*column, *blanks]


def _pad(row: Encoding, length: int, padding: Padding) -> Encoding:
    padded = row
    if len(row) < length:
        blank = outside(padding.id, padding.token, padding.type_id, attention=0)
        columns = zip(row.columns(), blank.columns())
        padded = Encoding(*(fill(column, b, length, padding.side) for column, [b] in columns))
    padded.overflowing = [_pad(window, length, padding) for window in row.overflowing]
    return padded

"""Random numbers by counter: the same key and offset give the same bits, wherever and whenever.

A stream has a name and a seed, which make its Philox key (Salmon et al. 2011, "Parallel random
numbers: as easy as 1, 2, 3"; NumPy's 4x64 form), and counts its draws. Draw n reads the blocks
that begin at counter n * 2**64, so that it never meets another draw, however much it takes. What
must be able to repeat a draw (dropout's backward, a recomputed activation, a resumed run) keeps
the pair (key, draw) and no numbers.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from tinygrad_llm.backend.devices import Array, put


class Draw(NamedTuple):
    """One draw of one stream: enough to produce its numbers again."""

    key: int
    offset: int

    def bits(self) -> np.random.Philox:
        """NumPy's bit generator at the beginning of this draw."""
        return np.random.Philox(key=self.key, counter=self.offset << 64)

    def generator(self) -> np.random.Generator:
        """NumPy's generator of distributions (`normal`, `uniform`, `permutation`) on this draw."""
        return np.random.Generator(self.bits())

    def part(self, number: int) -> Draw:
        """An independent draw for one of 2**64 - 1 parts of this one, such as a batch of an epoch.

        Its counter begins 2**128 * (number + 1) further on, where no draw of the stream comes.
        A part has no parts. Raises ValueError for one, and for a number outside the range.
        """
        if self.offset >> 64 or not 0 <= number < 2**64 - 1:
            raise ValueError(
                f"Draw.part: no part {number} of offset {self.offset}; give a draw of a stream and "
                "a number from 0 to 2**64 - 2"
            )
        return Draw(self.key, self.offset + (operator.index(number) + 1 << 64))


class Stream:
    """A named sequence of draws; `position` is all of its state."""

    def __init__(self, name: str, seed: int = 0):
        self.name = name
        self.seed(seed)

    def seed(self, seed: int) -> None:
        """Begin again with another seed."""
        digest = blake2b(f"{seed}:{self.name}".encode(), digest_size=16).digest()
        self.key = int.from_bytes(digest, "little")
        self.position = 0

    def next(self) -> Draw:
        """The next draw."""
        self.position += 1
        return Draw(self.key, self.position - 1)


_streams: dict[str, Stream] = {}
_seed = 0


def stream(name: str) -> Stream:
    """The stream of this name, made at first use with the seed of the last `manual_seed` (or 0)."""
    if name not in _streams:
        _streams[name] = Stream(name, _seed)
    return _streams[name]


def manual_seed(seed: int) -> None:
    """Seed every stream, those not made yet included; two runs from here are bit-identical."""
    global _seed
    _seed = int(seed)
    for each in _streams.values():
        each.seed(_seed)


class State(NamedTuple):
    """All of the random state: the seed of `manual_seed`, and the key and position of each stream.

    Integers and strings, ready for a JSON file.
    """

    seed: int
    streams: dict[str, tuple[int, int]]


def state() -> State:
    """The state of every random stream, for `restore`: a run resumed with it goes on exactly."""
    return State(_seed, {name: (each.key, each.position) for name, each in _streams.items()})


def restore(past: State) -> None:
    """Set every stream to its past state; one that did not exist then begins at the past seed."""
    manual_seed(past.seed)
    for name, (key, position) in past.streams.items():
        each = stream(name)
        each.key, each.position = key, position


@contextmanager
def replay(past: State) -> Iterator[None]:
    """Within the block every stream gives what it gave from that state on; after it, every stream
    goes on from where it stood before."""
    present = state()
    restore(past)
    try:
        yield
    finally:
        restore(present)


def keep_mask(draw: Draw, shape: tuple[int, ...], p: float, device: str) -> Array:
    """Booleans of `shape` that are False with probability `p`, in steps of 1/65,536 (`drop_units`).

    One 16-bit word decides one element: a quarter of the random bits that float draws would use.
    """
    count = int(np.prod(shape, dtype=np.int64))
    words = draw.bits().random_raw(-(-count // 4)).view("<u2")[:count]
    return put((words >= drop_units(p)).reshape(shape), device)


def drop_units(p: float) -> int:
    """`p` in units of 1/65,536, the resolution of `keep_mask`."""
    return round(p * 65536)

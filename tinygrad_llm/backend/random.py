"""Random numbers by counter: the same key and offset give the same bits, wherever and whenever.

A stream has a name and a seed, which make its Philox key (Salmon et al. 2011, "Parallel random
numbers: as easy as 1, 2, 3"; NumPy's 4x64 form), and counts its draws. Draw n reads the blocks
that begin at counter n * 2**64, so that it never meets another draw, however much it takes. What
must be able to repeat a draw (dropout's backward, a recomputed activation, a resumed run) keeps
the pair (key, draw) and no numbers.
"""

from __future__ import annotations

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


def positions() -> dict[str, int]:
    """How many draws each stream has given: the state that `rewind` restores."""
    return {name: each.position for name, each in _streams.items()}


def rewind(state: dict[str, int]) -> None:
    """Set every stream back (or forward) to `positions()` of another moment; those that are not
    made yet (a resumed run has none) are made."""
    for name in {*_streams, *state}:
        stream(name).position = state.get(name, 0)


class Moment(NamedTuple):
    """Where all chance stands: the seed of `manual_seed`, and `positions()`."""

    seed: int
    positions: dict[str, int]


def moment() -> Moment:
    """This moment, for `replay`."""
    return Moment(_seed, positions())


@contextmanager
def replay(past: Moment) -> Iterator[None]:
    """Within the block every stream gives what it gave from that moment on; after it, every stream
    goes on from where it stood before."""
    present = moment()
    _stand_at(past)
    try:
        yield
    finally:
        _stand_at(present)


def _stand_at(moment: Moment) -> None:
    if moment.seed != _seed:
        manual_seed(moment.seed)
    rewind(moment.positions)


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

"""Counts host synchronizations: the places where the CPU waits for a result of the device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

synchronizations: Counter[str] = Counter()
"""All synchronizations of this process so far, by what caused them."""

_listening: list[Counter[str]] = [synchronizations]


def synchronize(cause: str) -> None:
    """Count one synchronization: `cause` is what the caller wrote (`"item"`, `"bool"` ...)."""
    for counter in _listening:
        counter[cause] += 1


@contextmanager
def count_synchronizations() -> Iterator[Counter[str]]:
    """Count the synchronizations inside the block: `.total()`, or by cause (`counter["item"]`).

    Counted are item(), tolist(), tobytes(), get(), asnumpy(), float(), int(), complex(), bool()
    (an `if` too), repr() and str(), boolean masks as indices, nonzero() and its relatives, unique()
    and bincount(), pickling, and synchronize() of streams and devices.
    """
    counter: Counter[str] = Counter()
    _listening.append(counter)
    try:
        yield counter
    finally:
        _listening[:] = [other for other in _listening if other is not counter]

"""Adding rows at places that repeat: what the gradient of an embedding does, without `add.at`."""

from __future__ import annotations

from typing import Any

from tinygrad_llm.backend.devices import Array


def add_rows(xp: Any, buffer: Array, ids: Array, rows: Array) -> None:
    """buffer[ids] += rows, once for every time that an id repeats: buffer (V, ...), ids (N,) in
    −V … V−1, rows (N, ...).

    In the order of their ids, rows of one id are neighbours. They are added in pairs until each id
    has one row left: log₂ of the most repeats is the number of rounds. Less is rounded away than by
    adding one row after another, and the result is the same every time.
    """
    ids = xp.arange(len(buffer))[ids]  # −1 is the last row
    order = ids.argsort(kind="stable")
    ids, rows = ids[order], rows.copy()
    rank = xp.arange(len(ids)) - xp.searchsorted(ids, ids)  # place among the rows of its id
    while rank.any():
        odd, even = xp.flatnonzero(rank % 2 == 1), xp.flatnonzero(rank % 2 == 0)
        rows[order[odd - 1]] += rows[order[odd]]
        ids, order, rank = ids[even], order[even], rank[even] // 2
    buffer[ids] += rows[order]

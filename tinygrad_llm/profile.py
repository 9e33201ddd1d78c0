"""profile(): which ops a block of code spent its time on, as a table to print, read and draw.

>>> from tinygrad_llm import profile
>>> with profile() as table:
...     loss = model(batch, labels=batch).loss
...     loss.backward()
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from tinygrad_llm import graph
from tinygrad_llm.backend.devices import device_of, is_array

PASSES = ("forward", "backward")


class Row(NamedTuple):
    """What the calls of one op took, forward or backward, all together.

    bytes: of the arrays that went in and came out; what backward reads of the forward pass counts.
    share: of the time of the whole block, 0 … 1.
    """

    op: str
    direction: str
    calls: int
    seconds: float
    bytes: int
    share: float


class Table:
    """The rows, the longest first, and `seconds`, the time of the whole block.

    What is left over, `outside`, went to Python, the optimizer, the data and printing. `str` gives
    the table as text; `plot.profile` draws it. A block that still runs has no rows.
    """

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.seconds = 0.0

    @property
    def outside(self) -> float:
        """Seconds that no op took."""
        return self.seconds - sum(row.seconds for row in self.rows)

    def __str__(self) -> str:
        share = self.outside / self.seconds if self.seconds else 0.0
        lines = [f"{'op':<28}{'':<9}{'calls':>7}{'ms':>10}{'share':>8}{'MB':>10}"]
        lines += [
            f"{row.op:<28}{row.direction:<9}{row.calls:>7}{1e3 * row.seconds:>10.2f}"
            f"{row.share:>8.1%}{row.bytes / 1e6:>10.1f}"
            for row in self.rows
        ]
        lines.append(f"{'outside of ops':<44}{1e3 * self.outside:>10.2f}{share:>8.1%}")
        lines.append(f"{'all':<44}{1e3 * self.seconds:>10.2f}")
        return "\n".join(lines)


@contextmanager
def profile(show: Callable[[str], Any] | None = print) -> Iterator[Table]:
    """Within the block every op is timed, forward and backward apart; after it the table is there.

    show: gets the table as text when the block ends; None for a quiet one.
    An op that runs others, as a backward under create_graph does, is charged for its own time
    alone. On a GPU every op is waited for, which takes time of its own. Another thread's ops are
    not seen.
    """
    table, watch = Table(), _Watch()
    begun = time.perf_counter()
    try:
        with graph.mode(profile=watch):
            yield table
    finally:
        table.seconds = time.perf_counter() - begun
        table.rows = watch.rows(table.seconds)
    if show is not None:
        show(str(table))


class _Watch:
    """What `graph.Mode.profile` asks for: adds up seconds, calls and bytes."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str], list] = {}
        self._inner = 0.0  # seconds of the ops that ran inside of the one that runs now

    def begin(self) -> tuple[float, float]:
        inner, self._inner = self._inner, 0.0
        return time.perf_counter(), inner

    def end(
        self, begun: tuple[float, float], op: str, direction: str, arrays: Iterable[Any]
    ) -> None:
        known = [x for x in arrays if is_array(x)]
        for x in known:
            if device_of(x) != "cpu":
                x.device.synchronize()
        start, outer = begun
        taken = time.perf_counter() - start
        sums = self._sums.setdefault((op, direction), [0, 0.0, 0])
        sums[0] += 1
        sums[1] += taken - self._inner
        sums[2] += sum(x.nbytes for x in known)
        self._inner = outer + taken

    def rows(self, whole: float) -> list[Row]:
        rows = [
            Row(op, direction, calls, seconds, nbytes, seconds / whole)
            for (op, direction), (calls, seconds, nbytes) in self._sums.items()
        ]
        return sorted(rows, key=lambda row: -row.seconds)

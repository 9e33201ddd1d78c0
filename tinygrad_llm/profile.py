"""profile(): which ops a block of code spent its time on, as a table to print, read and draw.

>>> from tinygrad_llm import profile
>>> with profile() as table:
...     loss = model(batch, labels=batch).loss
...     loss.backward()
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from contextlib import ContextDecorator
from typing import Any, NamedTuple

from tinygrad_llm import graph
from tinygrad_llm.backend.devices import device_of, is_array
from tinygrad_llm.ops import OPS

PASSES = ("forward", "backward")

WIDTH = 30
"""Of the column of names: with it a line has 74 letters."""


class Row(NamedTuple):
    """What the calls of one op took, forward or backward, all together.

    op: the name of its class in words, such as "layer_norm".
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
        lines = [f"{'op':<{WIDTH}}{'':<9}{'calls':>7}{'ms':>10}{'share':>8}{'MB':>10}"]
        lines += [
            f"{_clipped(row.op):<{WIDTH}}{row.direction:<9}{row.calls:>7}{1e3 * row.seconds:>10.2f}"
            f"{row.share:>8.1%}{row.bytes / 1e6:>10.1f}"
            for row in self.rows
        ]
        lines.append(f"{'outside of ops':<{WIDTH + 16}}{1e3 * self.outside:>10.2f}{share:>8.1%}")
        lines.append(f"{'all':<{WIDTH + 16}}{1e3 * self.seconds:>10.2f}")
        return "\n".join(lines)


def _clipped(name: str) -> str:
    """So short that a space is left behind it."""
    return name if len(name) < WIDTH else name[: WIDTH - 2] + "…"


class profile(ContextDecorator):
    """Within the block every op is timed, forward and backward apart; after it the table is there.

    show: gets the table as text when the block ends; None for a quiet one.
    An op that runs others, as a backward under create_graph does, is charged for its own time
    alone. On a GPU every op is waited for, which takes time of its own. Another thread's ops are
    not seen. A block within another has a table of its own, and its ops are in both. One object may
    have several blocks, one after another or nested, and be a decorator: each has a new table.
    """

    def __init__(self, show: Callable[[str], Any] | None = print):
        self._show = show
        self._blocks: list[_Block] = []

    def _recreate_cm(self) -> profile:
        return profile(self._show)  # each call of a decorated function has blocks of its own

    def __enter__(self) -> Table:
        watch = _Watch(graph.current_mode().profile)
        mode = graph.mode(profile=watch)
        self._blocks.append(_Block(Table(), watch, mode, time.perf_counter()))
        mode.__enter__()
        return self._blocks[-1].table

    def __exit__(self, *error: Any) -> None:
        table, watch, mode, begun = self._blocks.pop()
        mode.__exit__()
        table.seconds = time.perf_counter() - begun
        table.rows = watch.rows(table.seconds)
        if self._show is not None and error[0] is None:
            self._show(str(table))


class _Block(NamedTuple):
    """One that runs now."""

    table: Table
    watch: _Watch
    mode: graph.modes.mode
    begun: float


class _Watch:
    """What `graph.Mode.profile` asks for: adds up seconds, calls and bytes, and tells the watch of
    the block around it too."""

    def __init__(self, around: graph.modes.Watch | None) -> None:
        self._around = around
        self._sums: dict[tuple[str, str], list] = {}
        self._inner = 0.0  # seconds of the ops that ran inside of the one that runs now

    def begin(self) -> tuple[float, float, Any]:
        inner, self._inner = self._inner, 0.0
        around = None if self._around is None else self._around.begin()
        return time.perf_counter(), inner, around

    def end(
        self, begun: tuple[float, float, Any], op: str, direction: str, arrays: Iterable[Any]
    ) -> None:
        known = [x for x in arrays if is_array(x)]
        for x in known:
            if device_of(x) != "cpu":
                x.device.synchronize()
        start, outer, around = begun
        taken = time.perf_counter() - start
        sums = self._sums.setdefault((op, direction), [0, 0.0, 0])
        sums[0] += 1
        sums[1] += taken - self._inner
        sums[2] += sum(x.nbytes for x in known)
        self._inner = outer + taken
        if self._around is not None:
            self._around.end(around, op, direction, known)

    def rows(self, whole: float) -> list[Row]:
        rows = [
            Row(_in_words(op), direction, calls, seconds, nbytes, seconds / whole)
            for (op, direction), (calls, seconds, nbytes) in self._sums.items()
        ]
        return sorted(rows, key=lambda row: -row.seconds)


def _in_words(op: str) -> str:
    """The name of an op's class with underscores: "bce_with_logits" of BCEWithLogits."""
    name = OPS[op].__name__ if op in OPS else op
    return re.sub(_BETWEEN_WORDS, "_", name).lower()


_BETWEEN_WORDS = "(?<=[a-z])(?!LU)(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])(?!LU)"
"""Before a capital letter; LU ends ReLU, SiLU and the like, and begins no word."""

"""Where the time went: the ops of a profile as bars, the longest on top."""

from __future__ import annotations

from typing import Any

from tinygrad_llm.plot.fonts import advice, readable
from tinygrad_llm.plot.style import COLOURS, footnote, inches, look, percent

MOST_OPS = 20
"""More bars nobody reads; the others are added up."""


def profile(table: Any, title: str = "Time by op") -> Any:
    """A bar for each op, its forward and its backward beside each other, and one for the rest.

    table: what `tinygrad_llm.profile` gave. The number at a bar is the op's share of the time. Of
    more than 20 ops the shortest are one bar, "others"; "outside of ops" is the time that no op
    took.
    Returns the figure. Raises ValueError for a table without rows.
    """
    import matplotlib.pyplot as plt

    if not table.rows:
        why = "no op ran in its block" if table.seconds else "draw it after its block has ended"
        raise ValueError(f"profile: the table has no rows: {why}")
    bars = _bars(table)
    longest = max(map(sum, bars.values()))
    with look():
        size = max(5.0, 3.5 + inches(*bars)), 1.2 + 0.24 * len(bars)
        figure, axes = plt.subplots(figsize=size, layout="constrained")
        for place, parts in enumerate(bars.values()):
            left = 0.0
            for part, colour in zip(parts, (COLOURS[0], COLOURS[1], COLOURS[6])):
                axes.barh(place, 1e3 * part, left=1e3 * left, color=colour, height=0.7)
                left += part
            share = percent(left / table.seconds)
            axes.text(1e3 * (left + 0.01 * longest), place, share, va="center", fontsize=8)
        axes.set_yticks(range(len(bars)), list(bars))
        axes.invert_yaxis()
        axes.set(xlabel="milliseconds", xlim=(0, 1.18e3 * longest))
        axes.grid(axis="y", visible=False)
        for name, colour in zip(("forward", "backward"), COLOURS):
            axes.barh(0, 0, color=colour, label=name)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
        axes.set_title(readable(title))
        footnote(figure, advice(title))
    return figure


def _bars(table: Any) -> dict[str, tuple[float, ...]]:
    """Name → seconds forward, backward, and neither; the longest first, sums of many last."""
    spent: dict[str, list[float]] = {}
    for row in table.rows:
        spent.setdefault(row.op, [0.0, 0.0, 0.0])[row.direction == "backward"] += row.seconds
    order = sorted(spent, key=lambda op: -sum(spent[op]))
    bars: dict[str, tuple[float, ...]] = {op: tuple(spent[op]) for op in order[:MOST_OPS]}
    if order[MOST_OPS:]:
        others = zip(*(spent[op] for op in order[MOST_OPS:]))
        bars[f"{len(order) - MOST_OPS} others"] = tuple(map(sum, others))
    return {**bars, "outside of ops": (0.0, 0.0, table.outside)}

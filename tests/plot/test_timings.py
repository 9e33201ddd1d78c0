"""The bars of a profile."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.plot.drawn import draw, texts
from tinygrad_llm import plot
from tinygrad_llm.plot.timings import MOST_OPS

pytestmark = pytest.mark.usefixtures("plain")


def table(spent, outside=1.0):
    rows = [
        SimpleNamespace(op=op, direction=direction, seconds=seconds)
        for op, both in spent.items()
        for direction, seconds in zip(("forward", "backward"), both)
    ]
    whole = sum(row.seconds for row in rows) + outside
    return SimpleNamespace(rows=rows, seconds=whole, outside=outside)


def bars(figure):
    """Name → (left, width) of what is drawn in its row, in milliseconds."""
    axes = figure.axes[0]
    found = {}
    for place, label in enumerate(axes.get_yticklabels()):
        parts = [p for p in axes.patches if p.get_width() and round(p.get_y() + 0.35) == place]
        found[label.get_text()] = [(p.get_x(), p.get_width()) for p in parts]
    return found


def test_forward_and_backward_beside_each_other_and_the_longest_first():
    figure = draw(plot.profile(table({"add": (0.5, 0.25), "matmul": (2.0, 4.25)})))
    assert list(bars(figure)) == ["matmul", "add", "outside of ops"]
    assert bars(figure) == {
        "matmul": [(0.0, 2000.0), (2000.0, 4250.0)],
        "add": [(0.0, 500.0), (500.0, 250.0)],
        "outside of ops": [(0.0, 1000.0)],
    }
    assert texts(figure.axes[0]) == ["78.1 %", "9.4 %", "12.5 %"]
    top, bottom = figure.axes[0].get_ylim()
    assert top > bottom and figure.axes[0].get_xlim()[1] > 6250


def test_many_ops_are_one_bar_at_the_end():
    spent = {f"op {i}": (float(i), 0.5) for i in range(MOST_OPS + 3)}
    figure = draw(plot.profile(table(spent)))
    names = list(bars(figure))
    assert names[0] == f"op {MOST_OPS + 2}" and names[-2:] == ["3 others", "outside of ops"]
    assert bars(figure)["3 others"] == [(0.0, 3000.0), (3000.0, 1500.0)]


def test_a_table_without_rows():
    with pytest.raises(ValueError, match="no rows: no op ran in its block"):
        plot.profile(table({}))
    with pytest.raises(ValueError, match="no rows: draw it after its block has ended"):
        plot.profile(table({}, outside=0.0))

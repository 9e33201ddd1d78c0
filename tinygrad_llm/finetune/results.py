"""The measures as a reader gets them: tables for a terminal, and pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_llm import metrics, plot
from tinygrad_llm._text import clip, ljust, rjust
from tinygrad_llm.finetune.measures import (
    BAG,
    MODEL,
    OF_CLASSES,
    Figure,
    Result,
    differences,
    figures,
    measures_of,
)
from tinygrad_llm.plot.matrices import MOST_CLASSES

CURVES, CONFUSION, SCATTER = "curves.png", "confusion.png", "predictions.png"

INTERVAL = "95 % interval"

BARE = ("mae", "r")
"""Measures whose intervals have no room in a table of 80 columns."""

TITLE, NAME, LABEL = 24, 38, 24
"""Columns, at most: of a row's title, of a class in the report and in a picture."""

MEASURED = {
    "eval_loss": "validation loss",
    "eval_accuracy": "validation accuracy",
    "eval_macro_f1": "validation macro F1",
}
"""Metrics of an evaluation that get a curve, and its name."""


def table(result: Result, part: str = "test") -> str:
    """For a terminal of 80 columns: the measures of the model and of the baselines, and below how
    the model differs from the bag of words. part: what the rows are called."""
    heads = [(name, [name, INTERVAL]) for name in measures_of(result)]
    lines = [[_rows_said(part, len(result.labels)), *_cells(heads)]]
    for who, found in figures(result).items():
        cells = [(name, shown(name, figure)) for name, figure in found.items()]
        lines.append([clip(who, TITLE), *_cells(cells)])
    return "\n".join([*_aligned(lines), *compared(result)])


def compared(result: Result) -> list[str]:
    """Lines on how the model differs from the bag of words; none where that is missing."""
    found = differences(result)
    lines = ["", f"{MODEL} less {BAG}, on the same rows:"] if found else []
    for name, figure in found.items():
        said = f"  {ljust(name, 8)}  {_signed(name, figure.value)}"
        said += " points" if name in OF_CLASSES else ""
        if figure.interval is not None:
            said += f", {INTERVAL} " + " to ".join(_signed(name, end) for end in figure.interval)
            low, high = figure.interval
            said += ": not told apart" if low <= 0.0 <= high else ""
        lines += [said] if math.isfinite(figure.value) else []
    return lines


def report(result: Result) -> str:
    """For a terminal of 80 columns: precision, recall, F1 and rows of each class that the rows
    have, and how many classes they do not have; "" for numbers."""
    if not result.names:
        return ""
    present = np.unique(result.labels)
    text = metrics.classification_report(
        result.labels,
        result.predicted,
        labels=present,
        target_names=[clip(one_line(result.names[i]), NAME) for i in present],
    ).rstrip("\n")
    absent = len(result.names) - len(present)
    said = f"{absent:,} of {len(result.names):,} classes {'has' if absent == 1 else 'have'} no row"
    return text + (f"\n\n{said} here" if absent else "")


def draw(
    folder: Path,
    history: Sequence[Mapping[str, Any]],
    result: Result | None = None,
    part: str = "test",
) -> list[str]:
    """Write pictures into a folder, each whole or not at all, and name those that were written.

    history: the rows of a Trainer's log, for CURVES. result: for CONFUSION, of classes, or for
    SCATTER, of numbers. Beyond 40 classes CONFUSION has colours and numbers of classes alone.
    """
    drawn = {CURVES: _curves(history)}
    if result is not None:
        name, picture = (CONFUSION, _confusion) if result.names else (SCATTER, _scatter)
        drawn[name] = picture(result, one_line(part))
    there = {name: figure for name, figure in drawn.items() if figure is not None}
    for name, figure in there.items():
        plot.save(figure, folder / name)
    return list(there)


def one_line(name: str) -> str:
    """A name as it can stand in a line: what has no shape, such as a line break, as its escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def shown(name: str, figure: Figure) -> list[str]:
    """A measure and its interval as tables show them; "" for what is not there, as the correlation
    with a constant."""
    kind = ".1%" if name in OF_CLASSES else ".3f" if name == "r" else ".4g"
    value = f"{figure.value:{kind}}" if math.isfinite(figure.value) else ""
    return [value, " to ".join(f"{end:{kind}}" for end in figure.interval or ())]


def _rows_said(part: str, rows: int) -> str:
    count = f": {rows:,} row{'' if rows == 1 else 's'}"
    return clip(one_line(part), TITLE - len(count)) + count


def _cells(pairs: list[tuple[str, list[str]]]) -> list[str]:
    """What stands under each measure, and under its interval where that has room."""
    return [cell for name, pair in pairs for cell in pair[: 2 - (name in BARE)]]


def _aligned(lines: list[list[str]]) -> list[str]:
    """A table, its first column to the left and the others to the right."""
    widths = [max(len(cell) for cell in column) + 2 for column in list(zip(*lines))[1:]]
    return [
        f"{ljust(first, TITLE)}{''.join(map(rjust, rest, widths))}".rstrip()
        for first, *rest in lines
    ]


def _signed(name: str, value: float) -> str:
    """A difference; of shares in points."""
    if name not in OF_CLASSES:
        return f"{value + 0.0:+.3g}"
    return f"{round(100 * value, 1) + 0.0:+.1f}"  # −0.0 and 0.0 are both +0.0


def _curves(history: Sequence[Mapping[str, Any]]) -> Any:
    """What the log has of a training; None where it has nothing."""
    lines = {"training loss": _series(history, "train", "loss")}
    lines |= {shown: _series(history, "eval", name) for name, shown in MEASURED.items()}
    there = {name: line for name, line in lines.items() if line[0]}
    return plot.training_curves(there, title="Fine-tuning") if there else None


def _series(history: Any, kind: str, name: str) -> tuple[list[float], list[float]]:
    """The steps and the numbers that the log has under a name."""
    rows = [row for row in history if row["kind"] == kind and row.get(name) is not None]
    return [float(row["step"]) for row in rows], [float(row[name]) for row in rows]


def _confusion(result: Result, part: str) -> Any:
    """Which class is taken for which."""
    title = f"{part}: which class is taken for which"
    if len(result.names) <= MOST_CLASSES:
        names = [clip(one_line(name), LABEL) for name in result.names]
        return plot.confusion_matrix(result.labels, result.predicted, names, title)
    shares = metrics.confusion_matrix(
        result.labels, result.predicted, labels=np.arange(len(result.names)), normalize="true"
    )
    across, down = (f"{kind} class, by its number" for kind in ("predicted", "true"))
    return plot.heat_maps({title: shares}, "", across, down, label="share of the row")


def _scatter(result: Result, part: str) -> Any:
    """The predicted numbers over the true ones."""
    ends = np.array([result.labels.min(), result.labels.max()], np.float64)
    points = {f"{part} rows": (result.labels, result.predicted)}
    title = f"{part}: true and predicted numbers"
    return plot.curves(ends, {"predicted = true": ends}, title, "true", "predicted", points=points)

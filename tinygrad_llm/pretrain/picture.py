"""The curves of a pretraining: losses and accuracies over the steps, beside what counts reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tinygrad_llm import plot

Pair = tuple[list[float], list[float]]

MEASURED = {
    "eval_loss": "validation loss",
    "eval_accuracy": "validation accuracy",
    "eval_mlm_loss": "validation loss, hidden words",
    "eval_mlm_accuracy": "validation accuracy, hidden words",
    "eval_nsp_accuracy": "validation accuracy, next sentence",
}
"""Metrics of an evaluation that get a line, and its name."""

COUNTED = {
    "unigram": "unigram (loss)",
    "bigram": "bigram (loss)",
    "unigram_loss": "unigram (loss)",
    "unigram_accuracy": "unigram accuracy",
    "bigram_accuracy": "bigram accuracy",
    "left_neighbour_accuracy": "left neighbour accuracy",
    "word_overlap": "word overlap accuracy, next sentence",
}
"""Baselines that get a level line."""


def draw(path: Path, history: Sequence[Mapping[str, Any]], baselines: Mapping[str, float]) -> None:
    """Write the figure, if there is something to draw. history: the rows of a Trainer's log."""
    if not history:
        return
    lines: dict[str, Pair] = {}
    _add(lines, "training loss", history, "train", "loss")
    for name, shown in MEASURED.items():
        _add(lines, shown, history, "eval", name)
    last = max(row["step"] for row in history if "step" in row)
    named = {COUNTED[name]: baselines[name] for name in COUNTED if name in baselines}
    orders = [(baselines[name], name) for name in baselines if name.startswith("witten_bell")]
    if orders:
        value, name = min(orders)
        named[f"Witten-Bell, order {name.rpartition('_')[2]} (loss)"] = value
    levels = {name: ([0.0, float(last)], [value, value]) for name, value in named.items()}
    plot.save(plot.training_curves({**lines, **levels}, title="Pretraining"), path)


def _add(lines: dict[str, Pair], shown: str, history: Any, kind: str, name: str) -> None:
    """A line of what the log has under a name, where it has it as a number."""
    rows = [row for row in history if row["kind"] == kind and row.get(name) is not None]
    if rows:
        lines[shown] = [float(r["step"]) for r in rows], [float(r[name]) for r in rows]

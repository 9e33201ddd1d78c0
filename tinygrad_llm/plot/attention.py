"""Attention maps as pictures: which token asks which, one panel a head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_llm.plot.fonts import advice, readable
from tinygrad_llm.plot.style import footnote, grid, inches, look, panels
from tinygrad_llm.plot.values import Numbers, by_name, floats

MOST_MAPS, MOST_TOKENS = 48, 64
"""More than this in one figure nobody reads."""


def attention_maps(
    maps: Mapping[str, Numbers],
    queries: Sequence[Any],
    keys: Sequence[Any] | None = None,
    title: str = "Attention maps",
    columns: int = 4,
) -> Any:
    """Attention weights in a grid of panels: a row a token that asks, a column one that is asked.

    maps: name of the panel, such as its layer and head -> weights (T, S), from 0 (white) to 1
        (dark) in all panels. queries: T names of tokens; keys: S of them, the queries if not said.
    columns: panels in a row.
    Returns the figure. Raises TypeError for maps that are no dict and columns that are no integer,
    ValueError for no maps or more than 48, more than 64 tokens, weights
    of another shape than the names, and weights outside 0 … 1.
    """
    rows = [readable(str(token)) for token in queries]
    names = rows if keys is None else [readable(str(token)) for token in keys]
    given = by_name("attention_maps: maps", maps)
    weights = {name: _checked(name, each, (len(rows), len(names))) for name, each in given.items()}
    few = all(0 < len(tokens) <= MOST_TOKENS for tokens in (rows, names))
    if not (few and 0 < len(weights) <= MOST_MAPS):
        raise ValueError(
            f"attention_maps: {len(weights)} maps of {len(rows)} by {len(names)} tokens: expected "
            f"1 to {MOST_MAPS} maps of at most {MOST_TOKENS} tokens"
        )
    shape = grid("attention_maps", len(weights), columns)
    with look():
        figure, places = panels(shape, len(weights), _size(shape, rows, names, title))
        for axes, (name, each) in zip(places, weights.items()):
            drawn = axes.imshow(each, cmap="Blues", vmin=0.0, vmax=1.0)
            axes.set_title(readable(name))
            _name_tokens(axes, rows, names)
        figure.colorbar(drawn, ax=places, label="weight", shrink=0.6)
        figure.suptitle(readable(title))
        rule = "Row: the token that asks. Column: the token that is asked."
        if all(np.allclose(each.sum(axis=1), 1.0, atol=1e-3) for each in weights.values()):
            rule += " Each row sums to 1."
        footnote(figure, rule, advice(title, *weights, *rows, *names))
    return figure


def _checked(name: str, weights: Numbers, shape: tuple[int, int]) -> np.ndarray:
    """The weights of one panel. Raises ValueError where they do not fit the names of tokens."""
    found = floats(weights, name)
    if found.shape != shape:
        raise ValueError(
            f"attention_maps: {name} {found.shape} for {shape[0]} queries and {shape[1]} keys: "
            "give one text and one head, (T, S)"
        )
    if not ((found >= 0.0) & (found <= 1.0 + 1e-6)).all():
        raise ValueError(
            f"attention_maps: {name} has weights outside 0 … 1: give those after softmax"
        )
    return found


def _size(
    shape: tuple[int, int], rows: Sequence[str], names: Sequence[str], title: str
) -> tuple[float, float]:
    """Width and height in inches: a cell has room for one short token."""
    wide = shape[1] * (max(1.4, 0.26 * len(names)) + inches(*rows) + 0.3) + 0.9
    below = inches(*names) if _slanted(names) else 0.2
    high = shape[0] * (max(1.4, 0.26 * len(rows)) + below + 0.4) + 0.9
    return max(wide, inches(title, size=11), 6.0), high


def _slanted(names: Sequence[str]) -> bool:
    """Whether names of keys are too long to stand side by side."""
    return inches(*names) > 0.26


def _name_tokens(axes: Any, rows: Sequence[str], names: Sequence[str]) -> None:
    axes.set_xticks(range(len(names)), names, rotation=90 if _slanted(names) else 0)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)

"""What tokenizers do: a text cut into coloured pieces, and figures over the vocabulary's size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from math import isfinite
from typing import Any, NamedTuple

from tinygrad_llm.plot.fonts import advice, families, readable
from tinygrad_llm.plot.style import COLOURS, DASHES, GREY, footnote, inches, look
from tinygrad_llm.plot.values import Numbers, by_name, series

TINTS = ("#BBD9EE", "#FAD7A8", "#BEE5CF", "#EBCFE0")
"""Fills of neighbouring pieces, in turn: light enough for black text."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""One for each line, so that nothing hangs on colour alone."""

MOST_PIECES = 400
"""More than this in one row nobody reads."""

ROOM, LINE, GAP = 8.0, 0.28, 0.16
"""Inches: the width that pieces may take, the height of a line of them, between two rows."""

_SIZE, _PAD = 9, 0.07
_SHOWN = {" ": "␣", "\n": "↵", "\t": "⇥", "\r": "␍"}


class _Placed(NamedTuple):
    """A piece as it is drawn: its text, its left end and width in inches, its line from 0."""

    text: str
    x: float
    width: float
    line: int


def pieces(
    cuts: Mapping[str, Sequence[str | bytes]], title: str = "", unknown: str = "[UNK]"
) -> Any:
    """How tokenizers cut a text: a row of coloured pieces for each, with their number.

    cuts: name -> the pieces in order, texts or UTF-8. Of a tokenizer:
        `[tokenizer.decode([i]) for i in tokenizer.encode(text)]`; where a piece may end inside a
        character, give its bytes (`tokenizers.bytemap.from_piece` of a byte-level token), which
        then stand there in hexadecimal. A space is shown as ␣.
    unknown: the piece that stands for an unknown word; it is hatched.
    Returns the figure. Raises ValueError for no rows and for more than 400 pieces in one, TypeError
    for a piece that is neither text nor bytes.
    """
    import matplotlib.pyplot as plt

    cuts = by_name("pieces: cuts", cuts)
    if not cuts:
        raise ValueError("pieces: there is no row; give at least one tokenizer's pieces")
    written = {name: [_shown(piece) for piece in row] for name, row in cuts.items()}
    rows = {name: _place(texts, name) for name, texts in written.items()}
    left = inches(*cuts, *(_count(row) for row in rows.values())) + 0.15
    lines = sum(1 + row[-1].line if row else 1 for row in rows.values())
    tall = LINE * lines + GAP * (len(rows) + 1)
    with look():
        size = (left + ROOM + 0.1, tall + 0.3 * bool(title) + 0.1)
        figure, axes = plt.subplots(figsize=size, layout="constrained")
        top = tall - GAP
        for name, row in rows.items():
            _draw_row(axes, left, top, row, readable(unknown))
            _say(axes, top, readable(name), _count(row))
            top -= LINE * (1 + row[-1].line if row else 1) + GAP
        axes.set(xlim=(0, left + ROOM), ylim=(0, tall))
        axes.axis("off")
        figure.suptitle(readable(title) or None)
        footnote(figure, advice(title, *cuts, *chain.from_iterable(written.values())))
    return figure


def _shown(piece: str | bytes) -> str:
    """What is written into the box of a piece; bytes that are no characters in hexadecimal."""
    if not isinstance(piece, (str, bytes)):
        raise TypeError(f"pieces: {piece!r} is a {type(piece).__name__}; give text or bytes")
    try:
        text = piece if isinstance(piece, str) else piece.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.object.hex(" ").upper()
    return "".join(_SHOWN.get(letter, letter) for letter in text)


def _place(texts: Sequence[str], name: str) -> list[_Placed]:
    """The pieces side by side, in as many lines as they need."""
    if len(texts) > MOST_PIECES:
        raise ValueError(f"pieces: {name!r} has {len(texts)} pieces (at most {MOST_PIECES})")
    placed: list[_Placed] = []
    x, line = 0.0, 0
    for text in map(_shortened, map(readable, texts)):
        width = max(inches(text, size=_SIZE), 0.05) + 2 * _PAD
        if x and x + width > ROOM:
            x, line = 0.0, line + 1
        placed.append(_Placed(text, x, width, line))
        x += width
    return placed


def _shortened(text: str) -> str:
    """With "…" for what a line has no room for."""
    most = ROOM - 2 * _PAD
    if inches(text, size=_SIZE) <= most:
        return text
    text = text[: int(most / inches("x", size=_SIZE))]
    while inches(text + "…", size=_SIZE) > most:
        text = text[:-1]
    return text + "…"


def _draw_row(axes: Any, left: float, top: float, row: Sequence[_Placed], unknown: str) -> None:
    from matplotlib.patches import Rectangle

    # In a font of one width the texts fit their boxes; what it lacks comes from the others.
    font = {"family": ["DejaVu Sans Mono", *families()], "fontsize": _SIZE}
    for i, (text, x, width, line) in enumerate(row):
        bottom = top - LINE * (line + 1)
        lost = text == unknown
        fill: dict[str, Any] = {"facecolor": "white" if lost else TINTS[i % len(TINTS)]}
        fill |= {"edgecolor": "#BBBBBB" if lost else "#888888", "hatch": "////" if lost else None}
        corner = left + x, bottom + 0.02
        axes.add_patch(Rectangle(corner, width, LINE - 0.04, linewidth=0.6, **fill))
        middle = left + x + width / 2, bottom + LINE / 2
        axes.text(*middle, text, ha="center", va="center_baseline", **font)


def _say(axes: Any, top: float, name: str, count: str) -> None:
    """The name of a row beside its first line, and how many pieces it has."""
    axes.text(0, top - LINE / 2 + 0.07, name, va="center", fontsize=9)
    axes.text(0, top - LINE / 2 - 0.08, count, va="center", fontsize=7, color=GREY)


def _count(row: Sequence[_Placed]) -> str:
    return f"{len(row)} token" + "s" * (len(row) != 1)


def by_vocabulary(
    panels: Mapping[str, Mapping[str, tuple[Numbers, Numbers]]],
    title: str,
    ylabel: str,
    share: bool = False,
) -> Any:
    """Lines over the size of the vocabulary, in panels side by side, such as one a language.

    panels: the name of a panel -> the name of a line -> (sizes, values). The sizes stand on a
        logarithmic axis. Lines of one name look alike in all panels; a line that others cover
        is seen behind them, for it is wider; one of a single size is a point, with its name.
    share: the values are shares, on an axis from 0 % to 100 %; else from 0 on, or from the least
        value below it.
    Returns the figure. Raises ValueError for no panels, a line with sizes and values of unequal
    numbers, and sizes that are not positive.
    """
    import matplotlib.pyplot as plt

    panels = {
        name: by_name(f"by_vocabulary: panel {name}", lines)
        for name, lines in by_name("by_vocabulary: panels", panels).items()
    }
    if not panels:
        raise ValueError("by_vocabulary: there is no panel; give at least one")
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    with look():
        size = (1.6 + 3.1 * len(panels) + inches(*names), max(4.0, 0.6 + 0.2 * len(names)))
        figure, grid = plt.subplots(
            1, len(panels), squeeze=False, sharey=True, figsize=size, layout="constrained"
        )
        handles: dict[str, Any] = {}
        for axes, (panel, lines) in zip(grid[0], panels.items()):
            for name, line in lines.items():
                handles[name] = _line(axes, names.index(name), len(names), name, line)
            _name_points(axes, lines)
            axes.set(xscale="log", title=readable(panel), xlabel="tokens in the vocabulary")
            _scale(axes, share)
        if not share:
            grid[0, 0].set_ylim(bottom=_bottom(grid[0]))
        grid[0, 0].set_ylabel(readable(ylabel))
        figure.suptitle(readable(title))
        figure.legend([handles[name] for name in names], map(readable, names), loc="outside right")
        footnote(figure, advice(title, ylabel, *panels, *names))
    return figure


def _line(axes: Any, i: int, count: int, name: str, line: tuple[Numbers, Numbers]) -> Any:
    """Line i of `count`: the sooner it is drawn, and so covered, the wider it is."""
    x, y = (series(values, name) for values in line)
    if len(x) != len(y):
        raise ValueError(f"{name}: {len(x)} sizes for {len(y)} values: give one for each")
    if (x <= 0).any():
        raise ValueError(f"{name}: a size of {x.min():g} has no logarithm: give positive ones")
    wider = min(count - 1 - i, 6)
    style: dict[str, Any] = {"linewidth": 1.3 + 0.5 * wider, "markersize": 4 + 0.9 * wider}
    style |= {"color": COLOURS[i % len(COLOURS)]}
    style |= {"marker": MARKERS[i % len(MARKERS)], "linestyle": DASHES[i % len(DASHES)]}
    return axes.plot(x, y, clip_on=False, **style)[0]


def _name_points(axes: Any, lines: Mapping[str, tuple[Numbers, Numbers]]) -> None:
    """Names of the points, under and over them in turn: two that are one place are both read."""
    points = [(name, *line) for name, line in lines.items() if len(line[0]) == 1]
    for i, (name, x, y) in enumerate(points):
        side = {"va": "bottom" if i % 2 else "top", "xytext": (0, 8 if i % 2 else -8)}
        place = {"ha": "center", "textcoords": "offset points", "fontsize": 8, "color": GREY}
        place["bbox"] = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.5}
        axes.annotate(readable(name), (x[0], y[0]), **side, **place)


def _scale(axes: Any, share: bool) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    if share:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_ylim(0, 1)


def _bottom(every: Sequence[Any]) -> float:
    """Where the axis of values begins: at 0, or a little below the least value."""
    values = (y for axes in every for line in axes.lines for y in line.get_ydata() if isfinite(y))
    return 1.05 * min([0.0, *values])

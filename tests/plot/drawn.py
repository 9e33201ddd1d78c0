"""What can be read from a figure."""

from __future__ import annotations

import numpy as np


def boxes(figure):
    """The lines of every box from the top of the figure to its bottom, by the first of them."""
    patches = [p for p in figure.axes[0].patches if type(p).__name__ == "FancyBboxPatch"]
    found = []
    for box in (p.get_bbox() for p in patches):
        within = [t for t in figure.axes[0].texts if box.contains(*t.get_position())]
        found.append((-box.y0, box.x0, [text.get_text() for text in within]))
    return {lines[0]: lines[1:] for _, _, lines in sorted(found)}


def draw(figure):
    """Everything that drawing runs into comes up here."""
    figure.canvas.draw()
    return figure


def texts(axes):
    return [text.get_text() for text in axes.texts]


def legend(figure):
    return [text.get_text() for box in figure.legends for text in box.get_texts()]


def points(line):
    return np.stack(line.get_data(), axis=1).tolist()

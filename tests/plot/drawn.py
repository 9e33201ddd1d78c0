"""What can be read from a drawn tape."""

from __future__ import annotations


def boxes(figure):
    """The lines of every box from the top of the figure to its bottom, by the first of them."""
    patches = [p for p in figure.axes[0].patches if type(p).__name__ == "FancyBboxPatch"]
    found = []
    for box in (p.get_bbox() for p in patches):
        within = [t for t in figure.axes[0].texts if box.contains(*t.get_position())]
        found.append((-box.y0, box.x0, [text.get_text() for text in within]))
    return {lines[0]: lines[1:] for _, _, lines in sorted(found)}

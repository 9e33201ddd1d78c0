"""The look that all figures share: colours that colour-blind eyes tell apart, sizes, saving."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from typing import Any

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Blue, vermilion, green, purple, orange, sky, black (Okabe & Ito 2008)."""

DASHES = ("-", "--", "-.", ":")
"""Lines differ in their dashes too, so that nothing hangs on colour alone."""

DPI = 150

_SETTINGS = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}


def look() -> AbstractContextManager[None]:
    """Within the block, new figures have the common look; the user's own settings stay."""
    import matplotlib

    return matplotlib.rc_context(_SETTINGS)


def save(figure: Any, path: str | os.PathLike[str]) -> None:
    """Write the figure (the kind of file is the path's ending) and free its memory."""
    import matplotlib.pyplot as plt

    figure.savefig(path, dpi=DPI)
    plt.close(figure)

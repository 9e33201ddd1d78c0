"""One row from texts that were read: cut to their length and put into the template."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tinygrad_llm.tokenizers.encoding import Encoding
from tinygrad_llm.tokenizers.lengths import truncate
from tinygrad_llm.tokenizers.request import Request
from tinygrad_llm.tokenizers.template import Template


def assemble(
    texts: list[Encoding], template: Template, ids: Callable[[str], int], request: Request
) -> Encoding:
    """The row of one text or of a pair, with its further windows where they are asked for.

    ids: the id of a token of the template. Raises what `truncate` does.
    """
    special = template.count(len(texts) == 2) if request.add_special_tokens else 0
    windows = [[text] for text in texts]
    if request.truncation:
        windows = truncate(texts, special, request.truncation)
    combinations = _combinations(windows) if request.overflowing else [[w[0] for w in windows]]
    rows = [template.fill(parts, ids, request.add_special_tokens) for parts in combinations]
    rows[0].overflowing = rows[1:]
    return rows[0]


def _combinations(windows: list[list[Encoding]]) -> Iterable[list[Encoding]]:
    """What stays of each text, then all others: each window of the first with each of the second,
    and at the end the first window of the first with the others of the second."""
    if len(windows) == 1:
        return [[window] for window in windows[0]]
    (first, *others), seconds = windows
    rows = [[a, b] for a in others for b in seconds]
    return [[first, seconds[0]], *rows, *([first, b] for b in seconds[1:])]

"""Documents joined into one stream of tokens and cut into blocks, for a model that continues."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence

import numpy as np

from tinygrad_llm.data.pretraining.masking import IGNORED


class PackedBlocks:
    """A dataset of blocks of block_size tokens, cut from all documents joined, with no padding.

    Each document is followed by end_id, so that a model learns where one ends; a block may hold the
    end of one and the beginning of the next, and attention may look across (Brown et al. 2020,
    "Language Models are Few-Shot Learners", section 2.3). Row i is a dict of input_ids and labels,
    (block_size,) int64 each; labels are the ids themselves, for a causal model that shifts them:
    the place t learns token t + 1 of its block.

    documents: sequences of token ids, (n,) integers each, none empty; read once.
    block_size: T. end_id: the token after each document; None joins them with nothing between.
    remainder: "drop" leaves out the tokens after the last full block; "keep" makes a block of
        them, filled up with end_id (0 for None) whose labels are -100.

    One copy of all tokens is kept, in 2 bytes each where every id is below 65,536, else 4.
    A DataLoader that shuffles gives another order of the blocks each epoch, and resumes.
    Raises TypeError for ids that are no integers, ValueError for block_size < 2, a remainder of
    another name, an empty document, ids below 0 or beyond 32 bits, and fewer tokens than a block.
    """

    def __init__(
        self,
        documents: Iterable[Sequence[int] | np.ndarray],
        block_size: int,
        end_id: int | None,
        remainder: str = "drop",
    ):
        if operator.index(block_size) < 2:
            raise ValueError(f"PackedBlocks: block_size is at least 2, not {block_size}")
        if remainder not in ("drop", "keep"):
            raise ValueError(f'PackedBlocks: remainder is "drop" or "keep", not {remainder!r}')
        self.block_size = operator.index(block_size)
        self.tokens = _joined(documents, end_id)
        full, rest = divmod(len(self.tokens), self.block_size)
        self._rows = full + (rest > 0 and remainder == "keep")
        self._filler = 0 if end_id is None else end_id
        if not self._rows:
            raise ValueError(
                f"PackedBlocks: all documents have {len(self.tokens)} tokens, fewer than a block "
                f'of {block_size}; give more, a smaller block_size or remainder="keep"'
            )

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """Block `index`. Raises IndexError beyond the end."""
        place = range(self._rows)[operator.index(index)]
        return {name: rows[0] for name, rows in self.take(np.array([place])).items()}

    def take(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """A batch: the blocks at `indices` (B,) from 0 on, as input_ids and labels (B, T) int64."""
        places = np.asarray(indices)[:, None] * self.block_size + np.arange(self.block_size)
        inside = places < len(self.tokens)
        ids = self.tokens[np.where(inside, places, 0)].astype(np.int64)
        return {
            "input_ids": np.where(inside, ids, self._filler),
            "labels": np.where(inside, ids, IGNORED),
        }


def _joined(documents: Iterable[Sequence[int] | np.ndarray], end_id: int | None) -> np.ndarray:
    """All tokens in one array, end_id after each document."""
    ends = [] if end_id is None else [_compact(np.array([operator.index(end_id)]), "end_id")]
    parts: list[np.ndarray] = []
    for number, document in enumerate(documents):
        ids = np.asarray(document)
        if ids.ndim != 1 or not ids.size:
            raise ValueError(
                f"PackedBlocks: document {number} has shape {ids.shape}; give a vector of token "
                "ids, and leave empty documents out"
            )
        parts += [_compact(ids, f"document {number}"), *ends]
    if not parts:
        raise ValueError("PackedBlocks: there are no documents; give at least one")
    return np.concatenate(parts)


def _compact(ids: np.ndarray, what: str) -> np.ndarray:
    """Ids in 2 bytes each, or in 4 where one needs them."""
    if ids.dtype.kind not in "iu":
        raise TypeError(f"PackedBlocks: {what} has {ids.dtype}; give integers, a tokenizer's ids")
    if ids.min() < 0 or ids.max() >= 2**32:
        wrong = ids.min() if ids.min() < 0 else ids.max()
        raise ValueError(f"PackedBlocks: {what} has the id {wrong}; ids are from 0 to 2**32 - 1")
    return ids.astype(np.uint16 if ids.max() < 2**16 else np.uint32)

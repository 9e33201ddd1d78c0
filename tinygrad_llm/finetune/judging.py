"""How a run is judged: its figures at each evaluation, and the test rows, which are read once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinygrad_llm.files import load_safetensors, save_safetensors
from tinygrad_llm.finetune.measures import scores
from tinygrad_llm.training import Trainer
from tinygrad_llm.training import folder as folders

BEST = {"classification": "macro_f1", "regression": "mse"}
"""By which figure of the validation rows the best weights are chosen."""

SAID, LOGITS = "test.safetensors", "logits"
"""What the model said of the test rows: the file beside test.json, and the array in it."""


class Judge:
    """The compute_metrics of a Trainer, with all figures that `scores` has.

    keep: the file into which what the model says is written, before any figure of it is known; None
    for nothing.
    """

    def __init__(self, task: str, names: Sequence[str]):
        self.task, self.names = task, names
        self.keep: Path | None = None

    def __call__(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """logits (N, C), or of numbers (N, 1); labels (N,). Raises as `scores`."""
        if self.keep is not None:
            save_safetensors(self.keep, {LOGITS: logits})
        return scores(self.task, labels, logits, self.names)


def read_once(trainer: Trainer, judge: Judge, folder: Path) -> np.ndarray:
    """What the model says of the test rows: (N, C), or of numbers (N, 1).

    They are read where no figure of them is known. What is said is kept beside test.json: a run
    that was killed later takes it from there. A read that was broken off told nobody anything, and
    a run that goes on has the same weights: it is done again, and is the one read.
    Raises as `said_of` where figures are known and what was said is lost.
    """
    if not figures_known(folder):
        _forget_broken_off(folder)
        judge.keep = folder / SAID
        trainer.test()
        judge.keep = None
    else:
        record = folders.test_record(folder) or {}
        trainer.log.add("test", {k: v for k, v in record.items() if k != "format"})
    return said_of(folder)


def said_of(folder: Path) -> np.ndarray:
    """What was said of the test rows, as the folder has it. Raises FileNotFoundError where it has
    not, ValueError for a broken file."""
    if not (folder / SAID).exists():
        raise FileNotFoundError(
            f"{folder / SAID} is missing: it has what the model said of the test rows, which are "
            "read once; put it back, or tune once more, into another folder"
        )
    arrays, _ = load_safetensors(folder / SAID)
    if LOGITS not in arrays:
        raise ValueError(f"{folder / SAID} is not of a run of ours: give another folder")
    return arrays[LOGITS]


def figures_known(folder: Path) -> bool:
    """Whether the test rows were read to the end."""
    record = folders.test_record(folder) or {}
    return any(name.startswith("test_") for name in record)


def _forget_broken_off(folder: Path) -> None:
    """Take back the record of a read that came to no figure."""
    if not figures_known(folder):
        (folder / folders.TEST).unlink(missing_ok=True)

"""What the tests of stopped fine-tunings share: a stop at a step, and a run that goes on."""

from __future__ import annotations

from tests.finetune.run_common import METHODS, run
from tinygrad_llm.training.steps import Stepper


class Die(Exception):
    """Stands for a kill, within one process."""


def die(*_, **__):
    raise Die


def stop_at(monkeypatch, step, by):
    """Plant what happens before a step."""
    real = Stepper.step

    def planted(self, batches, number):
        if number == step:
            by()
        return real(self, batches, number)

    monkeypatch.setattr(Stepper, "step", planted)


def tuned(home, tmp_path, how, **changes):
    """A run of the module's model and rows into a folder of this test's."""
    usual = {"model": home / "bert", "train": home / "rows.tsv", **METHODS[how]}
    return run(tmp_path, **{**usual, **changes})

"""Callbacks: what a user's own code may do in a run, and the progress bar."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Callback:
    """Called by the Trainer at the moments that the names say; a subclass overrides some.

    `trainer.stop("why")` ends the run after the present step. What must survive a kill goes through
    `state_dict` and `load_state_dict`, as values that JSON can hold.
    """

    def on_train_begin(self, trainer: Any) -> None:
        """Before the first step."""

    def on_step_end(self, trainer: Any) -> None:
        """After each update of the weights; `trainer.state` has counted it."""

    def on_log(self, trainer: Any, row: dict[str, Any]) -> None:
        """After a row of training went into the log."""

    def on_evaluate(self, trainer: Any, metrics: dict[str, float]) -> None:
        """After an evaluation in the run."""

    def on_save(self, trainer: Any, path: Path) -> None:
        """After a checkpoint was written."""

    def on_train_end(self, trainer: Any) -> None:
        """After the last step, or when the run stops for any reason."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""


class Progress(Callback):
    """A bar of steps on standard error, with the last loss; it shows when a run takes seconds."""

    def __init__(self, disable: bool | None):
        self.disable = disable
        self.bar: Any = None

    def on_train_begin(self, trainer: Any) -> None:
        if self.disable:  # tqdm starts a thread even for a bar that it does not show
            return
        from tqdm import tqdm

        self.bar = tqdm(
            total=trainer.total_steps,
            initial=trainer.state.step,
            disable=self.disable,
            unit="step",
            delay=1.0,
            dynamic_ncols=True,
        )

    def on_step_end(self, trainer: Any) -> None:
        if self.bar is not None:
            self.bar.update()

    def on_log(self, trainer: Any, row: dict[str, Any]) -> None:
        if self.bar is not None:
            self.bar.set_postfix(loss=f"{row['loss']:.4g}", refresh=False)

    def on_train_end(self, trainer: Any) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

"""What a Trainer remembers from step to step; all of it goes into a checkpoint."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass
class TrainerState:
    """Counts and running sums of a run."""

    step: int = 0
    """Updates of the weights so far."""
    epoch: float = 0.0
    """Epochs so far, the part of the present one included."""
    loss_sum: float = 0.0
    """Losses since the last row of the log, each times its targets."""
    targets: int = 0
    """Targets since the last row of the log."""
    all_loss_sum: float = 0.0
    all_targets: int = 0
    """The same since the beginning."""
    rows: int = 0
    """Rows of data since the beginning."""
    skipped: int = 0
    """Steps left out because a gradient in float16 was not finite."""
    best_value: float | None = None
    best_step: int | None = None
    worse: int = 0
    """Evaluations since the best one."""
    seconds: float = 0.0
    """Of training, processes before this one included."""
    stopped: str = ""
    """Why the run ended before its last step."""

    def add(self, loss: float, targets: int, rows: int) -> None:
        """Count one step with this mean loss."""
        self.step += 1
        self.rows += rows
        self.targets += targets
        self.all_targets += targets
        self.loss_sum += loss * targets
        self.all_loss_sum += loss * targets

    def take_mean(self) -> float:
        """The mean loss since it was last taken, every target with the same weight (F68)."""
        mean = self.loss_sum / self.targets if self.targets else math.nan
        self.loss_sum, self.targets = 0.0, 0
        return mean

    def judge(self, value: float, maximize: bool, threshold: float) -> bool:
        """Whether an evaluation is the best so far; counts it. A value that is no number never."""
        if self.best_value is None:
            better = not math.isnan(value)
        else:
            gain = value - self.best_value if maximize else self.best_value - value
            better = gain > threshold
        if better:
            self.best_value, self.best_step, self.worse = value, self.step, 0
        else:
            self.worse += 1
        return better

    @classmethod
    def from_dict(cls, saved: Any) -> TrainerState:
        """What `to_dict` gave. Raises TypeError or ValueError for what it cannot have given."""
        state = cls(**saved)
        for field in fields(cls):
            value, usual = getattr(state, field.name), getattr(cls, field.name)
            good = (
                isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
            )
            if field.name.startswith("best"):
                good = good or value is None
            elif isinstance(usual, str):
                good = isinstance(value, str)
            elif isinstance(usual, int):
                good = isinstance(value, int) and value >= 0
            if not good:
                raise ValueError(f"its state has {field.name} {value!r:.40}")
        return state

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

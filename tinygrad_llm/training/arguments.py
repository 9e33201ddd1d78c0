"""TrainingArguments: every setting of a run, checked before anything else happens."""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass, field
from typing import Any

OPTIMIZERS = ("adamw", "adam", "sgd", "rmsprop", "lamb")
SCHEDULES = ("linear", "cosine", "constant")
STRATEGIES = ("no", "steps", "epoch")

LOWER = {"loss", "perplexity", "error", "nll", "mae", "mse", "rmse", "wer", "cer"}
GREATER = {"accuracy", "f1", "precision", "recall", "bleu", "match", "auc", "kappa"}
"""Words in names of metrics of which less, or more, is better."""


@dataclass
class TrainingArguments:
    """Settings of a `Trainer`, by Hugging Face's names where the thing is the same.

    Other defaults than there: evaluation and checkpoints at every epoch (there: no evaluation, and
    checkpoints every 500 steps), the last 2 checkpoints kept (all), 64 rows to evaluate (8), a row
    of the log every 10 steps (500).

    A step is one update of the weights, from gradient_accumulation_steps batches (fewer at the end
    of an epoch). Raises ValueError that names the setting and the mend.
    """

    output_dir: str | None = None
    """Where checkpoints and logs go; None: nothing is written."""
    overwrite_output_dir: bool = False
    """Delete the checkpoints and logs of an earlier run there; else that is refused."""
    num_train_epochs: float = 3.0
    max_steps: int = -1
    """Above 0: this many steps, whatever the epochs."""
    per_device_train_batch_size: int = 8
    per_device_eval_batch_size: int = 64
    gradient_accumulation_steps: int = 1
    learning_rate: float = 5e-5
    """For fine-tuning; a network from scratch wants more, 1e-3 for a small one."""
    weight_decay: float = 0.0
    """Of matrices; biases and norms get none. What it means is `optim.<class>.decay`."""
    optim: str = "adamw"
    optim_args: dict[str, Any] = field(default_factory=dict)
    """More settings of the optimizer, as {"momentum": 0.9}."""
    lr_scheduler_type: str = "linear"
    warmup_steps: int = 0
    warmup_ratio: float = 0.0
    """Warm-up as a part of the run; give it or warmup_steps."""
    max_grad_norm: float | None = 1.0
    """Clip the norm of all gradients together; None or 0: leave them."""
    logging_steps: int = 10
    eval_strategy: str | None = None
    """"no", "steps" or "epoch"; None: "steps" with eval_steps, else "epoch"."""
    eval_steps: int | None = None
    save_strategy: str | None = None
    """As eval_strategy, with save_steps. An evaluation that is the best so far is saved too, where
    the best is wanted."""
    save_steps: int | None = None
    save_total_limit: int = 2
    """How many checkpoints stay; the best one stays besides."""
    load_best_model_at_end: bool = False
    metric_for_best_model: str = "loss"
    """A name that an evaluation gives, with or without "eval_"."""
    greater_is_better: bool | None = None
    """None: known by the name, as of a loss, an error, an accuracy, an F1."""
    early_stopping_patience: int | None = None
    """Stop after so many evaluations without a better one, and take the best weights back."""
    early_stopping_threshold: float = 0.0
    """By how much better is better."""
    seed: int = 42
    """For `manual_seed` when training begins: order of rows, dropout."""
    fp16: bool = False
    """Run the model in float16 with a scaled loss; weights and steps stay float32 (G23)."""
    dataloader_drop_last: bool = False
    dataloader_prefetch: int = 0
    """How many batches a background thread makes ahead."""
    disable_tqdm: bool | None = None
    """None: a progress bar in a terminal only."""
    quiet: bool = False
    """Print nothing."""

    def __post_init__(self) -> None:
        for name, known in (("optim", OPTIMIZERS), ("lr_scheduler_type", SCHEDULES)):
            _one_of(name, getattr(self, name), known)
        self._check_counts()
        _number("learning_rate", self.learning_rate, above=0.0)
        _number("num_train_epochs", self.num_train_epochs, above=0.0)
        _number("weight_decay", self.weight_decay)
        _number("early_stopping_threshold", self.early_stopping_threshold)
        _number("max_grad_norm", self.max_grad_norm or 0.0)
        if not 0.0 <= self.warmup_ratio <= 1.0:
            raise ValueError(_wrong("warmup_ratio", self.warmup_ratio, "from 0 to 1"))
        if self.warmup_ratio and self.warmup_steps:
            raise ValueError("TrainingArguments: warmup_steps and warmup_ratio are both given")
        if self.output_dir is not None:
            self.output_dir = os.fspath(self.output_dir)
            if not self.output_dir:
                raise ValueError(_wrong("output_dir", "", "a folder, or None"))
        self.eval_strategy = _strategy("eval", self.eval_strategy, self.eval_steps)
        self._check_best()
        self.save_strategy = _strategy("save", self.save_strategy, self.save_steps)

    def _check_counts(self) -> None:
        at_least_one = (
            "per_device_train_batch_size",
            "per_device_eval_batch_size",
            "gradient_accumulation_steps",
            "logging_steps",
            "save_total_limit",
        )
        for name in at_least_one:
            _integer(name, getattr(self, name), 1)
        for name in ("eval_steps", "save_steps", "early_stopping_patience"):
            if getattr(self, name) is not None:
                _integer(name, getattr(self, name), 1)
        for name in ("warmup_steps", "dataloader_prefetch", "seed"):
            _integer(name, getattr(self, name), 0)
        _integer("max_steps", self.max_steps, -1)
        if self.max_steps == 0:
            raise ValueError(_wrong("max_steps", 0, "at least 1, or -1 to go by epochs"))

    def _check_best(self) -> None:
        if self.wants_best and self.eval_strategy == "no":
            raise ValueError(
                'TrainingArguments: the best weights are wanted, and eval_strategy is "no": '
                'say "epoch", or give eval_steps'
            )
        name = self.best_metric
        words = set(name.split("_"))
        if self.greater_is_better is None and bool(words & LOWER) == bool(words & GREATER):
            raise ValueError(
                f"TrainingArguments: metric_for_best_model {name!r}: say greater_is_better=True or "
                "False"
            )
        for name, argument in (("lr", "learning_rate"), ("weight_decay", "weight_decay")):
            if name in self.optim_args:
                raise ValueError(f"TrainingArguments: give {argument}, not optim_args {name!r}")

    @property
    def wants_best(self) -> bool:
        """Whether the best weights are kept and taken back at the end."""
        return self.load_best_model_at_end or self.early_stopping_patience is not None

    @property
    def best_metric(self) -> str:
        """metric_for_best_model as an evaluation names it."""
        return f"eval_{self.metric_for_best_model.removeprefix('eval_')}"

    @property
    def maximizes(self) -> bool:
        """Whether a greater value of the metric is better."""
        if self.greater_is_better is not None:
            return self.greater_is_better
        return not set(self.best_metric.split("_")) & LOWER

    def to_dict(self) -> dict[str, Any]:
        """All settings, ready for JSON."""
        return asdict(self)


def _strategy(what: str, strategy: str | None, steps: int | None) -> str:
    if strategy is None:
        return "epoch" if steps is None else "steps"
    _one_of(f"{what}_strategy", strategy, STRATEGIES)
    if (strategy == "steps") != (steps is not None):
        raise ValueError(
            f"TrainingArguments: {what}_strategy {strategy!r} with {what}_steps {steps}: "
            f'"steps" goes with {what}_steps, the others without'
        )
    return strategy


def _wrong(name: str, value: Any, must: str) -> str:
    return f"TrainingArguments: {name} must be {must}, not {value!r}"


def _one_of(name: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(_wrong(name, value, f"one of {', '.join(known)}"))


def _integer(name: str, value: Any, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(_wrong(name, value, f"a whole number from {least}"))


def _number(name: str, value: Any, above: float | None = None) -> None:
    """A finite number from 0, or above a bound."""
    good = isinstance(value, (int, float)) and math.isfinite(value)
    if not good or value < 0 or (above is not None and value <= above):
        must = "a finite number from 0" if above is None else f"a finite number above {above:g}"
        raise ValueError(_wrong(name, value, must))

"""The Trainer: the loop of every training, with what keeps it honest and lets it survive."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinygrad_llm import data, nn, optim
from tinygrad_llm.backend import manual_seed
from tinygrad_llm.tensor import Tensor
from tinygrad_llm.training import folder as files
from tinygrad_llm.training.arguments import TrainingArguments
from tinygrad_llm.training.batches import (
    Batch,
    ComputeLoss,
    check_batch,
    count_rows,
    default_loss,
    forward,
)
from tinygrad_llm.training.callbacks import Callback, Progress
from tinygrad_llm.training.estimate import estimate
from tinygrad_llm.training.evaluation import ComputeMetrics, Metrics, Predictions, evaluate
from tinygrad_llm.training.interrupt import Interrupt, on_ctrl_c
from tinygrad_llm.training.logs import RunLog
from tinygrad_llm.training.state import TrainerState
from tinygrad_llm.training.steps import Step, Stepper, make_optimizer, make_schedule


class TrainOutput(NamedTuple):
    """What `Trainer.train` gives: the mean loss is over all targets of the run."""

    global_step: int
    training_loss: float
    metrics: dict[str, Any]


class Trainer:
    """Trains a model on a dataset as `TrainingArguments` say, evaluates, logs, saves, resumes.

    train_dataset, eval_dataset, test_dataset: a `data.Dataset`, or arrays (x, labels), all (N, …).
    data_collator: rows → batch; default: stacked. transform(batch, generator): augmentation, for
        training only.
    compute_loss(model, batch) → the mean loss, or (loss, outputs); default `batches.default_loss`:
        a model that answers with `.loss`, or cross-entropy.
    compute_metrics(predictions, labels) → numbers by name, at each evaluation.
    optimizer: one of your own in place of that of the arguments.
    length(row) → int: batches of rows of like length, with little padding.

    With output_dir a run that was killed at any moment goes on by
    `train(resume_from_checkpoint=True)`, and ends with the same bits as if it had not been.
    """

    def __init__(
        self,
        model: nn.Module,
        args: TrainingArguments | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        test_dataset: Any = None,
        data_collator: Any = None,
        compute_loss: ComputeLoss = default_loss,
        compute_metrics: ComputeMetrics | None = None,
        callbacks: Sequence[Callback] = (),
        optimizer: optim.Optimizer | None = None,
        transform: Any = None,
        length: Callable[[Any], int] | None = None,
    ):
        self.model, self.args = model, args or TrainingArguments()
        self.train_dataset = _dataset(train_dataset)
        self.eval_dataset = _dataset(eval_dataset)
        self.test_dataset = _dataset(test_dataset)
        self.data_collator, self.transform = data_collator, transform
        self.length, self.compute_loss = length, compute_loss
        self.compute_metrics = compute_metrics
        self.callbacks = [Progress(self.args.disable_tqdm or self.args.quiet or None), *callbacks]
        self.folder = Path(self.args.output_dir) if self.args.output_dir else None
        self.state = TrainerState()
        self.log = RunLog(self.folder)
        self.total_steps = 0
        self._started = time.perf_counter()
        self._given_optimizer = optimizer
        self._best: dict[str, Any] | None = None  # the best weights, where there is no folder
        if self.args.wants_best and self.eval_dataset is None:
            raise ValueError("Trainer: the best weights are wanted, and there is no eval_dataset")

    @property
    def history(self) -> list[dict[str, Any]]:
        """The rows of the log."""
        return self.log.history

    # Training

    def train(self, resume_from_checkpoint: bool | str | Path | None = None) -> TrainOutput:
        """All steps. resume_from_checkpoint: True for the newest in output_dir, or a file.

        Raises ValueError for data, arguments or a file that do not fit, before the first step;
        FloatingPointError for a loss or gradient that is not finite, with the step and the first
        bad parameter; KeyboardInterrupt after Ctrl-C, when all is saved.
        """
        self._prepare()
        if resume_from_checkpoint:
            self._resume(resume_from_checkpoint)
        else:
            self._begin()
        self._started = time.perf_counter()
        self._tell("on_train_begin")
        try:
            with on_ctrl_c() as interrupt:
                self._loop(interrupt)
        finally:
            self._tell("on_train_end")
        return self._finish()

    def stop(self, reason: str) -> None:
        """End the run after the present step."""
        self.state.stopped = reason

    def _prepare(self) -> None:
        """Loader, optimizer, schedule; everything that can be wrong with the input comes out."""
        args = self.args
        if self.train_dataset is None:
            raise ValueError("Trainer: there is no train_dataset")
        self._first_batch = next(iter(self._loader(self.train_dataset, shuffle=False)))
        check_batch(self.model, self._first_batch)
        self.loader = self._loader(self.train_dataset, shuffle=True)
        self.steps_per_epoch = -(-len(self.loader) // args.gradient_accumulation_steps)
        self.total_steps = args.max_steps
        if args.max_steps < 0:
            self.total_steps = math.ceil(args.num_train_epochs * self.steps_per_epoch)
        optimizer = self._given_optimizer or make_optimizer(self.model, args)
        schedule = make_schedule(optimizer, args, self.total_steps)
        self.stepper = Stepper(self.model, args, self.compute_loss, optimizer, schedule)

    def _loader(self, dataset: Any, shuffle: bool, size: int | None = None) -> data.DataLoader:
        """Of training, in random order or not; with a size, for evaluation."""
        args, training = self.args, size is None
        return data.DataLoader(
            dataset,
            batch_size=size or args.per_device_train_batch_size,
            shuffle=shuffle,
            drop_last=shuffle and args.dataloader_drop_last,
            collate=self.data_collator,
            transform=self.transform if shuffle else None,
            length=self.length if shuffle else None,
            prefetch=args.dataloader_prefetch if training else 0,
            stream="batches" if training else "evaluation",
        )

    def _begin(self) -> None:
        """A run from its first step, in a folder where none has been."""
        files.make_ready(self.folder, self.log, self.args.overwrite_output_dir)
        self.state, self._best = TrainerState(), None
        manual_seed(self.args.seed)
        self._say(self._expectations())

    def _expectations(self) -> str:
        def loss() -> Any:
            return self.stepper.forward(self._first_batch).loss

        batches = self.total_steps * self.args.gradient_accumulation_steps
        return estimate(self.model, self.stepper.optimizer, loss).text(batches)

    def _resume(self, which: bool | str | Path) -> None:
        """Take everything back as it was at a checkpoint."""
        self.state = files.resume(self, which)
        patience = self.args.early_stopping_patience
        if not patience or self.state.worse < patience:
            self.state.stopped = ""
        self._say(f"going on after step {self.state.step} of {self.total_steps}")

    def _loop(self, interrupt: Interrupt) -> None:
        self.model.train()
        size = self.args.gradient_accumulation_steps
        while self.state.step < self.total_steps and not self.state.stopped:
            for batches in _groups(iter(self.loader), size):
                self._step(batches)
                if interrupt.asked:
                    self._leave()
                if self.state.step >= self.total_steps or self.state.stopped:
                    return

    def _step(self, batches: list[Batch]) -> None:
        """Update the weights, then log, evaluate, save: in this order, so that a checkpoint holds
        all that happened before."""
        args, done = self.args, self.stepper.step(batches, self.state.step + 1)
        self.state.add(done.loss, done.targets, sum(map(count_rows, batches)))
        self.state.skipped += done.skipped
        self.state.epoch = self.state.step / self.steps_per_epoch
        if self.state.step % args.logging_steps == 0:
            self._log_step(done)
        better = False
        if self.eval_dataset is not None and self._due(args.eval_strategy, args.eval_steps):
            better = self._evaluate_and_judge()
        self._tell("on_step_end")
        ends = bool(self.state.stopped) and args.save_strategy != "no"
        if (better and args.wants_best) or ends or self._due(args.save_strategy, args.save_steps):
            self._save()

    def _due(self, strategy: str | None, steps: int | None) -> bool:
        """Whether it is time, by steps or at the end of an epoch; always at the last step."""
        step = self.state.step
        if strategy == "no":
            return False
        return step == self.total_steps or step % (steps or self.steps_per_epoch) == 0

    def _log_step(self, done: Step) -> None:
        row = {
            "step": self.state.step,
            "epoch": round(self.state.epoch, 6),
            "loss": self.state.take_mean(),
            "learning_rate": done.rate,
            "grad_norm": done.norm,
            "rows": self.state.rows,
            "seconds": round(time.perf_counter() - self._started, 3),
        }
        self.log.add("train", row)
        self._tell("on_log", row)

    def _save(self) -> None:
        """A checkpoint of this moment, where there is a folder."""
        if self.folder is not None:
            self._tell("on_save", files.save(self))

    def _leave(self) -> None:
        """Ctrl-C: save, say how to go on, and go."""
        if self.folder is None:
            raise KeyboardInterrupt("nothing is saved: there is no output_dir")
        self._save()
        self._say(
            f"saved after step {self.state.step} of {self.total_steps}, in {self.folder}: "
            "go on with\ntrain(resume_from_checkpoint=True)"
        )
        raise KeyboardInterrupt

    def _finish(self) -> TrainOutput:
        """Best weights back, weights into a file, the last words."""
        state, seconds = self.state, time.perf_counter() - self._started
        if self.args.wants_best:
            self._take_best()
        if self.folder is not None:
            self.save_model(self.folder / "model.safetensors")
        loss = state.all_loss_sum / state.all_targets if state.all_targets else math.nan
        metrics: dict[str, Any] = {
            "train_runtime": seconds,
            "train_loss": loss,
            "epoch": state.epoch,
        }
        best = {"best_step": state.best_step, f"best_{self.args.best_metric}": state.best_value}
        metrics |= best if self.args.wants_best else {}
        self._say(self._last_words(seconds, loss))
        return TrainOutput(state.step, loss, metrics)

    def _last_words(self, seconds: float, loss: float) -> str:
        state = self.state
        text = f"{state.step} steps, {seconds:.3g} s, mean loss {loss:.4g}"
        text += f"; stopped: {state.stopped}" if state.stopped else ""
        if self.args.wants_best and state.best_step is not None:
            name, value = self.args.best_metric, state.best_value
            text += f"; weights of step {state.best_step} taken back ({name} {value:.4g})"
        return text

    def _take_best(self) -> None:
        if self.state.best_step is None:
            self._say(f"no evaluation gave a finite {self.args.best_metric}: the last weights stay")
        elif self.folder is None:
            self.model.load_state_dict(self._best or {})
        else:
            self.model.load_state_dict(files.weights_of(self.folder, self.state.best_step))

    # Evaluation

    def evaluate(self, dataset: Any = None) -> Metrics:
        """{"eval_loss", "eval_accuracy", …} of the model as it is; no gradient, no dropout."""
        found = self.predict(self.eval_dataset if dataset is None else dataset, keep=False)
        return {f"eval_{name}": value for name, value in found.metrics.items()}

    def predict(self, dataset: Any, keep: bool = True) -> Predictions:
        """Outputs for every row, in order, with the metrics."""
        dataset, size = _dataset(dataset), self.args.per_device_eval_batch_size
        if dataset is None:
            raise ValueError("Trainer: there is no dataset to evaluate on: give one")

        def run(batch: Batch) -> Any:
            return forward(self.model, self.compute_loss, batch, self.args.fp16)

        loader = self._loader(dataset, shuffle=False, size=size)
        return evaluate(self.model, loader, run, self.compute_metrics, keep)

    def _evaluate_and_judge(self) -> bool:
        """One row of the log; whether it is the best so far."""
        found = self.evaluate()
        row = {"step": self.state.step, "epoch": round(self.state.epoch, 6), **found}
        self.log.add("eval", row)
        self._tell("on_evaluate", found)
        args, name = self.args, self.args.best_metric
        if not args.wants_best:
            return False
        if name not in found:
            raise ValueError(f"metric_for_best_model: {name} is not one of {', '.join(found)}")
        better = self.state.judge(found[name], args.maximizes, args.early_stopping_threshold)
        if better and self.folder is None:
            self._best = self.model.state_dict()
        if args.early_stopping_patience and self.state.worse >= args.early_stopping_patience:
            self.stop(f"{name} no better in {self.state.worse} evaluations")
        return better

    def test(self) -> Metrics:
        """The metrics of the test set, which is read once: choose before, by the validation set.

        The log says when. Raises RuntimeError the second time, in a later process too.
        """
        if self.test_dataset is None:
            raise ValueError("Trainer: there is no test_dataset")
        seen = files.test_record(self.folder) or next(
            (row for row in self.history if row["kind"] == "test"), None
        )
        if seen:
            raise RuntimeError(
                f"the test set was read at {seen['time']}, after step {seen['step']}: "
                "a second look makes it a validation set; choose by eval_dataset"
            )
        now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        found = self.predict(self.test_dataset, keep=False).metrics
        metrics = {f"test_{name}": value for name, value in found.items()}
        row = {"step": self.state.step, "time": now, **metrics}
        files.keep_test_record(self.folder, row)
        self.log.add("test", row)
        return metrics

    def save_model(self, path: str | Path) -> None:
        """The weights alone, for `nn.load_weights`."""
        nn.save_weights(self.model, path)

    def _tell(self, moment: str, *what: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, moment)(self, *what)

    def _say(self, text: str) -> None:
        if not self.args.quiet:
            print(text)


def _dataset(given: Any) -> Any:
    """Arrays as a dataset; a dataset as it is."""
    if isinstance(given, tuple) and all(isinstance(each, np.ndarray) for each in given):
        return data.ArrayDataset(*given)
    if isinstance(given, (tuple, np.ndarray, Tensor)):
        raise TypeError(
            "Trainer: a dataset is a tuple of NumPy arrays, (x, labels), or has len() and [i], as "
            f"data.ArrayDataset; not a {type(given).__name__}"
        )
    return given


def _groups(batches: Iterator[Batch], size: int) -> Iterator[list[Batch]]:
    """Lists of `size` batches; the last of an epoch may be shorter. Takes none before it is asked,
    so that the loader's position is that of the last step."""
    while group := list(islice(batches, size)):
        yield group

"""The Trainer: the loop of every training, with what keeps it honest and lets it survive."""

from __future__ import annotations

import math
import textwrap
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinygrad_llm import data, nn, optim
from tinygrad_llm.backend import manual_seed, random
from tinygrad_llm.training import folder as folders
from tinygrad_llm.training.arguments import TrainingArguments
from tinygrad_llm.training.batches import (
    Batch,
    ComputeLoss,
    check_batch,
    count_rows,
    default_loss,
)
from tinygrad_llm.training.callbacks import Callback, Progress
from tinygrad_llm.training.estimate import estimate
from tinygrad_llm.training.evaluation import BatchMetrics, ComputeMetrics, evaluate
from tinygrad_llm.training.evaluator import Evaluator, as_dataset, same_data
from tinygrad_llm.training.interrupt import Interrupt, on_ctrl_c
from tinygrad_llm.training.resume import check_saveable, chosen, resume, save, weights_of
from tinygrad_llm.training.state import TrainerState
from tinygrad_llm.training.steps import Step, Stepper, make_optimizer, make_schedule

COLUMNS = 80
"""Of a terminal."""


class TrainOutput(NamedTuple):
    """What `Trainer.train` gives: the mean loss is over all targets of the run."""

    global_step: int
    training_loss: float
    metrics: dict[str, Any]


class Trainer(Evaluator):
    """Trains a model on a dataset as `TrainingArguments` say, evaluates, logs, saves, resumes.

    train_dataset, eval_dataset, test_dataset: a `data.Dataset`, or arrays (x, labels), all (N, …).
    data_collator: rows → batch; default: stacked. transform(batch, generator): augmentation, for
        training only.
    compute_loss(model, batch) → the mean loss, or (loss, outputs); default `batches.default_loss`:
        a model that answers with `.loss`, or cross-entropy.
    compute_metrics(predictions, labels) → numbers by name, at each evaluation.
    batch_metrics(batch, answer) → {name: (sum, count)}: means over all batches of an evaluation,
        for a model whose outputs for a whole dataset are too many to be kept.
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
        batch_metrics: BatchMetrics | None = None,
    ):
        args = TrainingArguments() if args is None else args
        if not isinstance(args, TrainingArguments):
            raise TypeError(
                f"Trainer: the second argument is TrainingArguments(…), not a {type(args).__name__}"
            )
        own = compute_loss, compute_metrics, batch_metrics
        super().__init__(model, args, eval_dataset, test_dataset, data_collator, *own)
        self.train_dataset = as_dataset(train_dataset)
        self.transform, self.length = transform, length
        self.callbacks = [Progress(args.disable_tqdm or args.quiet or None), *callbacks]
        self.total_steps = 0
        self.resumed_by = "train(resume_from_checkpoint=True)"
        """What is printed after Ctrl-C; a program around the Trainer has words of its own."""
        self._clock = time.perf_counter()
        self._given_optimizer = optimizer
        self._best: dict[str, Any] | None = None  # the best weights, where there is no folder
        self._check()

    def _check(self) -> None:
        """Refuse what contradicts itself."""
        args, name = self.args, self.args.best_metric
        if any(isinstance(each, type) for each in self.callbacks):
            raise TypeError("Trainer: callbacks are objects: write MyCallback(), not MyCallback")
        usual = TrainingArguments()
        ours = ("learning_rate", "weight_decay", "optim", "optim_args")
        idle = [each for each in ours if getattr(args, each) != getattr(usual, each)]
        if self._given_optimizer is not None and idle:
            raise ValueError(
                f"Trainer: with an optimizer of your own {', '.join(idle)} would do nothing: give "
                "them to the optimizer"
            )
        if args.wants_best and self.eval_dataset is None:
            raise ValueError("Trainer: the best weights are wanted, and there is no eval_dataset")
        known = name in ("eval_loss", "eval_accuracy") or self.compute_metrics or self.batch_metrics
        if args.wants_best and not known:
            raise ValueError(
                f"metric_for_best_model: {name} needs compute_metrics or batch_metrics that give it"
            )
        for what, dataset in (("train", self.train_dataset), ("eval", self.eval_dataset)):
            if same_data(dataset, self.test_dataset):
                raise ValueError(f"Trainer: test_dataset is {what}_dataset: hold rows out for it")

    @property
    def best_step(self) -> int | None:
        """The step of the best evaluation so far, where the best weights are wanted."""
        return self.state.best_step if self.args.wants_best else None

    # Training

    def train(self, resume_from_checkpoint: bool | str | Path | None = None) -> TrainOutput:
        """All steps. resume_from_checkpoint: True for the newest in output_dir (a run that was
        killed before its first begins again), or a file.

        Raises ValueError for data, arguments or a file that do not fit, before the first step;
        FloatingPointError for a loss or gradient that is not finite, with the step and the first
        bad parameter; KeyboardInterrupt after Ctrl-C, when all is saved.
        """
        self._prepare()
        again = resume_from_checkpoint is True and folders.has_only_begun(self.folder)
        if resume_from_checkpoint and not again:
            self._resume(resume_from_checkpoint)
        else:
            self._begin(again)
        self._clock = time.perf_counter()
        self._tell("on_train_begin")
        try:
            # What is not finite is looked for, and told in an error: no warnings before it.
            quiet = self.args.quiet
            with on_ctrl_c(quiet) as interrupt, np.errstate(over="ignore", invalid="ignore"):
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
        own = self.compute_loss is not default_loss
        self.first_batch = next(iter(self._training_loader(shuffle=False)))
        check_batch(self.model, self.first_batch, any_columns=own)
        self.loader = self._training_loader(shuffle=True)
        self.steps_per_epoch = -(-len(self.loader) // args.gradient_accumulation_steps)
        self.total_steps = args.max_steps
        if args.max_steps < 0:
            self.total_steps = math.ceil(args.num_train_epochs * self.steps_per_epoch)
        optimizer = self._given_optimizer or make_optimizer(self.model, args)
        schedule = make_schedule(optimizer, args, self.total_steps)
        self.stepper = Stepper(self.model, args, self.compute_loss, optimizer, schedule)
        if self.eval_dataset is not None and args.eval_strategy != "no":
            self._try_evaluation(own)

    def _try_evaluation(self, own: bool) -> None:
        """One batch of the evaluation, so that nothing in it goes wrong after an epoch."""
        batch = next(iter(self._loader(self.eval_dataset)))
        check_batch(self.model, batch, any_columns=own)
        with nn.evaluating(self.model), random.replay(random.state()):
            evaluate(self.model, [batch], self._forward, None, batch_metrics=self.batch_metrics)

    def _training_loader(self, shuffle: bool) -> data.DataLoader:
        """In random order, with augmentation; or in order, to look at the first batch."""
        args = self.args
        return data.DataLoader(
            self.train_dataset,
            batch_size=args.per_device_train_batch_size,
            shuffle=shuffle,
            drop_last=shuffle and args.dataloader_drop_last,
            collate_fn=self.data_collator,
            transform=self.transform if shuffle else None,
            length=self.length if shuffle else None,
            prefetch=args.dataloader_prefetch if shuffle else 0,
        )

    def _begin(self, again: bool = False) -> None:
        """A run from its first step; again: one that was begun there and did not get far."""
        self.state, self._best = TrainerState(), None
        if self.folder is not None:
            folders.check_free(self.folder, self.args.overwrite_output_dir or again)
        expectations = self._expectations()
        check_saveable(self)
        if self.folder is not None:
            folders.make_ready(self.folder, self.args.to_dict())
        self.log.clear()
        manual_seed(self.args.seed)
        self._say(expectations)

    def _expectations(self) -> str:
        """Parameters, memory, time; where nobody will read it, only that a step can be made."""

        def loss() -> Any:
            return self.stepper.forward(self.first_batch).loss

        if self.args.quiet:
            with random.replay(random.state()):
                loss()
            return ""
        batches = self.total_steps * self.args.gradient_accumulation_steps
        return estimate(self.model, self.stepper.optimizer, loss).text(batches)

    def _resume(self, which: bool | str | Path) -> None:
        """Take everything back as it was at a checkpoint."""
        self.log.clear()
        self.state = resume(self, chosen(self.folder, which))
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
                    self._save_and_say()
                    interrupt.leave()
                if self.state.step >= self.total_steps or self.state.stopped:
                    return

    def _step(self, batches: list[Batch]) -> None:
        """Update the weights, then log, evaluate, save: in this order, so that a checkpoint holds
        all that happened before."""
        args, done = self.args, self.stepper.step(batches, self.state.step + 1)
        self.state.add(done.loss, done.targets, sum(map(count_rows, batches)))
        self.state.skipped += done.skipped
        self.state.epoch = self.state.step / self.steps_per_epoch
        self.state.seconds += time.perf_counter() - self._clock
        self._clock = time.perf_counter()
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
            "seconds": round(self.state.seconds, 3),
        }
        self.log.add("train", row)
        self._tell("on_log", row)

    def _save(self) -> None:
        """A checkpoint of this moment, where there is a folder."""
        if self.folder is not None:
            self.stepper.check_weights(self.state.step)
            self._tell("on_save", save(self))

    def _save_and_say(self) -> None:
        """Ctrl-C: save, and say how to go on."""
        if self.folder is None:
            self._say("nothing is saved: there is no output_dir")
            return
        self._save()
        self._say(f"saved after step {self.state.step} of {self.total_steps}, in {self.folder}")
        if self.resumed_by:
            self._say(f"go on with\n  {self.resumed_by}")

    def _finish(self) -> TrainOutput:
        """Best weights back, weights into a file, the last words."""
        state, seconds = self.state, self.state.seconds
        if self.args.wants_best:
            self._take_best()
        self.stepper.check_weights(state.step)
        if self.folder is not None:
            self.save_model(self.folder / folders.MODEL)
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
        """How far it went, and what the weights are; folded for a terminal."""
        state = self.state
        steps = f"{state.step} step{'' if state.step == 1 else 's'}"
        text = f"{steps}, {seconds:.3g} s, mean loss {loss:.4g}"
        text += f"; stopped: {state.stopped}" if state.stopped else ""
        if self.args.wants_best and state.best_step is not None:
            name, value = self.args.best_metric, state.best_value
            text += f"; weights of step {state.best_step} taken back ({name} {value:.4g})"
        return textwrap.fill(text, COLUMNS, subsequent_indent="  ")

    def _take_best(self) -> None:
        """The best weights into the model; where there are none any more, the last ones stay."""
        step = self.state.best_step
        if step is None:
            self._say(f"no best {self.args.best_metric} is known: the last weights stay")
        elif self.folder is None:
            self.model.load_state_dict(self._best or {})
        else:
            try:
                self.model.load_state_dict(weights_of(self.folder, step))
            except (OSError, ValueError) as error:
                self.state.best_step = None
                warnings.warn(f"the last weights stay, for the best ones: {error}", stacklevel=4)

    def _evaluate_and_judge(self) -> bool:
        """One row of the log; whether it is the best so far."""
        found = self.evaluate()
        if not math.isfinite(found.get("eval_loss", 0.0)):
            self.stepper.refuse_loss(self.state.step, found["eval_loss"])
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

    def save_model(self, path: str | Path) -> None:
        """The weights alone, for `nn.load_weights`."""
        nn.save_weights(self.model, path)

    def _tell(self, moment: str, *what: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, moment)(self, *what)


def _groups(batches: Iterator[Batch], size: int) -> Iterator[list[Batch]]:
    """Lists of `size` batches; the last of an epoch may be shorter. Takes none before it is asked,
    so that the loader's position is that of the last step."""
    while group := list(islice(batches, size)):
        yield group

"""One update of the weights: forward and backward over its batches, scaling, clipping, the step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_llm import nn, optim
from tinygrad_llm.backend import to_host
from tinygrad_llm.tensor import Tensor
from tinygrad_llm.training.arguments import TrainingArguments
from tinygrad_llm.training.batches import (
    Batch,
    ComputeLoss,
    Part,
    Result,
    count_targets,
    forward,
    parts_of,
)

CLASSES: dict[str, type[optim.Optimizer]] = {
    "adamw": optim.AdamW,
    "adam": optim.Adam,
    "sgd": optim.SGD,
    "rmsprop": optim.RMSprop,
    "lamb": optim.LAMB,
}


SLOWER = "a smaller learning_rate"


class Step(NamedTuple):
    """What one update was: the mean loss over its targets, the norm of the gradient before
    clipping, the learning rate, and whether it was skipped for a gradient not finite in float16."""

    loss: float
    targets: int
    norm: float
    rate: float
    skipped: bool


class _Sum:
    """A part of the loss over the batches of a step: the shares of each, and the mean of all."""

    def __init__(self, expected: int):
        self.expected, self.count, self._summed = expected, 0, 0.0

    def weighted(self, loss: Tensor, count: int) -> Tensor:
        """A batch's mean over `count` targets, by its share of all."""
        self.count += count
        self._summed += count * loss.item()
        return loss if count == self.expected != 0 else loss * (count / max(self.expected, 1))

    @property
    def mean(self) -> float:
        return self._summed / self.count if self.count else 0.0


class Stepper:
    """A model with all that moves it: optimizer, schedule, and in float16 the loss scale."""

    def __init__(
        self,
        model: nn.Module,
        args: TrainingArguments,
        compute_loss: ComputeLoss,
        optimizer: optim.Optimizer,
        schedule: optim.Schedule,
    ):
        self.model, self.args, self.compute_loss = model, args, compute_loss
        self.optimizer, self.schedule = optimizer, schedule
        self.scaler = optim.GradScaler() if args.fp16 else None
        self.parameters = list(model.parameters())
        self.learning = [p for g in optimizer.param_groups for p in g["params"]]
        strange = len({id(p) for p in self.learning} - {id(p) for p in self.parameters})
        if strange:
            raise ValueError(
                f"Trainer: {strange} of the optimizer's {len(self.learning)} parameters are not of "
                "this model: make the optimizer after the model, from model.parameters()"
            )

    def forward(self, batch: Batch) -> Any:
        """The Result of one batch, in float16 where the arguments say so."""
        result = forward(self.model, self.compute_loss, batch, self.args.fp16)
        if result.loss is None:
            raise ValueError("Trainer: there is no loss: the data has no labels")
        if not result.loss.requires_grad:
            raise RuntimeError(
                "compute_loss: no gradient can come back from the loss: it must be computed from "
                "the model's output, by functions of Tensors"
            )
        return result

    def step(self, batches: Sequence[Batch], number: int) -> Step:
        """Update the weights by the mean gradient over all targets of the batches (F66).

        Each batch's mean is weighted by its share of the targets, so that micro-batches of any
        sizes, with any of their labels ignored, add up to what one large batch would give. Of a
        joint loss each part has shares of its own.
        Raises FloatingPointError, before the weights change, for what is not finite.
        """
        for parameter in self.parameters:  # those too that this optimizer does not move
            parameter.grad = None
        sums: list[_Sum] = []
        for batch in batches:
            result = self.forward(batch)
            value = result.loss.item()
            if not math.isfinite(value):
                self._refuse(number, f"the loss is {value}", batch)
            parts = parts_of(result, batch)
            sums = sums or [_Sum(count) for count in self._expected(result, parts, batches)]
            self._backward([each.weighted(*part) for each, part in zip(sums, parts)])
        if len(sums) == 1:
            self._rescale(sums[0])
        rate = self.schedule.get_last_lr()[0]
        norm, skipped = self._move(number, batches[-1])
        mean, total = sum(each.mean for each in sums), sum(each.count for each in sums)
        return Step(mean, total, norm, rate, skipped)

    def _expected(
        self, result: Result, parts: list[Part], batches: Sequence[Batch]
    ) -> tuple[int, ...]:
        """How many targets each part of the loss has in all batches, before they are run.

        Of a joint loss the model knows that: count_targets(batch) gives the numbers of one.
        """
        if result.parts is None:
            return (sum(map(count_targets, batches)),)
        if len(batches) == 1:
            return tuple(count for _, count in parts)
        own = getattr(self.model, "count_targets", None)
        if own is None:
            raise TypeError(
                f"{type(self.model).__name__} answers with .parts: to accumulate batches it needs "
                "a method count_targets(batch) that gives their numbers of targets"
            )
        return tuple(map(sum, zip(*map(own, batches))))

    def _rescale(self, only: _Sum) -> None:
        """The shares were taken of the expected targets; a model may have counted others."""
        if only.count not in (0, only.expected):
            for parameter in self.parameters:
                if parameter.grad is not None:
                    parameter.grad = parameter.grad * (only.expected / only.count)

    def _backward(self, losses: list[Tensor]) -> None:
        loss = sum(losses[1:], losses[0])
        if self.scaler is None:
            loss.backward()
            return
        with np.errstate(over="ignore", invalid="ignore"):  # the scaler looks for it afterwards
            self.scaler.scale(loss).backward()

    def _move(self, number: int, batch: Batch) -> tuple[float, bool]:
        """Unscale, clip, step. -> (norm before clipping, skipped)."""
        if self.scaler:
            self.scaler.unscale_(self.optimizer)  # before clipping, which is in true units (G23)
        norm = optim.clip_grad_norm_(self.learning, self.args.max_grad_norm or math.inf)
        skipped = False
        if self.scaler:
            skipped = not self.scaler.step(self.optimizer)
            self.scaler.update()
            if self.scaler.get_scale() < 2.0**-24:
                self._refuse(number, "no loss scale makes the gradients finite", batch)
        elif math.isfinite(norm):
            self.optimizer.step()
        else:
            self._refuse(number, f"the norm of the gradient is {norm}", batch)
        if not skipped:
            self.schedule.step()
        return norm, skipped

    def _refuse(self, number: int, what: str, batch: Batch) -> None:
        raise FloatingPointError(f"step {number}: {what}; {first_bad(self.model, batch)}")

    def refuse_loss(self, number: int, value: float) -> None:
        """Raise FloatingPointError for the loss of an evaluation."""
        self.check_weights(number)
        raise FloatingPointError(
            f"step {number}: the loss of the evaluation is {value}, with finite weights: begin "
            f"again with {SLOWER}"
        )

    def check_weights(self, number: int) -> None:
        """Raise FloatingPointError where the update has made weights that are not finite: the next
        step would find it, but there may be none, and a checkpoint of them could not go on."""
        bad = _first_bad(("the weight", [(n, p.data) for n, p in self.model.named_parameters()]))
        if bad:
            raise FloatingPointError(f"step {number}: {bad} now: begin again with {SLOWER}")

    def state_dict(self) -> dict[str, Any]:
        """Of schedule and loss scale; the optimizer's has a place of its own."""
        scaler = self.scaler.state_dict() if self.scaler else None
        return {"schedule": self.schedule.state_dict(), "scaler": scaler}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.schedule.load_state_dict(state["schedule"])
        if self.scaler and state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])


def make_optimizer(model: nn.Module, args: TrainingArguments) -> optim.Optimizer:
    """The optimizer that the arguments name; weight decay for matrices only."""
    groups = optim.decay_groups(model, args.weight_decay)
    return CLASSES[args.optim](groups, lr=args.learning_rate, **args.optim_args)


def make_schedule(
    optimizer: optim.Optimizer, args: TrainingArguments, total: int
) -> optim.Schedule:
    """The schedule that the arguments name, over `total` steps."""
    kinds: dict[str, Callable[..., optim.Schedule]] = {
        "linear": optim.linear,
        "cosine": optim.cosine,
        "constant": optim.constant,
    }
    return kinds[args.lr_scheduler_type](
        optimizer,
        total_steps=total,
        warmup_steps=args.warmup_steps,
        warmup_ratio=args.warmup_ratio,
    )


def first_bad(model: nn.Module, batch: Batch) -> str:
    """Where the first value is that is not finite: weights, then gradients, then inputs."""
    named = list(model.named_parameters())
    bad = _first_bad(
        ("the weight", [(name, p.data) for name, p in named]),
        ("the gradient of", [(name, p.grad.data) for name, p in named if p.grad is not None]),
        ("the input", list(batch.items() if isinstance(batch, dict) else enumerate(batch))),
    )
    if bad:
        return f"the first bad one is {bad}"
    return (
        f"weights, gradients and inputs are finite: the loss overflows: begin again with {SLOWER}"
    )


def _first_bad(*kinds: tuple[str, list[tuple[Any, Any]]]) -> str:
    """The first array with numbers that are not finite, and how many; "" where there is none."""
    for what, arrays in kinds:
        for name, array in arrays:
            array = to_host(array) if hasattr(array, "dtype") else np.zeros(0)
            bad = int((~np.isfinite(array)).sum()) if array.dtype.kind == "f" else 0
            if bad:
                return f"{what} {name}: {bad} of {array.size} are not finite"
    return ""

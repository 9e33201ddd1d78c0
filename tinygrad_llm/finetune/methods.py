"""What each method trains, and on what: the whole model, its head on features, or LoRA."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from tinygrad_llm import nn, optim
from tinygrad_llm.finetune.examples import Examples, length
from tinygrad_llm.finetune.features import Features, Head, features
from tinygrad_llm.finetune.freezing import counted
from tinygrad_llm.finetune.lora import add_lora
from tinygrad_llm.finetune.options import FinetuneOptions
from tinygrad_llm.finetune.rates import GradualUnfreezing, layered_groups
from tinygrad_llm.finetune.start import Start
from tinygrad_llm.training import Callback


class Sets(NamedTuple):
    """The three parts as token ids."""

    train: Examples
    valid: Examples
    test: Examples


class Work(NamedTuple):
    """What a Trainer gets: the module that it trains, the datasets to learn from, to choose by and
    to judge by, and how to go about them. trained, parameters: how many numbers learn, and how many
    the whole model has."""

    module: nn.Module
    datasets: tuple[Any, Any, Any]
    trained: int
    parameters: int
    collate_fn: Callable[[list], Any] | None = None
    length: Callable[[Any], int] | None = None
    optimizer: optim.Optimizer | None = None
    callbacks: tuple[Callback, ...] = ()

    @property
    def seconds(self) -> float:
        """What it took to compute the features that are learnt from and chosen by, if any."""
        return sum(getattr(each, "seconds", 0.0) for each in self.datasets[:2])


def prepare(options: FinetuneOptions, begun: Start, sets: Sets, quiet: bool = False) -> Work:
    """Freeze what does not learn and add what learns; the model is on its device already.

    Of "head" the module is a `Head` on `Features`, which are computed when they are asked for; of
    the others it is the model itself.
    Raises ValueError as `add_lora`.
    """
    return {"full": _full, "head": _head, "lora": _lora}[options.method](
        options, begun, sets, quiet
    )


def _full(options: FinetuneOptions, begun: Start, sets: Sets, quiet: bool) -> Work:
    """All learns; with rates by layer, or thawing, where the options say so."""
    optimizer, callbacks = None, list[Callback]()
    if options.layer_decay < 1.0:
        rate, decay = float(options.learning_rate or 0.0), float(options.weight_decay or 0.0)
        groups = layered_groups(begun.model, rate, options.layer_decay, decay)
        optimizer = optim.AdamW(groups, lr=rate)
    if options.unfreeze_every is not None:
        callbacks.append(GradualUnfreezing(options.unfreeze_every))
    trained, parameters = counted(begun.model)
    how = sets.train.collate_fn, length, optimizer, tuple(callbacks)
    return Work(begun.model, sets, trained, parameters, *how)


def _head(options: FinetuneOptions, begun: Start, sets: Sets, quiet: bool) -> Work:
    """The body gives its features once, and the head alone is trained on them."""
    head = Head(begun.model)
    parts = [
        Features(
            partial(features, begun.model, each, each.collate_fn, quiet=quiet),
            each.labels,
        )
        for each in sets
    ]
    trained, (_, parameters) = counted(head)[0], counted(begun.model)
    return Work(head, (parts[0], parts[1], parts[2]), trained, parameters)


def _lora(options: FinetuneOptions, begun: Start, sets: Sets, quiet: bool) -> Work:
    """Updates of low rank learn, and the head."""
    targets: Any = "all" if options.lora_targets == "all" else options.lora_names
    add_lora(begun.model, options.rank, float(options.alpha), targets, options.rslora)
    return Work(begun.model, sets, *counted(begun.model), sets.train.collate_fn, length)

"""A run to be killed: `python -m tests.training.victim FOLDER [KILL]` trains, resuming if it can.

KILL says where the process ends itself by SIGKILL: "seconds:0.4" after the first step began, or at
the n-th time of an event: "before rename:2", "after rename:2", "write:3" (half of a checkpoint is
in the temporary file), "evaluate:5" (a batch of an evaluation), "log:4" (half a row is written),
"delete:1" (an old checkpoint is gone), "forward:37". At the end it prints a digest of the weights
and of the log without its seconds. Everything that a checkpoint must hold is at work: dropout,
augmentation, accumulation with a ragged end, a schedule, prefetch, early stopping, best weights.
"""

from __future__ import annotations

import csv
import hashlib
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tinygrad_llm import data, manual_seed, models
from tinygrad_llm.files import atomic
from tinygrad_llm.training import Callback, Trainer, TrainingArguments, logs
from tinygrad_llm.training import checkpoints as files
from tinygrad_llm.training.folder import has_run

STEPS = 60


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Countdown:
    """Dies at the n-th call, after doing what it was given to do first."""

    def __init__(self, count: int):
        self.left = count

    def __call__(self, first: Any = None) -> None:
        self.left -= 1
        if not self.left:
            if first is not None:
                first()
            die()


class AfterSeconds(Callback):
    def __init__(self, seconds: float):
        self.seconds = seconds

    def on_train_begin(self, trainer: Any) -> None:
        def wait() -> None:
            time.sleep(self.seconds)
            die()

        threading.Thread(target=wait, daemon=True).start()


def arm(kill: str, model: models.MLP) -> list[Callback]:
    """Plant the end of the process."""
    event, _, when = kill.partition(":")
    if event == "seconds":
        return [AfterSeconds(float(when))]
    countdown = Countdown(int(when))
    if event.endswith("rename"):
        _around_rename(countdown, before=event.startswith("before"))
    elif event == "write":
        _in_the_middle_of_a_write(countdown)
    elif event == "log":
        _in_the_middle_of_a_row(countdown)
    elif event == "delete":
        unlink = Path.unlink

        def delete(path: Path, missing_ok: bool = False) -> None:
            unlink(path, missing_ok)
            countdown()

        files.Path.unlink = delete  # type: ignore[method-assign]
    else:
        training = event == "forward"
        model.register_forward_hook(
            lambda module, *_: countdown() if module.training == training else None
        )
    return []


def _around_rename(countdown: Countdown, before: bool) -> None:
    replace = os.replace

    def rename(old: Any, new: Any) -> None:
        if before:
            countdown()
        replace(old, new)
        if not before:
            countdown()

    atomic.os.replace = rename


def _in_the_middle_of_a_write(countdown: Countdown) -> None:
    copy = atomic._copy_permissions

    def planted(old: Path, new: Path) -> None:
        copy(old, new)
        countdown(lambda: new.write_bytes(b"\x10\x00\x00"))

    atomic._copy_permissions = planted


def _in_the_middle_of_a_row(countdown: Countdown) -> None:
    append = logs._append

    def planted(path: Path, text: str) -> None:
        countdown(lambda: append(path, text[: len(text) // 2]))
        append(path, text)

    logs._append = planted


def shifted(batch: tuple[Any, ...], generator: Any) -> tuple[Any, ...]:
    """Pictures moved by up to a pixel."""
    x, y = batch
    return data.augment.shift(x.reshape(-1, 8, 8), 1, generator).reshape(x.shape), y


def trainer(folder: str | Path, callbacks: list[Callback], model: models.MLP) -> Trainer:
    images, labels = data.load_digits()
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=STEPS,
        per_device_train_batch_size=16,
        gradient_accumulation_steps=2,
        learning_rate=3e-3,
        weight_decay=0.01,
        lr_scheduler_type="cosine",
        warmup_ratio=0.1,
        logging_steps=4,
        eval_steps=6,
        save_steps=5,
        save_total_limit=2,
        early_stopping_patience=5,
        dataloader_prefetch=2,
        quiet=True,
    )
    return Trainer(
        model,
        arguments,
        (images[:330], labels[:330]),  # 21 batches an epoch, the last of 10 rows
        (images[330:700], labels[330:700]),
        callbacks=callbacks,
        transform=shifted,
    )


def digest(run: Trainer, folder: Path) -> str:
    """Of the weights, and of all logged numbers but seconds."""
    found = hashlib.sha256()
    for name, value in run.model.state_dict().items():
        found.update(name.encode() + value.numpy().tobytes())
    for name in ("train.csv", "eval.csv"):
        with open(folder / name, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                row.pop("seconds", None)
                found.update(repr(sorted(row.items())).encode())
    return found.hexdigest()


def main(folder: str, kill: str = "") -> None:
    manual_seed(7)
    model = models.MLP([64, 48, 10], dropout=0.2)
    run = trainer(folder, arm(kill, model) if kill else [], model)
    run.train(resume_from_checkpoint=has_run(Path(folder)))
    print(digest(run, Path(folder)))


if __name__ == "__main__":
    main(*sys.argv[1:])

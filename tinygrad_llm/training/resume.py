"""Saving a run and going on: all of a Trainer into a checkpoint, and back."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinygrad_llm.backend import random
from tinygrad_llm.data import row_hash
from tinygrad_llm.training.checkpoints import (
    Checkpoint,
    checkpoint_path,
    checkpoints,
    latest,
    load_checkpoint,
    rotate,
    save_checkpoint,
    set_aside,
    sweep,
)
from tinygrad_llm.training.logs import FILES
from tinygrad_llm.training.state import TrainerState

FREE = {"output_dir", "overwrite_output_dir", "disable_tqdm", "quiet", "save_total_limit"}
"""Arguments that may differ when a run goes on, without a word."""

OF_OPTIMIZER = {"learning_rate", "weight_decay", "optim_args"}
"""Arguments that, where they differ, take the place of what the checkpoint's optimizer had."""

SAMPLE = 16
"""Rows by which a dataset is known again."""


def collected(trainer: Any) -> dict[str, Any]:
    """All of a run beside weights and moments, as JSON can hold it."""
    return {
        "state": trainer.state.to_dict(),
        "args": trainer.args.to_dict(),
        "model": repr(trainer.model),
        "data": fingerprint(trainer.train_dataset),
        "stepper": trainer.stepper.state_dict(),
        "loader": trainer.loader.state_dict(),
        "random": random.state(),
        "log": trainer.log.position(),
        "callbacks": [[type(each).__name__, each.state_dict()] for each in trainer.callbacks],
    }


def fingerprint(dataset: Any) -> str:
    """A hash of some rows, spread over all; "" where rows are not the same twice, or of no kind
    that can be hashed."""
    places = np.linspace(0, len(dataset) - 1, min(SAMPLE, len(dataset))).astype(int).tolist()
    try:
        twice = {row_hash([dataset[i] for i in places]) for _ in range(2)}
    except TypeError:
        return ""
    return twice.pop() if len(twice) == 1 else ""


def check_saveable(trainer: Any) -> None:
    """Find out before the first step what JSON could not hold. Raises TypeError."""
    try:
        json.dumps([collected(trainer), trainer.stepper.optimizer.state_dict()["param_groups"]])
    except TypeError as error:
        raise TypeError(
            f"Trainer: a checkpoint cannot hold this: {error}; settings of the optimizer and "
            "states of callbacks must be plain numbers, texts, lists and dicts"
        ) from None


def save(trainer: Any) -> Path:
    """A checkpoint of a Trainer at this moment; older ones go, but for the last and the best."""
    path = checkpoint_path(trainer.folder, trainer.state.step)
    weights = {name: value.numpy() for name, value in trainer.model.state_dict().items()}
    optimizer = trainer.stepper.optimizer.state_dict()
    save_checkpoint(path, weights, optimizer, collected(trainer))
    rotate(trainer.folder, trainer.args.save_total_limit, trainer.best_step)
    path.with_name(f"{path.name}.old").unlink(missing_ok=True)  # see set_aside: it is made again
    return path


def chosen(folder: Path | None, which: bool | str | os.PathLike[str]) -> Path:
    """The checkpoint to resume from: the newest of the folder, or the one that is named.

    Raises FileNotFoundError where there is none, ValueError without a folder and for a checkpoint
    that lies elsewhere: its log and its best weights are there too.
    """
    if folder is None:
        raise ValueError("Trainer: to resume, set output_dir to the folder of the run")
    if which is True:
        return latest(folder)
    path = Path(os.fspath(which)).absolute()  # type: ignore[arg-type]
    home, path = (path, latest(path)) if path.is_dir() else (path.parent, path)
    if home.resolve() != folder.resolve():
        raise ValueError(
            f"{path} lies elsewhere than output_dir, {folder}: set output_dir to its folder, or to "
            "a copy of that whole folder"
        )
    return folder / path.name


def resume(trainer: Any, path: Path) -> TrainerState:
    """Put a Trainer back to where a checkpoint in its folder was written.

    Raises ValueError, naming the file, for one that is damaged (and says how to go on without it),
    or of another model, data or optimizer. The model is as before then.
    """
    saved = _read(path, trainer.resumed_by or "resume")
    try:
        _fit(trainer, saved.found)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: {error}; make model, data and arguments as they were when this run began, or "
            "give another output_dir"
        ) from error
    _restore_callbacks(trainer.callbacks, saved.callbacks)
    sweep(trainer.folder)
    for aside in set_aside(trainer.folder, saved.state.step):
        warnings.warn(
            f"{aside.stem} is after step {saved.state.step}: it is {aside.name} now", stacklevel=5
        )
    trainer.log.go_back(saved.position)
    random.restore(saved.streams)
    return _without_lost_best(trainer, saved.state)


class _Saved(NamedTuple):
    """A checkpoint whose parts are what they should be."""

    found: Checkpoint
    state: TrainerState
    streams: random.State
    position: dict[str, int]
    callbacks: list[tuple[str, dict[str, Any]]]


def _read(path: Path, resumed_by: str) -> _Saved:
    try:
        found = load_checkpoint(path)
        run = found.run
        position = {name: int(run["log"].get(name, 0)) for name in FILES.values()}
        callbacks = [(str(name), dict(values)) for name, values in run["callbacks"]]
        for part in ("args", "stepper", "loader"):
            if not isinstance(run[part], dict):
                raise TypeError(f"its {part} is no dict")
        state = TrainerState.from_dict(run["state"])
        return _Saved(found, state, _streams(run["random"]), position, callbacks)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        said = str(error).removeprefix(f"{path}: ")
        raise ValueError(f"{path}: {said}; {_without(path, resumed_by)}") from error


def _fit(trainer: Any, found: Checkpoint) -> None:
    """Give loader, optimizer, schedule and, last, the model what a checkpoint holds."""
    own = {name: p.shape for name, p in trainer.model.named_parameters()}
    if own != {name: array.shape for name, array in found.model.items()}:
        trainer.model.load_state_dict(found.model)  # which says what does not fit
    changed = _changed(found.run["args"], trainer.args.to_dict())
    trainer.loader.load_state_dict(found.run["loader"])
    _check_data(found.run, trainer)
    _restore_optimizer(trainer, found, changed)
    trainer.model.load_state_dict(found.model)


def _streams(saved: Any) -> random.State:
    seed, streams = saved
    return random.State(int(seed), {str(n): (int(k), int(at)) for n, (k, at) in streams.items()})


def _check_data(run: dict[str, Any], trainer: Any) -> None:
    here = fingerprint(trainer.train_dataset)
    if run["data"] and here and run["data"] != here:
        raise ValueError("its data has other rows than this train_dataset")
    if run["model"] != repr(trainer.model):
        warnings.warn(f"the model was {run['model']} and is {trainer.model!r}", stacklevel=6)


def _changed(then: dict[str, Any], now: dict[str, Any]) -> set[str]:
    """Names of arguments that differ; they are told."""
    now = json.loads(json.dumps(now))
    names = [name for name in now if name not in FREE and then.get(name, now[name]) != now[name]]
    if "optim" in names:
        raise ValueError(f"its optimizer is {then['optim']!r}, and now it is {now['optim']!r}")
    if names:
        told = "; ".join(f"{name} was {then[name]!r} and is {now[name]!r}" for name in names)
        warnings.warn(
            f"the run goes on with other arguments: {told}: it will not end as the one that was "
            "begun",
            stacklevel=6,
        )
    return set(names)


def _restore_optimizer(trainer: Any, found: Checkpoint, changed: set[str]) -> None:
    """Moments and schedule; settings that the arguments now give otherwise are those of now."""
    stepper, saved, schedule = trainer.stepper, found.optimizer, found.run["stepper"]["schedule"]
    if changed & OF_OPTIMIZER:
        now = stepper.optimizer.state_dict()["param_groups"]
        saved = {"state": saved["state"], "param_groups": now}
        schedule = {**schedule, "base_lrs": stepper.schedule.state_dict()["base_lrs"]}
    stepper.optimizer.load_state_dict(saved)
    stepper.load_state_dict({**found.run["stepper"], "schedule": schedule})


def _restore_callbacks(callbacks: Any, kept: list[tuple[str, dict[str, Any]]]) -> None:
    """Each callback gets the first state, not given yet, of its class."""
    for callback in callbacks:
        own = next((i for i, (name, _) in enumerate(kept) if name == type(callback).__name__), None)
        if own is not None:
            callback.load_state_dict(kept.pop(own)[1])


def _without(path: Path, resumed_by: str) -> str:
    """How to go on instead, from another one if there is a whole one."""
    others = [other for other in checkpoints(path.parent).values() if other != path]
    for other in reversed(others):
        try:
            load_checkpoint(other)
        except (OSError, ValueError):
            continue
        return f"{other.name} is whole: delete {path.name}, and go on with {resumed_by}"
    return "no other is whole: delete them all, and the run begins again"


def _without_lost_best(trainer: Any, state: TrainerState) -> TrainerState:
    """Forget a best step whose file is gone: the next evaluation will be the best."""
    step, folder = state.best_step, trainer.folder
    if step is not None and not checkpoint_path(folder, step).exists():
        warnings.warn(f"the best weights, of step {step}, are gone from {folder}", stacklevel=6)
        state.best_step = state.best_value = None
    return state


def weights_of(folder: Path, step: int) -> dict[str, Any]:
    """The weights in a checkpoint."""
    return load_checkpoint(checkpoint_path(folder, step)).model

"""The folder of a run: what lies in it, its checkpoints, and the way back to one."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from tinygrad_llm.backend import random
from tinygrad_llm.data import row_hash
from tinygrad_llm.files import write_json
from tinygrad_llm.training.checkpoints import (
    FORMAT,
    Checkpoint,
    checkpoint_path,
    checkpoints,
    latest,
    load_checkpoint,
    rotate,
    save_checkpoint,
    sweep,
)
from tinygrad_llm.training.logs import FILES
from tinygrad_llm.training.state import TrainerState

RUN, TEST, MODEL = "run.json", "test.json", "model.safetensors"
"""What the run is, when the test set was read, and the weights at the end."""

FREE = {"output_dir", "overwrite_output_dir", "disable_tqdm", "quiet", "save_total_limit"}
"""Arguments that may differ when a run goes on, without a word."""

OF_OPTIMIZER = {"learning_rate", "weight_decay", "optim_args"}
"""Arguments that, where they differ, take the place of what the checkpoint's optimizer had."""


def has_run(folder: Path | None) -> bool:
    """Whether a run of ours has begun there."""
    return folder is not None and _is_ours(folder / RUN)


def has_only_begun(folder: Path | None) -> bool:
    """Whether a run has begun there and has no checkpoint yet."""
    return folder is not None and has_run(folder) and not checkpoints(folder)


def _is_ours(path: Path) -> bool:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("format") == FORMAT


def make_ready(trainer: Any, overwrite: bool) -> None:
    """Make the folder, or empty it of an earlier run's files where that is allowed; leave a mark.

    Raises FileExistsError for a run that was begun there, and for files of the same names that no
    run of ours has written; these are never deleted.
    """
    folder: Path = trainer.folder
    folder.mkdir(parents=True, exist_ok=True)
    there = [folder / name for name in (*FILES.values(), MODEL) if (folder / name).exists()]
    if not has_run(folder):
        there += [folder / RUN] if (folder / RUN).exists() else []
        there += checkpoints(folder).values()
        if there:
            raise FileExistsError(
                f"{folder} has {there[0].name}, which is of no run begun there: "
                "give another folder, or move the file away"
            )
    elif not overwrite:
        raise FileExistsError(
            f"{folder} has an earlier run{_how_far(folder)}: go on with "
            "train(resume_from_checkpoint=True), set overwrite_output_dir, or give another folder"
        )
    else:
        _delete(folder, there)
    write_json(folder / RUN, {"format": FORMAT, "arguments": trainer.args.to_dict()})


def _how_far(folder: Path) -> str:
    return f", up to step {max(found)}" if (found := checkpoints(folder)) else ""


def _delete(folder: Path, named: list[Path]) -> None:
    sweep(folder)
    for path in (*named, *checkpoints(folder).values(), folder / TEST):
        path.unlink(missing_ok=True)


# Saving


def collected(trainer: Any) -> dict[str, Any]:
    """All of a run beside weights and moments, as JSON can hold it."""
    return {
        "state": trainer.state.to_dict(),
        "args": trainer.args.to_dict(),
        "model": repr(trainer.model),
        "data": row_hash(trainer.first_batch),
        "stepper": trainer.stepper.state_dict(),
        "loader": trainer.loader.state_dict(),
        "random": random.state(),
        "log": trainer.log.position(),
        "callbacks": [[type(each).__name__, each.state_dict()] for each in trainer.callbacks],
    }


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
    return path


# Going on


def chosen(folder: Path | None, which: bool | str | os.PathLike[str]) -> Path:
    """The checkpoint to resume from: the newest of a folder, or the file itself.

    Raises FileNotFoundError where there is none, ValueError without a folder.
    """
    if which is True:
        if folder is None:
            raise ValueError("Trainer: without output_dir there is nothing to resume: name a file")
        return latest(folder)
    path = Path(os.fspath(which))  # type: ignore[arg-type]
    return (latest(path) if path.is_dir() else path).absolute()


def resume(trainer: Any, path: Path) -> TrainerState:
    """Put a Trainer back to where a checkpoint was written.

    Raises ValueError, naming the file, for one that is damaged (it then names the one before it,
    which is still there), or of another model, data or optimizer. The model is as before then.
    """
    at_home = trainer.folder is not None and path.parent == trainer.folder
    saved = _read(path)
    before = trainer.model.state_dict()
    try:
        _fit(trainer, saved.found)
    except (KeyError, TypeError, ValueError) as error:
        trainer.model.load_state_dict(before)
        raise ValueError(
            f"{path}: {error}; make model, data and arguments as they were when this run began, or "
            "give another output_dir"
        ) from error
    _restore_callbacks(trainer.callbacks, saved.callbacks)
    if at_home:
        sweep(trainer.folder)
        _set_aside(trainer.folder, saved.state.step)
        trainer.log.go_back(saved.position)
    elif trainer.folder is not None:
        make_ready(trainer, trainer.args.overwrite_output_dir)
        _bring_best(path.parent, trainer.folder, saved.state)
    random.restore(saved.streams)
    return _without_lost_best(trainer, saved.state)


class _Saved(NamedTuple):
    """A checkpoint whose parts are what they should be."""

    found: Checkpoint
    state: TrainerState
    streams: random.State
    position: dict[str, int]
    callbacks: list[tuple[str, dict[str, Any]]]


def _read(path: Path) -> _Saved:
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
        raise ValueError(f"{path}: {said}{_the_one_before(path)}") from error


def _fit(trainer: Any, found: Checkpoint) -> None:
    """Give model, loader, optimizer and schedule what a checkpoint holds."""
    trainer.model.load_state_dict(found.model)
    changed = _changed(found.run["args"], trainer.args.to_dict())
    trainer.loader.load_state_dict(found.run["loader"])
    _check_data(found.run, trainer)
    _restore_optimizer(trainer, found, changed)


def _streams(saved: Any) -> random.State:
    seed, streams = saved
    return random.State(int(seed), {str(n): (int(k), int(at)) for n, (k, at) in streams.items()})


def _check_data(run: dict[str, Any], trainer: Any) -> None:
    if run["data"] != row_hash(trainer.first_batch):
        raise ValueError("its first rows are others than those of this train_dataset")
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


def _set_aside(folder: Path, step: int) -> None:
    """Rename checkpoints after this step: the run will come to those steps again, and they must
    not be taken for its newest."""
    for later, path in checkpoints(folder).items():
        if later > step:
            aside = path.with_name(f"{path.name}.old")
            path.replace(aside)
            warnings.warn(f"{path.name} is after step {step}: it is {aside.name} now", stacklevel=6)


def _bring_best(source: Path, folder: Path, state: TrainerState) -> None:
    """Copy the best checkpoint of a run that goes on in another folder."""
    if state.best_step is not None and checkpoint_path(source, state.best_step).exists():
        shutil.copyfile(
            checkpoint_path(source, state.best_step), checkpoint_path(folder, state.best_step)
        )


def _the_one_before(path: Path) -> str:
    """Where to go on instead, if there is a whole one."""
    others = [other for other in checkpoints(path.parent).values() if other != path]
    for other in reversed(others):
        try:
            load_checkpoint(other)
        except (OSError, ValueError):
            continue
        return f'; {other.name} is whole: train(resume_from_checkpoint="{other}")'
    return ""


def _without_lost_best(trainer: Any, state: TrainerState) -> TrainerState:
    """Forget a best step whose file is gone: the next evaluation will be the best."""
    step, folder = state.best_step, trainer.folder
    if step is not None and (folder is None or not checkpoint_path(folder, step).exists()):
        warnings.warn(f"the best weights, of step {step}, are gone from {folder}", stacklevel=6)
        state.best_step = state.best_value = None
    return state


def weights_of(folder: Path, step: int) -> dict[str, Any]:
    """The weights in a checkpoint."""
    return load_checkpoint(checkpoint_path(folder, step)).model


# The test set


def test_record(folder: Path | None) -> dict[str, Any] | None:
    """When the test set was read, if it was. Raises ValueError for a file that does not say."""
    path = folder / TEST if folder else None
    if path is None or not path.exists():
        return None
    if not _is_ours(path):
        raise ValueError(f"{path} is no record of a test: move it away, or give another output_dir")
    return json.loads(path.read_text(encoding="utf-8"))


def keep_test_record(folder: Path | None, row: dict[str, Any]) -> None:
    """Write down that the test set is read."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / TEST, {"format": FORMAT, **row})

"""The folder of a run: its checkpoints, the way back to one, and the record of the test set."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from tinygrad_llm.backend import random
from tinygrad_llm.files import write_json
from tinygrad_llm.training.checkpoints import (
    checkpoint_path,
    checkpoints,
    latest,
    load_checkpoint,
    rotate,
    save_checkpoint,
    sweep,
)
from tinygrad_llm.training.logs import RunLog
from tinygrad_llm.training.state import TrainerState

TEST_FILE = "test.json"

FREE = {"output_dir", "overwrite_output_dir", "disable_tqdm", "quiet", "save_total_limit"}
"""Arguments that may differ when a run goes on, without a word."""


def make_ready(folder: Path | None, log: RunLog, overwrite: bool) -> None:
    """Make the folder, or empty it of an earlier run's files where that is allowed."""
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    old = checkpoints(folder)
    if old and not overwrite:
        raise FileExistsError(
            f"{folder} has checkpoints of an earlier run, up to step {max(old)}: go on with "
            "train(resume_from_checkpoint=True), set overwrite_output_dir, or give another folder"
        )
    for path in old.values():
        path.unlink()
    (folder / TEST_FILE).unlink(missing_ok=True)
    log.delete()


def save(trainer: Any) -> Path:
    """A checkpoint of a Trainer at this moment; older ones go, but for the last and the best."""
    path = checkpoint_path(trainer.folder, trainer.state.step)
    weights = {name: value.numpy() for name, value in trainer.model.state_dict().items()}
    run = {
        "state": trainer.state.to_dict(),
        "args": trainer.args.to_dict(),
        "stepper": trainer.stepper.state_dict(),
        "loader": trainer.loader.state_dict(),
        "random": random.state(),
        "log": trainer.log.position(),
        "callbacks": [callback.state_dict() for callback in trainer.callbacks],
    }
    save_checkpoint(path, weights, trainer.stepper.optimizer.state_dict(), run)
    best = trainer.state.best_step if trainer.args.wants_best else None
    rotate(trainer.folder, trainer.args.save_total_limit, best)
    return path


def resume(trainer: Any, which: bool | str | Path) -> TrainerState:
    """Put a Trainer back to where a checkpoint was written.

    Raises ValueError, naming the file, for one that is damaged or of another model, data or
    optimizer; it then names the one before it, which is still there.
    """
    path = _chosen(trainer.folder, which)
    try:
        found = load_checkpoint(path)
        _warn_of_changes(found.run["args"], trainer.args.to_dict())
        trainer.model.load_state_dict(found.model)
        trainer.stepper.optimizer.load_state_dict(found.optimizer)
        trainer.stepper.load_state_dict(found.run["stepper"])
        trainer.loader.load_state_dict(found.run["loader"])
        state = TrainerState(**found.run["state"])
    except (KeyError, TypeError, ValueError) as error:
        said = str(error).removeprefix(f"{path}: ")
        raise ValueError(f"{path}: {said}{_the_one_before(path)}") from error
    for callback, kept in zip(trainer.callbacks, found.run["callbacks"]):
        callback.load_state_dict(kept)
    sweep(path.parent)
    trainer.log.go_back(found.run["log"])
    seed, streams = found.run["random"]
    random.restore(random.State(seed, {name: tuple(at) for name, at in streams.items()}))
    return _without_lost_best(trainer.folder, state)


def _chosen(folder: Path | None, which: bool | str | Path) -> Path:
    if which is not True:
        return Path(which)  # type: ignore[arg-type]
    if folder is None:
        raise ValueError("Trainer: without output_dir there is nothing to resume: name a file")
    return latest(folder)


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


def _warn_of_changes(then: dict[str, Any], now: dict[str, Any]) -> None:
    changed = [
        f"{name} was {then[name]!r} and is {now[name]!r}"
        for name in now
        if name in then and name not in FREE and then[name] != now[name]
    ]
    if changed:
        warnings.warn(
            f"the run goes on with other arguments: {'; '.join(changed)}: it will not end as the "
            "one that was begun",
            stacklevel=4,
        )


def _without_lost_best(folder: Path | None, state: TrainerState) -> TrainerState:
    """Forget a best step whose file is gone: the next evaluation will be the best."""
    step = state.best_step
    if step is not None and (folder is None or not checkpoint_path(folder, step).exists()):
        warnings.warn(f"the best weights, of step {step}, are gone from {folder}", stacklevel=4)
        state.best_step = state.best_value = None
    return state


def weights_of(folder: Path, step: int) -> dict[str, Any]:
    """The weights in a checkpoint."""
    return load_checkpoint(checkpoint_path(folder, step)).model


def test_record(folder: Path | None) -> dict[str, Any] | None:
    """When the test set was read, if it was."""
    path = folder / TEST_FILE if folder else None
    return json.loads(path.read_text(encoding="utf-8")) if path and path.exists() else None


def keep_test_record(folder: Path | None, row: dict[str, Any]) -> None:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / TEST_FILE, row)

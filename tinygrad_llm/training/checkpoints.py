"""Checkpoints: all of a run in one file, so that it is there whole or not at all.

A checkpoint is a safetensors file: the weights as `model.<name>`, the optimizer's moments as
`optimizer.<index>.<moment>`, and in the metadata everything else as JSON, with a SHA-256 over it
all. One file, one rename: no moment exists at which half of a checkpoint has taken another's place.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinygrad_llm.files import load_safetensors, save_safetensors

FORMAT = "tinygrad_llm run 1"

_NAME = re.compile(r"checkpoint-(\d+)\.safetensors")
_TEMPORARY = re.compile(r"\.[0-9a-f]{32}\.tmp")


class Checkpoint(NamedTuple):
    """What a file holds: weights by name, the optimizer's state, and the rest of the run."""

    model: dict[str, np.ndarray]
    optimizer: dict[str, Any]
    run: dict[str, Any]


def save_checkpoint(
    path: Path, model: Mapping[str, np.ndarray], optimizer: Mapping[str, Any], run: Any
) -> None:
    """Write one file, atomically. run: what JSON can hold. Raises OSError as `atomic_write`."""
    arrays = {f"model.{name}": array for name, array in model.items()}
    numbers: dict[str, dict[str, Any]] = {}
    for index, values in optimizer["state"].items():
        for name, value in values.items():
            if isinstance(value, np.ndarray):
                arrays[f"optimizer.{index}.{name}"] = value
            else:
                numbers.setdefault(str(index), {})[name] = value
    state = {"groups": optimizer["param_groups"], "numbers": numbers, "run": run}
    text = json.dumps(state, ensure_ascii=False)
    metadata = {"format": FORMAT, "layout": "in_out", "state": text}
    save_safetensors(path, arrays, {**metadata, "sha256": _digest(arrays, text)})


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a file of `save_checkpoint`; it never runs code.

    Raises ValueError that names the file for one that is torn, foreign or changed; OSError where it
    cannot be opened.
    """
    arrays, metadata = load_safetensors(path)
    if metadata.get("format") != FORMAT:
        raise ValueError(
            f"{path}: no checkpoint of a run, which says format {FORMAT!r}; "
            "for weights alone use nn.load_weights"
        )
    text = metadata.get("state", "")
    if metadata.get("sha256") != _digest(arrays, text):
        raise ValueError(f"{path}: its SHA-256 does not fit its content: the file is damaged")
    try:
        return _sorted_out(arrays, json.loads(text))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path}: its state is no state of a run: {error!r:.100}") from None


def _sorted_out(arrays: Mapping[str, np.ndarray], state: Any) -> Checkpoint:
    """What belongs to the model, to the optimizer, and to the run."""
    found: dict[int, dict[str, Any]] = {int(i): dict(v) for i, v in state["numbers"].items()}
    model = {}
    for name, array in arrays.items():
        kind, _, rest = name.partition(".")
        if kind == "model":
            model[rest] = array
        else:
            index, _, moment = rest.partition(".")
            found.setdefault(int(index), {})[moment] = array
    return Checkpoint(model, {"state": found, "param_groups": state["groups"]}, state["run"])


def _digest(arrays: Mapping[str, np.ndarray], text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8"))
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return folder / f"checkpoint-{step}.safetensors"


def checkpoints(folder: str | os.PathLike[str]) -> dict[int, Path]:
    """step → file, in the order of the steps; empty without the folder."""
    folder = Path(folder)
    found = [(_NAME.fullmatch(p.name), p) for p in folder.iterdir()] if folder.is_dir() else []
    return dict(sorted((int(match[1]), path) for match, path in found if match))


def latest(folder: str | os.PathLike[str]) -> Path:
    """The newest checkpoint of a folder. Raises FileNotFoundError without any."""
    found = checkpoints(folder)
    if not found:
        raise FileNotFoundError(f"{folder} has no checkpoint to resume from: train without it")
    return found[max(found)]


def rotate(folder: Path, keep: int, best: int | None) -> None:
    """Delete all but the newest `keep` checkpoints and that of the step `best`."""
    found = checkpoints(folder)
    for step in list(found)[:-keep]:
        if step != best:
            found[step].unlink(missing_ok=True)


def set_aside(folder: Path, step: int) -> list[Path]:
    """Rename checkpoints after this step, to "….old": a run that goes on from it will come to those
    steps again, and they must not be taken for its newest. Returns their new names."""
    later = [path for at, path in checkpoints(folder).items() if at > step]
    return [path.replace(path.with_name(f"{path.name}.old")) for path in later]


def sweep(folder: Path) -> None:
    """Remove what a write that was killed left behind."""
    for path in folder.iterdir():
        if _TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)

"""Runs that have options and a folder: whose the folder is, and whether a run begins or goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tinygrad_llm.files import locked, write_json
from tinygrad_llm.training.checkpoints import checkpoints

OPTIONS = "options.json"
"""What a run is; its first file."""

LOCK = ".lock"
"""Is there while a process trains in the folder."""


class Kind(NamedTuple):
    """A kind of run: what its options.json is marked with, and which options may change when a run
    goes on, as they only say where things are."""

    mark: str
    of_place: tuple[str, ...]


def begun(kind: Kind, options: Any) -> dict[str, Any] | None:
    """What options.json says of the run in `options.out` that goes on; None where one begins.

    Raises FileExistsError for a folder with something in it where a run shall begin,
    FileNotFoundError for one without a run where it shall go on, NotADirectoryError for a file;
    ValueError for options that are not as they were, naming them, and for a broken options.json.
    """
    folder = Path(options.out)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"out {folder} is a file; give the name of a folder")
    saved = _saved(kind, folder / OPTIONS)
    if options.resume:
        return _agreeing(kind, options, saved)
    if saved is not None:
        raise FileExistsError(f"out {folder} has a run: go on with resume, or give another folder")
    present = sorted(p.name for p in folder.glob("*") if not p.name.startswith("."))
    if present:
        raise FileExistsError(f"out {folder} has {present[0]} in it: give a new or empty folder")
    return None


def _saved(kind: Kind, path: Path) -> dict[str, Any] | None:
    """What a file of ours says; None where there is none."""
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        dicts = [isinstance(found[name], dict) for name in ("options", "config")]
        if found["format"] == kind.mark and all(dicts) and found["texts"]:
            return found
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    raise ValueError(f"{path} is of no run of ours, or broken: give another out")


def _agreeing(kind: Kind, options: Any, saved: dict[str, Any] | None) -> dict[str, Any]:
    """What was saved, where the options of now are the same."""
    if saved is None:
        raise FileNotFoundError(
            f"out {options.out} has no run to go on with: leave resume out to begin one"
        )
    then, now = saved["options"], options.to_dict()
    told = [
        f"{name} was {then[name]!r} and is {now[name]!r}"
        for name in now
        if name not in kind.of_place and name in then and then[name] != now[name]
    ]
    if told:
        raise ValueError(f"resume: {'; '.join(told)}: give what it was, or another out")
    return saved


def begin(kind: Kind, folder: Path, options: Any, **said: Any) -> None:
    """Write down whose the folder is, all that a run needs to go on but the weights: of `said` at
    least "config", of the model, and "texts", the hash of what is learnt from."""
    known: dict[str, Any] = {"format": kind.mark, "options": {**options.to_dict(), "resume": False}}
    write_json(folder / OPTIONS, known | said)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Make the folder, and keep other processes out of it. Raises BlockingIOError where one is in
    it."""
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / LOCK, f"a process is training in {folder}: wait for it, or end it"):
        yield


@contextmanager
def saying_how_to_go_on(folder: Path, resumed_by: str) -> Iterator[None]:
    """Print that after Ctrl-C and a polite kill, and where there is a checkpoint after a failure
    from outside, such as a full disk."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, OSError, MemoryError) as error:
        asked = isinstance(error, (KeyboardInterrupt, SystemExit))
        if resumed_by and (asked or checkpoints(folder)):
            print(f"go on with\n  {resumed_by}", flush=True)
        raise

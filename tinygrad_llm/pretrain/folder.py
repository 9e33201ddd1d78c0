"""The folder of a pretraining: whose it is, and whether a run in it may begin or go on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tinygrad_llm.data.hashing import row_hash
from tinygrad_llm.files import locked, write_json
from tinygrad_llm.models import PretrainedModel
from tinygrad_llm.pretrain.options import OF_PLACE, PretrainOptions
from tinygrad_llm.pretrain.texts import Document

OPTIONS = "options.json"
"""What the run is, and the configuration of its model; its first file."""

LOCK = ".lock"
"""Is there while a process trains in the folder."""

FORMAT = "tinygrad_llm pretraining 1"


def check_folder(options: PretrainOptions) -> dict[str, Any] | None:
    """What options.json of the run that goes on says; None for one that begins.

    Raises FileExistsError for a folder with something in it where a run shall begin,
    FileNotFoundError for one without a run where it shall go on, NotADirectoryError for a file;
    ValueError for options that are not as they were, naming them, for an options.json that is
    broken, and for a folder inside that of the data, where its files would be taken for texts.
    """
    folder = Path(options.out)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"out {folder} is a file; give the name of a folder")
    data = Path(options.data)
    if data.is_dir() and data.resolve() in (folder.resolve(), *folder.resolve().parents):
        raise ValueError(f"out {folder} lies in the data, {data}; give a folder outside of it")
    saved = _saved(folder / OPTIONS)
    if options.resume:
        return _agreeing(options, saved)
    if saved is not None:
        raise FileExistsError(f"out {folder} has a run: go on with resume, or give another folder")
    present = sorted(p.name for p in folder.glob("*") if not p.name.startswith("."))
    if present:
        raise FileExistsError(f"out {folder} has {present[0]} in it: give a new or empty folder")
    return None


def _saved(path: Path) -> dict[str, Any] | None:
    """What a file of ours says; None where there is none."""
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        dicts = [isinstance(found[name], dict) for name in ("options", "config")]
        if found["format"] == FORMAT and all(dicts) and found["texts"]:
            return found
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise ValueError(f"{path} is of no run of ours, or broken: give another out")


def _agreeing(options: PretrainOptions, saved: dict[str, Any] | None) -> dict[str, Any]:
    """What was saved, where the options of now are the same."""
    if saved is None:
        raise FileNotFoundError(
            f"out {options.out} has no run to go on with: leave resume out to begin one"
        )
    then, now = saved["options"], options.to_dict()
    told = [
        f"{name} was {then[name]!r} and is {now[name]!r}"
        for name in now
        if name not in OF_PLACE and name in then and then[name] != now[name]
    ]
    if told:
        raise ValueError(f"resume: {'; '.join(told)}: give what it was, or another out")
    return saved


def check_texts(saved: dict[str, Any] | None, documents: Sequence[Document], data: str) -> None:
    """Refuse to go on with other texts. Raises ValueError."""
    if saved is not None and saved["texts"] != _hash_of(documents):
        raise ValueError(f"resume: the texts of {data} have changed since the run began in out")


def check_start(saved: dict[str, Any], options: PretrainOptions, initial: Any) -> None:
    """Refuse to begin a run once more from another model of init. Raises ValueError."""
    if saved["start"] != _start_of(initial):
        raise ValueError(
            f"resume: init {options.init} is not the model that the run in {options.out} began "
            "with, and it has no checkpoint yet: give that init, or another out"
        )


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Make the folder, and keep other processes out of it. Raises BlockingIOError where one is in
    it."""
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / LOCK, f"a process is training in {folder}: wait for it, or end it"):
        yield


def begin(
    folder: Path,
    options: PretrainOptions,
    documents: Sequence[Document],
    initial: PretrainedModel | None,
    model: PretrainedModel,
) -> None:
    """Write down whose the folder is, all that a run needs to go on but the weights."""
    said: dict[str, Any] = {"format": FORMAT, "options": {**options.to_dict(), "resume": False}}
    said |= {"texts": _hash_of(documents), "start": _start_of(initial)}
    write_json(folder / OPTIONS, {**said, "config": asdict(model.config)})


def _start_of(initial: PretrainedModel | None) -> str | None:
    """By what a model of init is known again."""
    if initial is None:
        return None
    return row_hash({name: value.numpy() for name, value in initial.state_dict().items()})


def _hash_of(documents: Sequence[Document]) -> str:
    return row_hash([document.text for document in documents])

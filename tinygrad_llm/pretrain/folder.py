"""The folder of a pretraining: whose it is, and whether a run in it may begin or go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tinygrad_llm.data.hashing import row_hash
from tinygrad_llm.models import PretrainedModel
from tinygrad_llm.pretrain.options import OF_PLACE, PretrainOptions
from tinygrad_llm.pretrain.texts import Document
from tinygrad_llm.training import runs

KIND = runs.Kind("tinygrad_llm pretraining 1", OF_PLACE)


def check_folder(options: PretrainOptions) -> dict[str, Any] | None:
    """What options.json of the run that goes on says; None for one that begins.

    Raises as `runs.begun`, and ValueError for a folder inside that of the data, where its files
    would be taken for texts.
    """
    folder, data = Path(options.out), Path(options.data)
    if data.is_dir() and data.resolve() in (folder.resolve(), *folder.resolve().parents):
        raise ValueError(f"out {folder} lies in the data, {data}; give a folder outside of it")
    return runs.begun(KIND, options)


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


def begin(
    folder: Path,
    options: PretrainOptions,
    documents: Sequence[Document],
    initial: PretrainedModel | None,
    model: PretrainedModel,
) -> None:
    """Write down whose the folder is, all that a run needs to go on but the weights."""
    said = {"texts": _hash_of(documents), "start": _start_of(initial)}
    runs.begin(KIND, folder, options, **said, config=asdict(model.config))


def _start_of(initial: PretrainedModel | None) -> str | None:
    """By what a model of init is known again."""
    if initial is None:
        return None
    return row_hash({name: value.numpy() for name, value in initial.state_dict().items()})


def _hash_of(documents: Sequence[Document]) -> str:
    return row_hash([document.text for document in documents])

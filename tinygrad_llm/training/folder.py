"""The folder of a run: whose it is, what may be deleted in it, and when the test set was read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tinygrad_llm.files import write_json
from tinygrad_llm.training.checkpoints import FORMAT, checkpoints, sweep
from tinygrad_llm.training.logs import FILES

RUN, TEST, MODEL = "run.json", "test.json", "model.safetensors"
"""What the run is, when the test set was read, and the weights at the end."""


def has_run(folder: Path | None) -> bool:
    """Whether a run of ours has begun there."""
    return folder is not None and _ours(folder / RUN) is not None


def has_only_begun(folder: Path | None) -> bool:
    """Whether a run has begun there and has no checkpoint yet."""
    return folder is not None and has_run(folder) and not checkpoints(folder)


def _ours(path: Path) -> dict[str, Any] | None:
    """What a file of ours says; None for a foreign one, or none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("format") == FORMAT else None


def check_free(folder: Path, overwrite: bool) -> None:
    """Raise FileExistsError for a run that was begun there, unless it may be overwritten, and for
    files of the same names that no run of ours has written."""
    if has_run(folder):
        if overwrite:
            return
        steps = checkpoints(folder)
        how_far = f", up to step {max(steps)}" if steps else ""
        raise FileExistsError(
            f"{folder} has an earlier run{how_far}: go on with "
            "train(resume_from_checkpoint=True), set overwrite_output_dir, or give another folder"
        )
    foreign = [path for path in _of_a_run(folder) if path.exists()]
    if foreign:
        raise FileExistsError(
            f"{folder} has {foreign[0].name}, which is of no run begun there: "
            "give another folder, or move the file away"
        )


def _of_a_run(folder: Path) -> list[Path]:
    """All that a run may leave but the record of the test set."""
    named = [folder / name for name in (RUN, MODEL, *FILES.values())]
    return [*named, *checkpoints(folder).values()]


def make_ready(folder: Path, arguments: dict[str, Any]) -> None:
    """Make the folder, empty it of an earlier run's files, and leave a mark; after `check_free`."""
    folder.mkdir(parents=True, exist_ok=True)
    tests = times_read(folder)
    if has_run(folder):
        sweep(folder)
        for path in [
            *_of_a_run(folder),
            folder / TEST,
            *folder.glob("checkpoint-*.safetensors.old"),
        ]:
            path.unlink(missing_ok=True)
    mark = {"format": FORMAT, "arguments": arguments, "tests_before": tests}
    write_json(folder / RUN, mark)


def test_record(folder: Path | None) -> dict[str, Any] | None:
    """When the test set was read in this run, if it was. Raises ValueError for a file of that name
    that does not say."""
    if folder is None or not (folder / TEST).exists():
        return None
    record = _ours(folder / TEST)
    if record is None:
        raise ValueError(
            f"{folder / TEST} is no record of a test: move it away, or give another output_dir"
        )
    return record


def times_read(folder: Path | None) -> int:
    """How often the test set was read in this folder, by runs that were overwritten too."""
    if folder is None:
        return 0
    before = (_ours(folder / RUN) or {}).get("tests_before", 0)
    return before + (1 if test_record(folder) else 0)


def keep_test_record(folder: Path | None, row: dict[str, Any]) -> None:
    """Write down that the test set is read."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / TEST, {"format": FORMAT, **row})

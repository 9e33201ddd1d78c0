"""Writes that happen completely or not at all, so that a crash never leaves half a file."""

from __future__ import annotations

import json
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def atomic_write(
    path: str | os.PathLike[str], mode: str = "wb", encoding: str | None = None
) -> Iterator[IO[Any]]:
    """Yield a file to write; it takes the place of `path` only when the block ends well.

    The content goes to a temporary file in the same folder, reaches the disk, and is then
    renamed. If the block raises, KeyboardInterrupt included, the temporary file is removed and
    the old file stays as it was. A new file gets the permissions that `open` would give it, a
    replaced one keeps those it had. A symbolic link is replaced, not followed.

    mode: "wb", or "w" for text (UTF-8 unless `encoding` says otherwise, "\\n" on every system).
    Raises ValueError for another mode, FileNotFoundError or NotADirectoryError where the folder
    cannot be written in, IsADirectoryError where `path` is a folder, and OSError that names `path`
    for a full disk and the like.
    """
    path = Path(path)
    if mode not in ("w", "wb"):
        raise ValueError(f"atomic_write: mode {mode!r} is not one of 'w' and 'wb'; use one of them")
    _check_target(path)
    newline = None
    if mode == "w":
        encoding, newline = encoding or "utf-8", "\n"
    temporary = path.parent / f".{uuid.uuid4().hex}.tmp"
    try:
        # "x" creates the file or fails: two writers never share one, and the system's umask
        # applies (tempfile would give 0600, and asking for the umask is not thread-safe).
        with open(temporary, mode.replace("w", "x"), encoding=encoding, newline=newline) as file:
            _copy_permissions(path, temporary)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename in (None, str(temporary)):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8, completely or not at all; errors as in `atomic_write`."""
    with atomic_write(path, "w") as file:
        file.write(text)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as indented UTF-8 JSON, completely or not at all.

    Raises TypeError where `value` holds what JSON cannot, else errors as in `atomic_write`.
    """
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def _check_target(path: Path) -> None:
    """Refuse a path that cannot become a file, before anything is written."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the name of a file inside it")
    if not path.parent.exists():
        raise FileNotFoundError(
            f"the folder {path.parent} for {path.name} does not exist; create it first"
        )
    if not path.parent.is_dir():
        raise NotADirectoryError(
            f"{path.parent} is a file, so {path.name} cannot lie in it; give another folder"
        )


def _copy_permissions(old: Path, new: Path) -> None:
    """Give `new` the permissions of `old` where there is one, while `new` is still empty."""
    # Windows knows only "read-only", and a read-only temporary file could not be removed there.
    if os.name != "nt" and old.exists():
        new.chmod(stat.S_IMODE(old.stat().st_mode))

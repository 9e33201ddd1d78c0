"""Manifests: which files a data set is made of, by hash, so that a change does not go unseen."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tinygrad_llm.data.lines import check_regular
from tinygrad_llm.files import write_json

_Path = str | os.PathLike[str]
_CHUNK = 1 << 20  # bytes


def manifest(paths_or_folder: _Path | Iterable[_Path]) -> dict[str, dict[str, Any]]:
    """For each file {"sha256": 64 hexadecimal digits, "bytes": int, "rows": int or None}.

    paths_or_folder: a folder, for all files in it and below, named from there with "/" between and
    in order of their names; or a file, or several of them, named as given. Hidden files and
    folders, whose names begin with a dot, are no data. rows: the lines; None for a file with a
    zero byte, which is no text.
    Raises FileNotFoundError for a path that does not exist, IsADirectoryError for a folder among
    several paths, ValueError for a folder without files, a device, a pipe and a socket.
    """
    if isinstance(paths_or_folder, (str, os.PathLike)):
        if Path(paths_or_folder).is_dir():
            return _of_folder(Path(paths_or_folder))
        paths_or_folder = [paths_or_folder]
    return {os.fspath(path): _describe(Path(path)) for path in paths_or_folder}


def write_manifest(folder: _Path, path: _Path, source: str = "", licence: str = "") -> None:
    """Write the manifest of a folder to the JSON file `path`, completely or not at all.

    source, licence: where the data come from, and what may be done with them, in words.
    The file holds the way to the folder from where it lies itself, so that both can be moved
    together; in the folder, it is no part of the data. Raises NotADirectoryError for a folder that
    is none, ValueError for one without files, else OSError as `atomic_write` does.
    """
    folder, path = Path(folder), Path(path)
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is no folder; give the folder of the data")
    content = {
        "folder": _way(path.parent, folder),
        "source": source,
        "licence": licence,
        "files": _of_folder(folder, leave_out=path),
    }
    write_json(path, content)


def check_manifest(path: _Path) -> None:
    """Compare a folder with its manifest, byte by byte.

    Raises ValueError that names every file that has changed, is missing or is new since the
    manifest was written, and for a file that is no manifest; FileNotFoundError without a manifest
    or without its folder.
    """
    path = Path(path)
    content = _read(path)
    folder = path.parent / content["folder"]
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{path}: its folder {folder} does not exist; put the data there or write it again"
        )
    known, found = content["files"], _of_folder(folder, leave_out=path, may_be_empty=True)
    changes = {
        "changed": [name for name in known if name in found and known[name] != found[name]],
        "missing": [name for name in known if name not in found],
        "new": [name for name in found if name not in known],
    }
    if any(changes.values()):
        parts = [f"{what}: {', '.join(names)}" for what, names in changes.items() if names]
        raise ValueError(
            f"{path}: {'; '.join(parts)}; bring the files back or write the manifest again"
        )


def _of_folder(
    folder: Path, leave_out: Path | None = None, may_be_empty: bool = False
) -> dict[str, dict[str, Any]]:
    """The manifest of the files in a folder and below."""
    names = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    files = {
        name: path
        for name, path in sorted(names.items())
        if path.is_file()
        and not any(part.startswith(".") for part in name.split("/"))
        and not (leave_out is not None and path.absolute() == leave_out.absolute())
    }
    if not files and not may_be_empty:
        raise ValueError(f"{folder} holds no files; give the folder of the data")
    return {name: _describe(path) for name, path in files.items()}


def _describe(path: Path) -> dict[str, Any]:
    """Hash, size and lines of a file, read in pieces."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give it alone, or the files in it")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; check the name and the folder")
    check_regular(path)
    digest, size, lines, last, text = hashlib.sha256(), 0, 0, b"\n", True
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            lines += chunk.count(b"\n")
            text = text and b"\0" not in chunk
            last = chunk[-1:]
    rows = lines + (last != b"\n") if text else None
    return {"sha256": digest.hexdigest(), "bytes": size, "rows": rows}


def _way(start: Path, end: Path) -> str:
    """The relative path from one folder to another; the absolute one where there is none."""
    try:
        return Path(os.path.relpath(end.absolute(), start.absolute())).as_posix()
    except ValueError:  # on another drive of Windows
        return end.absolute().as_posix()


def _read(path: Path) -> dict[str, Any]:
    """The content of a manifest, with the fields that the check needs."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is no file; write it with write_manifest")
    try:
        content = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON ({error}); write it with write_manifest") from None
    if (
        not isinstance(content, dict)
        or not isinstance(content.get("folder"), str)
        or not isinstance(content.get("files"), dict)
    ):
        raise ValueError(f"{path} is no manifest; write it with write_manifest")
    return content

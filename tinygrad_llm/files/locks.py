"""A lock that one process holds at a time, and that the system takes back when the process dies."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}
"""What a file system says that has no locks, as some of clusters; there nobody is kept out."""


@contextmanager
def locked(path: str | os.PathLike[str], held: str) -> Iterator[None]:
    """Hold a lock: a file that is there meanwhile, and that may stay when the process dies.

    Raises BlockingIOError, with the words `held`, where it is held already; OSError where the file
    cannot be made.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_TEMPORARY", 0))
    try:
        if not _taken(handle, path):
            raise BlockingIOError(held)
        try:
            yield
        finally:
            if sys.platform != "win32":  # there the system removes it
                Path(path).unlink(missing_ok=True)
    finally:
        os.close(handle)


def _taken(handle: int, path: str | os.PathLike[str]) -> bool:
    """Whether the lock is ours now, and of the file that others will find under this name."""
    try:
        _lock(handle)
        # Whoever held it may have removed the file after it was opened here.
        return sys.platform == "win32" or os.path.samestat(os.fstat(handle), os.stat(path))
    except (BlockingIOError, PermissionError, FileNotFoundError):
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return True
        raise

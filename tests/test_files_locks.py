"""Tests of locks: one process holds one at a time, and a process that dies leaves it to others."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys

import pytest

from tinygrad_llm.files import locked, locks

HOLDER = """
import sys, time
from tinygrad_llm.files import locked
with locked(sys.argv[1], "held"):
    print("holds", flush=True)
    time.sleep(60)
"""


def take(path):
    with locked(path, f"{path.name} is held"):
        return path.exists()


def test_a_lock_is_held_once_and_leaves_nothing(tmp_path):
    path = tmp_path / ".lock"
    with locked(path, "held"), pytest.raises(BlockingIOError, match=r"^\.lock is held$"):
        take(path)
    assert not path.exists()
    with pytest.raises(ZeroDivisionError), locked(path, "held"):
        raise ZeroDivisionError
    assert take(path) and not path.exists()


def test_it_ends_with_its_process(tmp_path):
    path = tmp_path / ".lock"
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"holds\n"
        with pytest.raises(BlockingIOError):
            take(path)
        holder.send_signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
    assert take(path)


def test_a_file_that_was_removed_before_it_was_locked_is_no_lock(tmp_path, monkeypatch):
    path, real = tmp_path / ".lock", locks._lock

    def lock(handle):
        path.unlink()
        real(handle)

    monkeypatch.setattr(locks, "_lock", lock)
    with pytest.raises(BlockingIOError):
        take(path)


@pytest.mark.parametrize("code, kept_out", [(errno.ENOLCK, False), (errno.EIO, True)])
def test_a_file_system_without_locks_keeps_nobody_out(code, kept_out, tmp_path, monkeypatch):
    def lock(handle):
        raise OSError(code, "said by the system")

    monkeypatch.setattr(locks, "_lock", lock)
    if kept_out:
        with pytest.raises(OSError, match="said by the system"):
            take(tmp_path / ".lock")
    else:
        assert take(tmp_path / ".lock")

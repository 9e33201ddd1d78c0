"""A run killed by SIGKILL at any moment goes on, and ends with the bits of one never killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.victim import STEPS
from tinygrad_llm.training.checkpoints import checkpoints

ROOT = Path(__file__).parents[2]

EVENTS = {
    "before rename": 17,
    "after rename": 17,
    "write": 17,
    "evaluate": 60,
    "log": 50,
    "delete": 14,
    "forward": 2 * STEPS,
}
"""What can be interrupted, and about how often it happens in a run."""

BATCHES = 5
"""Tests that share the kills, so that processes can take some each."""


def kills() -> list[str]:
    """Fifty of them, drawn once: seven events at five moments each, and fifteen by the clock."""
    draw = random.Random(0)
    events = [f"{e}:{draw.randint(1, times)}" for e, times in EVENTS.items() for _ in range(5)]
    return events + [f"seconds:{draw.uniform(0.0, 0.5):.3f}" for _ in range(15)]


def run(folder: Path, kill: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    command = [
        sys.executable,
        "-m",
        "tests.training.victim",
        str(folder),
        *([kill] if kill else []),
    ]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100
    )


@pytest.fixture(scope="module")
def unharmed(tmp_path_factory) -> str:
    done = run(tmp_path_factory.mktemp("unharmed"))
    assert done.returncode == 0, done.stderr
    return done.stdout


def check(kill: str, folder: Path, unharmed: str) -> bool:
    """Kill, go on, compare. Whether the kill came before the end of the run."""
    first = run(folder, kill)
    assert first.returncode in (0, -signal.SIGKILL), first.stderr
    second = run(folder)
    assert second.returncode == 0, f"{kill}: {second.stderr}"
    assert second.stdout == unharmed, kill
    assert not list(folder.glob(".*.tmp")), kill
    assert 1 <= len(checkpoints(folder)) <= 3
    return first.returncode != 0


def test_a_run_is_the_same_twice_and_after_a_kill(tmp_path, unharmed):
    assert check("after rename:4", tmp_path / "a", unharmed)
    assert run(tmp_path / "b").stdout == unharmed


@pytest.mark.slow
@pytest.mark.parametrize("part", range(BATCHES))
def test_fifty_kills(part, tmp_path, unharmed):
    mine = kills()[part::BATCHES]
    died = sum(check(kill, tmp_path / str(i), unharmed) for i, kill in enumerate(mine))
    assert died >= len(mine) - 3  # by the clock some come too late


@pytest.mark.slow
def test_a_run_killed_again_and_again(tmp_path, unharmed):
    draw = random.Random(1)
    for _ in range(12):
        run(tmp_path, f"{draw.choice(list(EVENTS))}:{draw.randint(1, 12)}")
    done = run(tmp_path)
    assert done.stdout == unharmed, done.stderr

"""A pretraining killed by SIGKILL, again and again, ends with the bits of one never killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pretrain.common import write_data
from tests.pretrain.victim import STEPS

ROOT = Path(__file__).parents[2]

EVENTS = {"before rename": 12, "after rename": 12, "write": 12, "log": 14, "step": STEPS}
"""What can be interrupted, and how often at least it happens in a run."""


def run(kind: str, home: Path, kill: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.pretrain.victim", kind, str(home)]
    return subprocess.run(
        [*command, *([kill] if kill else [])],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.fixture(scope="module")
def unharmed(tmp_path_factory) -> dict[str, str]:
    """What each kind prints when nothing happens to it."""
    said = {}
    for kind in ("gpt", "bert"):
        home = tmp_path_factory.mktemp(kind)
        write_data(home)
        done = run(kind, home)
        assert done.returncode == 0, done.stderr
        said[kind] = done.stdout
    return said


def check(kind: str, home: Path, kills: list[str], unharmed: dict[str, str]) -> int:
    """Kill again and again, go on, compare. How many of the kills came before the end."""
    home.mkdir(exist_ok=True)
    write_data(home)
    died = 0
    for kill in kills:
        done = run(kind, home, kill)
        assert done.returncode in (0, -signal.SIGKILL), f"{kill}: {done.stderr}"
        died += done.returncode != 0
    done = run(kind, home)
    assert done.returncode == 0, f"{kills}: {done.stderr}"
    assert done.stdout == unharmed[kind], kills
    assert not list((home / "out").glob(".*.tmp")), kills
    return died


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gpt", "bert"])
def test_three_kills_in_one_run(kind, tmp_path, unharmed):
    kills = ["before rename:3", "log:6", "after rename:4"]
    assert check(kind, tmp_path, kills, unharmed) == 3


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gpt", "bert"])
def test_a_kill_at_any_write(kind, tmp_path, unharmed):
    draw = random.Random(kind)
    kills = [f"{e}:{draw.randint(1, times)}" for e, times in EVENTS.items() for _ in range(2)]
    kills += [f"seconds:{draw.uniform(0.3, 2.0):.3f}" for _ in range(2)]
    died = sum(check(kind, tmp_path / str(i), [k], unharmed) for i, k in enumerate(kills))
    assert died >= len(kills) - 3  # by the clock some come too late

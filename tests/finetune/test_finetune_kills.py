"""A fine-tuning killed by SIGKILL, again and again, ends with the bits of one never killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.finetune.run_common import METHODS, save_model, write_rows
from tests.finetune.victim import STEPS

ROOT = Path(__file__).parents[2]

EVENTS = {
    **{"before rename": 16, "after rename": 16, "write": 16, "log": 29, "step": STEPS},
    **{"judge": 3, "delete": 7},
}
"""What can be interrupted, and how often at least it happens in a run."""


def run(method: str, home: Path, kill: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.finetune.victim", method, str(home)]
    return subprocess.run(
        [*command, *([kill] if kill else [])],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )


def begin(home: Path) -> Path:
    home.mkdir(exist_ok=True)
    write_rows(home)
    save_model(home / "bert")
    return home


@pytest.fixture(scope="module")
def unharmed(tmp_path_factory) -> dict[str, str]:
    """What each method prints when nothing happens to it."""
    said = {}
    for method in METHODS:
        home = begin(tmp_path_factory.mktemp(method))
        done = run(method, home)
        assert done.returncode == 0, done.stderr
        said[method] = done.stdout
    return said


def check(method: str, home: Path, kills: list[str], unharmed: dict[str, str]) -> int:
    """Kill again and again, go on, compare. How many of the kills came before the end."""
    begin(home)
    died = 0
    for kill in kills:
        done = run(method, home, kill)
        assert done.returncode in (0, -signal.SIGKILL), f"{kill}: {done.stderr}"
        died += done.returncode != 0
    done = run(method, home)
    assert done.returncode == 0, f"{kills}: {done.stderr}"
    assert done.stdout == unharmed[method], kills
    assert not list((home / "out").glob(".*.tmp")), kills
    return died


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_three_kills_in_one_run(method, tmp_path, unharmed):
    kills = ["before rename:3", "log:6", "judge:2"]
    assert check(method, tmp_path / "a", kills, unharmed) == 3


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_kill_at_any_write(method, tmp_path, unharmed):
    draw = random.Random(method)
    kills = [f"{e}:{draw.randint(1, times)}" for e, times in EVENTS.items() for _ in range(2)]
    kills += [f"seconds:{draw.uniform(0.3, 2.0):.3f}" for _ in range(2)]
    died = sum(check(method, tmp_path / str(i), [k], unharmed) for i, k in enumerate(kills))
    assert died >= len(kills) - 2  # those by the clock may come too late


@pytest.mark.slow
def test_a_kill_at_each_of_the_last_writes(tmp_path, unharmed):
    """From the second checkpoint on: the best weights, the test, the adapter, the card."""
    kills = [f"{when} rename:{n}" for n in range(8, 18) for when in ("before", "after")]
    died = sum(check("lora", tmp_path / str(i), [k], unharmed) for i, k in enumerate(kills))
    assert died == len(kills)

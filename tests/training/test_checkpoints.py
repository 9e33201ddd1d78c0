"""Tests of checkpoints: what goes in comes out, and nothing else is taken for one."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from tinygrad_llm.files import load_safetensors, save_safetensors
from tinygrad_llm.training.checkpoints import (
    checkpoint_path,
    checkpoints,
    latest,
    load_checkpoint,
    rotate,
    save_checkpoint,
    sweep,
)

MODEL = {"layers.0.weight": np.arange(6.0, dtype=np.float32).reshape(2, 3), "b": np.array(1.5)}
OPTIMIZER = {
    "state": {0: {"step": 3, "m": np.full((2, 3), 0.5, np.float32)}, 7: {"step": 1}},
    "param_groups": [{"lr": 0.1, "betas": [0.9, 0.999], "params": [0, 7]}],
}
RUN = {"state": {"step": 3}, "random": [0, {"批": [2**127, 5]}], "best": float("inf")}


@pytest.fixture
def path(tmp_path):
    save_checkpoint(tmp_path / "checkpoint-3.safetensors", MODEL, OPTIMIZER, RUN)
    return tmp_path / "checkpoint-3.safetensors"


def test_what_goes_in_comes_out(path):
    found = load_checkpoint(path)
    assert found.run == RUN
    assert found.optimizer["param_groups"] == OPTIMIZER["param_groups"]
    assert found.optimizer["state"].keys() == {0, 7}
    assert found.optimizer["state"][7] == {"step": 1}
    assert found.optimizer["state"][0]["step"] == 3
    for name, array in {**MODEL, "m": OPTIMIZER["state"][0]["m"]}.items():
        loaded = found.model[name] if name in MODEL else found.optimizer["state"][0]["m"]
        assert loaded.dtype == array.dtype and np.array_equal(loaded, array)


def test_every_torn_beginning_is_refused_by_name(path):
    whole = path.read_bytes()
    for length in [0, 1, 8, 50, *range(100, len(whole), 37), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="checkpoint-3"):
            load_checkpoint(path)


def test_every_changed_byte_is_refused_by_name(path):
    whole = bytearray(path.read_bytes())
    for place in range(8, len(whole), 11):
        whole[place] ^= 1
        path.write_bytes(whole)
        with pytest.raises(ValueError, match="checkpoint-3"):
            load_checkpoint(path)
        whole[place] ^= 1


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04" + b"\0" * 60, b"hello, this is a text", b"\x80\x04K\x01."]
)
def test_foreign_files_are_refused_by_name(path, content):
    path.write_bytes(content)
    with pytest.raises(ValueError, match="checkpoint-3"):
        load_checkpoint(path)


def test_weights_alone_are_no_checkpoint(path):
    save_safetensors(path, MODEL, {"layout": "in_out"})
    with pytest.raises(ValueError, match=r"checkpoint-3.*no checkpoint of a run.*load_weights"):
        load_checkpoint(path)


@pytest.mark.parametrize("state", ["[]", "{}", "nonsense", '{"numbers": {"a": {}}, "groups": 1}'])
def test_a_state_that_is_none_is_refused_though_its_digest_fits(path, state):
    from tinygrad_llm.training.checkpoints import _digest

    arrays, metadata = load_safetensors(path)
    metadata |= {"state": state, "sha256": _digest(arrays, state)}
    save_safetensors(path, arrays, metadata)
    with pytest.raises(ValueError, match=r"checkpoint-3.*its state is no state of a run"):
        load_checkpoint(path)


def test_checkpoints_are_in_the_order_of_their_steps(tmp_path):
    for name in ("checkpoint-10", "checkpoint-9", "checkpoint-x", "other", "checkpoint-100"):
        (tmp_path / f"{name}.safetensors").touch()
    assert list(checkpoints(tmp_path)) == [9, 10, 100]
    assert latest(tmp_path) == checkpoint_path(tmp_path, 100)
    assert checkpoints(tmp_path / "nowhere") == {}
    with pytest.raises(FileNotFoundError, match="nowhere has no checkpoint"):
        latest(tmp_path / "nowhere")


def test_rotation_keeps_the_last_and_the_best(tmp_path):
    for step in range(1, 8):
        checkpoint_path(tmp_path, step).touch()
    rotate(tmp_path, 2, best=3)
    assert list(checkpoints(tmp_path)) == [3, 6, 7]
    rotate(tmp_path, 5, best=None)
    assert list(checkpoints(tmp_path)) == [3, 6, 7]
    rotate(tmp_path, 1, best=None)
    assert list(checkpoints(tmp_path)) == [7]


def test_sweeping_takes_only_what_a_killed_write_left(tmp_path):
    left = tmp_path / f".{'0a' * 16}.tmp"
    for path in (left, tmp_path / ".mine.tmp", tmp_path / "checkpoint-1.safetensors"):
        path.touch()
    sweep(tmp_path)
    assert not left.exists() and len(list(tmp_path.iterdir())) == 2


FULL_DISK = """
import resource, signal, sys
import numpy as np
from pathlib import Path
from tinygrad_llm.training.checkpoints import save_checkpoint
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
optimizer = {"state": {}, "param_groups": []}
try:
    save_checkpoint(Path(sys.argv[1]), {"w": np.zeros(10_000)}, optimizer, {})
except OSError as error:
    print(type(error).__name__)
"""


def test_a_full_disk_leaves_the_old_file(path):
    """A limit on the size of files stands for the disk."""
    before = path.read_bytes()
    command = [sys.executable, "-c", FULL_DISK, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == "OSError\n", done.stderr
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert json.loads(json.dumps(load_checkpoint(path).run)) == RUN

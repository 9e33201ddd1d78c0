"""Tests of weights in files: round trips, the layout tag, PyTorch's files, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from safetensors import safe_open

from tests.nn.common import NAMES, Net, Tied, same_values, values
from tinygrad_llm import nn, optim
from tinygrad_llm.files import load_safetensors, save_safetensors
from tinygrad_llm.testing import strict_cupy

THEIRS = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "torch_training.json").read_text(encoding="utf8")
)["network"]


@pytest.fixture
def path(tmp_path):
    """Where a test may write."""
    return tmp_path / "weights.safetensors"


def write(path, arrays, **metadata):
    """A file as others write it, by the format's own library."""
    safetensors.numpy.save_file(arrays, path, metadata or None)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_round_trip_gives_every_bit(path, dtype):
    net, other = Net().astype(dtype), Net().astype(dtype)
    net.first.gain.data[:] = [np.nan, -0.0, np.inf, 6e-8]
    nn.save_weights(net, path)
    nn.load_weights(other, path)
    assert same_values(values(net), values(other))


def test_paths_may_be_text(path):
    net, other = Net(), Net()
    nn.save_weights(net, str(path))
    nn.load_weights(other, str(path), "in_out")
    assert same_values(values(net), values(other))


def test_the_file_says_how_it_lies_and_others_can_read_it(path):
    net = Net()
    nn.save_weights(net, path)
    with safe_open(path, "numpy") as file:
        assert file.metadata() == {"layout": "in_out"}
    arrays = safetensors.numpy.load_file(path)
    assert set(arrays) == set(NAMES)
    assert np.array_equal(arrays["head.weight"], net.head.weight.data)
    assert arrays["head.weight"].shape == (4, 2)


def test_the_module_that_was_saved_stays_as_it_is_and_equal_weights_give_equal_files(path):
    net = Net()
    before = values(net)
    nn.save_weights(net, path)
    first = path.read_bytes()
    nn.save_weights(net, path)
    assert path.read_bytes() == first and same_values(values(net), before)


def test_parameters_that_an_optimizer_holds_together_are_written_one_by_one(path):
    net, other = Net().eval(), Net()
    net(np.ones((1, 3), np.float32)).sum().backward()
    optim.SGD(net.parameters(), lr=0.1).step()
    nn.save_weights(net, path)
    nn.load_weights(other, path)
    assert same_values(values(net), values(other))
    assert path.stat().st_size < 1500


def test_a_shared_parameter_is_written_once_and_stays_shared(path):
    tied, other = Tied(), Tied()
    nn.save_weights(tied, path)
    arrays, _ = load_safetensors(path)
    assert set(arrays) == {"a.weight", "a.bias", "b.bias"}
    nn.load_weights(other, path)
    assert same_values(values(tied), values(other)) and other.again is other.b.weight


@pytest.mark.parametrize("names", [["a.weight"], ["b.weight"], ["a.weight", "b.weight"]])
def test_a_shared_weight_of_torch_is_turned_under_each_of_its_names(path, names):
    w = np.arange(9.0, dtype=np.float32).reshape(3, 3)
    arrays = {name: w.copy() for name in names}
    write(path, {**arrays, "a.bias": np.zeros(3), "b.bias": np.zeros(3)})
    tied = Tied()
    nn.load_weights(tied, path, "torch")
    assert np.array_equal(tied.a.weight.data, w.T) and tied.again is tied.b.weight


def test_devices(path):
    with strict_cupy.installed():
        net, other = Net().to("cuda"), Net().to("cuda")
        nn.save_weights(net, path)
        nn.load_weights(other, path)
        assert other.scale.device == "cuda:0"
        assert same_values(values(net), values(other))


# Layouts


class Square(nn.Module):
    """Square weights, of which only the Linear's lies the other way round in PyTorch."""

    def __init__(self):
        self.embed = nn.Embedding(3, 3)
        self.inner = nn.Sequential(nn.Linear(3, 3))
        self.own = nn.Parameter(np.zeros((3, 3), np.float32))


def square_file(path, **metadata):
    w = np.arange(9.0, dtype=np.float32).reshape(3, 3)
    bias = np.float32([1, 2, 3])
    arrays = {"embed.weight": w, "inner.0.weight": w, "inner.0.bias": bias, "own": w}
    write(path, arrays, **metadata)
    return w


@pytest.mark.parametrize("metadata", [{}, {"layout": "torch"}, {"format": "pt"}], ids=str)
def test_torch_turns_the_weights_of_linear_layers_alone(path, metadata):
    w = square_file(path, **metadata)
    net = Square()
    nn.load_weights(net, path, "torch")
    assert np.array_equal(net.inner[0].weight.data, w.T)
    assert net.inner[0].weight.data.flags.c_contiguous
    assert np.array_equal(net.embed.weight.data, w) and np.array_equal(net.own.data, w)
    assert net.inner[0].bias.tolist() == [1.0, 2.0, 3.0]


def test_in_out_turns_nothing(path):
    w = square_file(path)
    net = Square()
    nn.load_weights(net, path, layout="in_out")
    assert np.array_equal(net.inner[0].weight.data, w)


def test_the_tag_of_a_file_is_enough(path):
    w = square_file(path, layout="torch")
    net = Square()
    nn.load_weights(net, path)
    assert np.array_equal(net.inner[0].weight.data, w.T)


def test_a_file_that_does_not_say_its_layout_is_refused_unless_told(path):
    square_file(path, format="pt")
    net = Square()
    before = values(net)
    message = r"weights\.safetensors: it does not say how .* give layout='torch' .* or 'in_out'"
    with pytest.raises(ValueError, match=message):
        nn.load_weights(net, path)
    assert same_values(values(net), before)


@pytest.mark.parametrize(("said", "given"), [("in_out", "torch"), ("torch", "in_out")])
def test_a_file_must_not_be_contradicted(path, said, given):
    square_file(path, layout=said)
    message = rf"weights\.safetensors: it says layout '{said}': do not give '{given}'"
    with pytest.raises(ValueError, match=message):
        nn.load_weights(Square(), path, given)


@pytest.mark.parametrize(("said", "given"), [("out_in", None), (None, "pytorch"), ("", "torch")])
def test_an_unknown_layout_is_refused(path, said, given):
    square_file(path, **({} if said is None else {"layout": said}))
    unknown = given if said is None else said
    with pytest.raises(ValueError, match=f"layout '{unknown}' is unknown: 'in_out' or 'torch'"):
        nn.load_weights(Square(), path, given)


class TheirNet(nn.Module):
    """The network whose state_dict PyTorch gave, with square and other weights."""

    def __init__(self):
        self.embed = nn.Embedding(4, 4)
        self.body = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3))

    def forward(self, ids):
        return self.body(self.embed(ids))


def test_a_state_dict_of_pytorch_gives_pytorchs_outputs(path):
    arrays = {n: np.array(v, dtype=np.float32) for n, v in THEIRS["state_dict"].items()}
    write(path, arrays, format="pt")
    net = TheirNet()
    nn.load_weights(net, path, "torch")
    output = net(np.array(THEIRS["ids"]))
    np.testing.assert_allclose(output.data, THEIRS["output"], rtol=1e-5, atol=1e-6)
    nn.save_weights(net, path)
    again = TheirNet()
    nn.load_weights(again, path)
    assert same_values(values(net), values(again))


# What is refused


def test_a_file_of_another_module_is_refused_by_name_and_nothing_changes(path):
    nn.save_weights(nn.Sequential(nn.Linear(2, 3)), path)
    layer = nn.Linear(2, 3)
    before = values(layer)
    with pytest.raises(ValueError) as caught:
        nn.load_weights(layer, path)
    text = str(caught.value)
    assert str(path) in text and "missing: weight, bias; unexpected: 0." in text
    assert same_values(values(layer), before)


@pytest.mark.parametrize("shape", [(), (3,), (1, 2, 3)], ids=str)
def test_a_torch_weight_of_another_rank_is_refused_by_name(path, shape):
    write(path, {"weight": np.zeros(shape, np.float32), "bias": np.zeros(3, np.float32)})
    with pytest.raises(ValueError, match=r"weights\.safetensors: .*of another shape: weight"):
        nn.load_weights(nn.Linear(2, 3), path, "torch")


def test_what_is_no_safetensors_file_is_refused(path):
    path.write_bytes(b"PK\x03\x04 something else altogether")
    with pytest.raises(ValueError, match=r"weights\.safetensors: "):
        nn.load_weights(nn.Linear(1, 1), path, "torch")
    with pytest.raises(FileNotFoundError):
        nn.load_weights(nn.Linear(1, 1), path.with_name("none"), "torch")


def test_a_missing_folder_is_an_os_error(tmp_path):
    with pytest.raises(OSError, match="does not exist; create it first"):
        nn.save_weights(nn.Linear(1, 1), tmp_path / "no such folder" / "w.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_file_stays_whole_when_the_new_one_cannot_be_written(path, monkeypatch):
    net = Net()
    nn.save_weights(net, path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        nn.save_weights(Net(), path)
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]


def test_our_writer_needs_no_tag_to_be_told(path):
    save_safetensors(path, values(Net()), {})
    net = Net()
    nn.load_weights(net, path, "in_out")
    arrays, metadata = load_safetensors(path)
    assert metadata == {} and np.array_equal(arrays["scale"], net.scale.data)

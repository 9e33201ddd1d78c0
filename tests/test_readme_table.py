"""Tests of the READMEs' facts: the table from PyTorch to here runs, both languages have the same
one, what is said to be missing is missing, and numbers and folders are those of the repository."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tinygrad_llm.files import save_safetensors
from tinygrad_llm.formulas.marks import marked_tests
from tinygrad_llm.formulas.table import counts, rows
from tinygrad_llm.tensor import Tensor

ROOT = Path(__file__).parent.parent
ENGLISH, CHINESE = ((ROOT / name).read_text("utf-8") for name in ("README.md", "README.zh-CN.md"))


def section(text: str) -> str:
    """What stands in a README around the table from PyTorch."""
    return next(part for part in re.split(r"^## ", text, flags=re.M) if "| PyTorch |" in part)


def codes(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", text)


def cells(text: str) -> list[list[str]]:
    """The rows of the table, without its head."""
    lines = [line for line in section(text).splitlines() if line.startswith("| ")][1:]
    return [line.strip("| ").split(" | ") for line in lines]


HERE = [code for row in cells(ENGLISH) for code in codes(row[1])]


@pytest.fixture
def space(tmp_path):
    """The names that the table uses; ids are one class for each place of `scores`."""
    names: dict = {}
    exec(re.search(r"```python\n(.*?)```", section(ENGLISH), re.S)[1], names)
    nn, F = names["nn"], names["F"]
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3))
    x, w = Tensor(np.ones((2, 3), np.float32)), names["randn"](3, 3, requires_grad=True)
    nn.save_weights(model, tmp_path / "here")
    save_safetensors(tmp_path / "torch", {n: p.data.T for n, p in model.named_parameters()})
    known = {"path": tmp_path / "here", "torch_path": tmp_path / "torch"}
    known |= {"model": model, "state": model.state_dict(), "np": np, "x": x, "w": w}
    known |= {"scores": names["randn"](2, 3, 5), "ids": Tensor(np.array([[0, 2, 1], [1, 1, 0]]))}
    known |= {"loss": F.tanh(x @ w).sum(), "point": names["randn"](2, dtype="float64")}
    known["point"].requires_grad = True
    tokenizer = names["tokenizers"].CharTokenizer.train(["a text", "another"])
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    known |= {"folder": tmp_path / "tokenizer", "tokenizer": tokenizer, "texts": ["a", "text"]}
    sizes = {"vocab_size": 5, "n_positions": 8, "n_embd": 8, "n_layer": 1, "n_head": 2}
    known["gpt"] = names["models"].GPT2LMHeadModel(names["models"].GPT2Config(**sizes))
    known["model_folder"] = tmp_path / "model"
    known["gpt"].save_pretrained(known["model_folder"])
    narrow = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = names["models"].BertConfig(vocab_size=5, intermediate_size=8, **narrow)
    known["bert"] = names["models"].BertForSequenceClassification(config)
    known["optimizer"] = names["optim"].Adam(model.parameters())
    return names | known


def value(code: str, space: dict):
    """What an expression gives; a `with` head is run with an empty body."""
    if code.startswith("with "):
        return exec(f"{code} pass", space)
    if "ArrayDataset" in code:
        space |= {"x": space["x"].numpy(), "ids": space["ids"].numpy()}
    return eval(code, space)


def test_both_readmes_have_the_same_table():
    english, chinese = cells(ENGLISH), cells(CHINESE)
    assert len(english) >= 25 and {len(row) for row in english + chinese} == {3}
    assert [row[:2] for row in english] == [row[:2] for row in chinese]
    notes = [(codes(e[2]), codes(c[2])) for e, c in zip(english, chinese)]
    assert all(set(e) == set(c) for e, c in notes)
    assert all(re.search("[一-鿿]", row[2]) for row in chinese)


@pytest.mark.parametrize("code", HERE)
def test_what_the_table_says_for_here_runs(code, space):
    value(code, space)


@pytest.mark.parametrize(
    "code",
    ["ones", "full", "eye", "arange", "rand", "vjp", "jvp", "jacobian", "hessian"],
)
def test_names_of_the_notes_are_at_the_top(code):
    import tinygrad_llm

    assert f"`{code}`" in section(ENGLISH) and callable(getattr(tinygrad_llm, code))


def test_what_is_said_to_be_missing_is_missing(space):
    missing = section(ENGLISH).split("Not here yet:")[1].split("NumPy's functions")[0]
    assert codes(missing) == codes(section(CHINESE).split("这里还没有：")[1].split("NumPy 的")[0])
    assert len(codes(missing)) >= 4
    for code in codes(missing):
        with pytest.raises(AttributeError):
            eval(code, space)


def test_what_the_notes_say_is_true(space):
    """The differences that can be seen without PyTorch."""
    x, model, F, nn = (space[name] for name in ("x", "model", "F", "nn"))
    array = np.ones(2)
    tensor = Tensor(array)
    assert tensor.dtype == np.float64 and np.shares_memory(tensor.numpy(), array)
    assert isinstance(space["grad"](space["loss"], space["w"]), Tensor)
    assert type(x.data) is np.ndarray and x.device == "cpu"
    ramp = Tensor([1.0, 2.0])
    assert ramp.std().item() == pytest.approx(0.5) != ramp.std(ddof=1).item()
    assert nn.Linear(3, 4).weight.shape == (3, 4)
    assert not np.shares_memory(model.state_dict()["0.weight"].data, model[0].weight.data)
    assert F.cross_entropy(np.zeros((1, 2), np.float32), [-100]).item() == 0.0
    with pytest.raises(TypeError, match="do not mix"):
        x.astype("float64") + x
    with pytest.raises(TypeError):
        np.tanh(x)


def test_each_purpose_has_a_stream_of_its_own(space):
    seed, randn, nn = (space[name] for name in ("manual_seed", "randn", "nn"))
    seed(0)
    alone = randn(3).tolist()
    seed(0)
    nn.Linear(3, 4)
    assert randn(3).tolist() == alone


def test_a_file_of_the_torch_layout_is_transposed_and_must_be_named(space):
    nn, model, path = space["nn"], space["model"], space["torch_path"]
    weight = model[0].weight.numpy().copy()
    with pytest.raises(ValueError, match="give layout='torch'"):
        nn.load_weights(model, path)
    model[0].weight.data[...] = 0.0
    nn.load_weights(model, path, layout="torch")
    assert np.array_equal(model[0].weight.numpy(), weight)


@pytest.mark.parametrize("text", [ENGLISH, CHINESE], ids=["English", "Chinese"])
def test_every_folder_and_link_that_is_named_is_there(text):
    for path in re.findall(r"`((?:tinygrad_llm|chapters|tests|notebooks)/[^`*]*)`", text):
        assert (ROOT / path).exists() or path == "chapters/out", path  # made by the first run
    for path in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / path).exists(), path


def test_every_room_of_the_package_is_in_the_table_of_folders():
    rooms = {p.parent.name for p in (ROOT / "tinygrad_llm").glob("*/__init__.py")}
    for text in (ENGLISH, CHINESE):
        assert rooms <= set(re.findall(r"`tinygrad_llm/(\w+)/`", text))


@pytest.mark.parametrize("text", [ENGLISH, CHINESE], ids=["English", "Chinese"])
def test_the_number_of_formulas_is_that_of_the_command(text):
    numbers = re.search(r"(\d+)(?: of | 条中已有 )(\d+)", text).groups()
    total, done = re.match(r"(\d+) formulas: (\d+) done", counts(rows(marked_tests()))).groups()
    assert sorted(map(int, numbers)) == sorted([int(total), int(done)])

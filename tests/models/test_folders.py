"""Models in folders: what comes back, what another class takes, and files that are not trusted."""

from __future__ import annotations

import json
import os
import shutil
import tracemalloc
import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.models.common import bert, gpt2, ids
from tinygrad_llm import models, nn
from tinygrad_llm.files import load_safetensors, save_safetensors
from tinygrad_llm.models import folders

BERTS = sorted(name for name in folders.CLASSES if name.startswith("Bert"))


def model(kind, **options):
    made = gpt2(**options) if kind.startswith("GPT2") else bert(kind, **options)
    return made.astype("float32")


def saved(kind, folder, **options):
    made = model(kind, **options)
    made.save_pretrained(folder)
    return made


def weights(model):
    return {name: p.numpy() for name, p in model.named_parameters()}


def test_all_published_models_can_be_saved():
    assert {"GPT2LMHeadModel", "BertModel", "BertForPreTraining", *BERTS} == set(folders.CLASSES)
    assert len(BERTS) == 7


@pytest.mark.parametrize("kind", [*BERTS, "GPT2LMHeadModel"])
def test_a_saved_model_comes_back_with_its_bits(kind, tmp_path):
    options = {"n_inner": 12, "positions": "rotary"} if kind[0] == "G" else {"num_labels": 3}
    made = saved(kind, tmp_path / "a" / "b", **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for again in (
            models.from_pretrained(tmp_path / "a" / "b"),
            type(made).from_pretrained(str(tmp_path / "a" / "b")),
        ):
            assert type(again) is type(made) and not again.training
            assert again.config == made.config
            assert weights(again).keys() == weights(made).keys()
            for name, value in weights(made).items():
                assert value.tobytes() == weights(again)[name].tobytes(), name


def test_the_configuration_is_in_plain_json(tmp_path):
    made = saved("GPT2LMHeadModel", tmp_path)
    said = json.loads((tmp_path / "config.json").read_text())
    assert said.pop("model_type") == "gpt2" and said.pop("architectures") == ["GPT2LMHeadModel"]
    assert said == asdict(made.config)
    _, metadata = load_safetensors(tmp_path / "model.safetensors")
    assert metadata["layout"] == "in_out"


@pytest.mark.parametrize("source", BERTS)
@pytest.mark.parametrize("wanted", BERTS)
def test_another_class_of_the_family_takes_what_they_share(source, wanted, tmp_path):
    before = weights(saved(source, tmp_path))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = getattr(models, wanted).from_pretrained(tmp_path)
    body = ["" if name == "BertModel" else "bert." for name in (source, wanted)]
    new = []
    for name, value in weights(found).items():
        there = name
        if name.startswith(body[1]) and not name.startswith(("predictions", "seq", "cl", "qa")):
            there = body[0] + name.removeprefix(body[1])
        same_meaning = source == wanted or not name.startswith(("classifier", "qa_outputs"))
        if there in before and same_meaning:
            assert (value == before[there]).all(), name
        else:
            new.append(name)
    assert len(caught) == bool(new)
    if new:
        said = str(caught[0].message)
        assert all(name in said for name in new) and said.count(".weight") <= len(new)
        assert caught[0].filename == __file__
    words = ids(2, 5)
    if {source, wanted} == {"BertForPreTraining", "BertModel"} and source != wanted:
        theirs = models.from_pretrained(tmp_path)
        both = [m if isinstance(m, models.BertModel) else m.bert for m in (found, theirs)]
        a, b = (m(words).pooler_output.numpy() for m in both)
        assert (a == b).all()


def test_changes_of_the_configuration(tmp_path):
    saved("BertForPreTraining", tmp_path)
    with pytest.warns(UserWarning, match=r"classifier\.weight"):
        found = models.BertForSequenceClassification.from_pretrained(
            tmp_path, num_labels=5, hidden_dropout_prob=0.3
        )
    assert found.classifier.weight.shape == (8, 5) and found.config.hidden_dropout_prob == 0.3
    with pytest.raises(TypeError, match="'labels' is no field of BertConfig"):
        models.from_pretrained(tmp_path, labels=5)
    for changes in ({"num_hidden_layers": 3}, {"num_hidden_layers": 1}, {"hidden_size": 16}):
        with pytest.raises(ValueError, match="leave out what changes it"):
            models.from_pretrained(tmp_path, **changes)


CHANGES = [
    ({"num_labels": "5"}, TypeError, "BertConfig: num_labels must be an integer, not '5'"),
    ({"hidden_dropout_prob": "0.3"}, TypeError, "hidden_dropout_prob is a probability, not '0.3'"),
    ({"hidden_dropout_prob": 1.5}, ValueError, "hidden_dropout_prob is a probability, not 1.5"),
    ({"layer_norm_eps": -1.0}, ValueError, "BertConfig: layer_norm_eps must be above 0"),
    ({"gradient_checkpointing": "no"}, TypeError, "must be True or False, not 'no'"),
    ({"num_attention_heads": 3}, ValueError, "num_attention_heads 3 does not divide hidden_size 8"),
    ({"hidden_size": 10**30}, ValueError, "by the changes that are given; leave out"),
    ({"hidden_size": 10**400}, ValueError, "from_pretrained: int too large"),
    ({"vocab_size": 10**400}, ValueError, "by the changes that are given; leave out"),
    ({"pad_token_id": 13}, ValueError, "BertConfig: pad_token_id 13 is outside 0 … 12"),
    ({"labels": 5}, TypeError, "'labels' is no field of BertConfig; leave it out"),
]


@pytest.mark.parametrize(("changes", "kind", "said"), CHANGES)
@pytest.mark.parametrize("load", [models.from_pretrained, models.BertModel.from_pretrained])
def test_what_the_caller_gives_is_not_blamed_on_the_file(load, changes, kind, said, home):
    with pytest.raises(kind) as caught:
        load(home / "bert", **changes)
    assert said in str(caught.value) and "config.json" not in str(caught.value)


@pytest.mark.parametrize("positions", ["rotary", "sinusoidal"])
def test_positions_that_do_not_fit_the_file_are_the_callers(positions, tmp_path):
    saved("GPT2LMHeadModel", tmp_path, n_embd=9, n_head=3)
    with pytest.raises(ValueError, match=r"GPT2Config: n_embd.* is odd") as caught:
        models.from_pretrained(tmp_path, positions=positions)
    assert "config.json" not in str(caught.value)


def test_a_model_that_is_not_what_its_configuration_says_is_not_saved(tmp_path):
    """More, less or other parameters: nothing is written, and one line names them."""
    kind = "BertForSequenceClassification"
    wider, more, less = (bert(kind, num_labels=3) for _ in range(3))
    wider.classifier = nn.Linear(8, 4)
    more.second = nn.Linear(2, 2)
    less.bert.pooler = None
    named = ("classifier.weight, classifier.bias", "second.weight", "bert.pooler.dense")
    for changed, name in zip((wider, more, less), named):
        with pytest.raises(ValueError, match=f"its config does not fit {name}") as told:
            changed.save_pretrained(tmp_path / "new")
        assert "\n" not in str(told.value) and not (tmp_path / "new").exists()


def test_numbers_of_numpy_are_saved_as_plain_ones(tmp_path):
    sizes = {"vocab_size": np.int64(13), "n_inner": np.int32(12), "resid_pdrop": np.float32(0.5)}
    made = saved("GPT2LMHeadModel", tmp_path, **sizes)
    found = json.loads((tmp_path / "config.json").read_text())
    assert (found["vocab_size"], found["n_inner"], found["resid_pdrop"]) == (13, 12, 0.5)
    assert models.from_pretrained(tmp_path).config == made.config


def refused(folder, kind=(OSError, ValueError), load=models.from_pretrained):
    with pytest.raises(kind) as caught:
        load(folder)
    said = str(caught.value)
    assert "\n" not in said and len(said) < 700
    return said


def test_what_is_missing_is_named(tmp_path):
    made = saved("BertModel", tmp_path / "a")
    assert "there is no folder" in refused(tmp_path / "none", FileNotFoundError)
    (tmp_path / "rows.tsv").touch()
    assert "rows.tsv is a file" in refused(tmp_path / "rows.tsv", NotADirectoryError)
    (tmp_path / "b").mkdir()
    assert "config.json is missing" in refused(tmp_path / "b", FileNotFoundError)
    (tmp_path / "a" / "model.safetensors").unlink()
    assert "model.safetensors is missing" in refused(tmp_path / "a", FileNotFoundError)
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotADirectoryError, match="is a file"):
        made.save_pretrained(tmp_path / "file")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "b" / "config.json")
        assert "is no file" in refused(tmp_path / "b", ValueError)


def test_another_family_is_refused(tmp_path):
    saved("GPT2LMHeadModel", tmp_path)
    said = refused(tmp_path, ValueError, models.BertModel.from_pretrained)
    assert "GPT2LMHeadModel" in said and "BertModel" in said


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    saved("BertForPreTraining", folder / "bert")
    saved("GPT2LMHeadModel", folder / "gpt2")
    return folder


def copy(home, tmp_path, kind="bert"):
    return Path(shutil.copytree(home / kind, tmp_path / kind))


def change(folder, **fields):
    path = folder / "config.json"
    found = json.loads(path.read_text())
    path.write_text(json.dumps({**found, **fields}))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[1]",
        b'"a"',
        b"\xff\xfe{}",
        b'{"a": NaN}',
        b"[" * 100_000,
        b"9" * 5000,
        b" " * 2**21,
    ],
    ids=range(9),
)
def test_a_broken_configuration_is_one_line(content, home, tmp_path):
    folder = copy(home, tmp_path)
    (folder / "config.json").write_bytes(content)
    assert "config.json" in refused(folder, ValueError)


@pytest.mark.parametrize(
    "fields, said",
    [
        ({"rope_theta": 1}, "no field 'rope_theta'"),
        ({"architectures": ["os.system"]}, "os.system"),
        ({"architectures": None}, "architectures"),
        ({"architectures": [["BertModel"]]}, "architectures"),
        ({"architectures": ["BertModel", "BertModel"]}, "architectures"),
        ({"model_type": "gpt2"}, "model_type"),
        ({"hidden_size": 8.0}, "BertConfig: hidden_size must be an integer, not 8.0"),
        ({"hidden_size": True}, "hidden_size"),
        ({"hidden_size": None}, "hidden_size"),
        ({"hidden_dropout_prob": "0.1"}, "hidden_dropout_prob"),
        ({"gradient_checkpointing": 1}, "gradient_checkpointing must be True or False, not 1"),
        ({"layer_norm_eps": [1]}, "layer_norm_eps must be a number, not [1]"),
        ({"layer_norm_eps": 0}, "layer_norm_eps must be above 0"),
        ({"hidden_dropout_prob": 10**400}, "hidden_dropout_prob is a probability"),
        ({"initializer_range": -1}, "initializer_range must be above 0"),
        ({"initializer_range": "a" * 9999}, "initializer_range must be a number"),
        ({"pad_token_id": 13}, "pad_token_id 13 is outside 0 … 12"),
        ({"pad_token_id": -(10**400)}, "pad_token_id"),
        ({"hidden_size": list(range(9999))}, "hidden_size must be an integer"),
        ({"hidden_act": "\x1b[2J" * 999}, "hidden_act"),
        ({"hidden_act": "eval"}, "eval"),
        ({"hidden_size": -8}, "hidden_size"),
        ({"num_attention_heads": 0}, "num_attention_heads"),
        ({"num_attention_heads": 3}, "num_attention_heads"),
    ],
)
def test_a_wrong_field_is_named(fields, said, home, tmp_path):
    folder = copy(home, tmp_path)
    change(folder, **fields)
    message = refused(folder, ValueError)
    assert said in message and "config.json" in message


def test_a_number_that_is_infinite_when_read_is_refused(home, tmp_path):
    folder = copy(home, tmp_path)
    path = folder / "config.json"
    path.write_text(path.read_text().replace("1e-12", "1e999"))
    assert "layer_norm_eps must be above 0 and fit" in refused(folder, ValueError)


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
@pytest.mark.parametrize("size", [10**6, 10**12, 10**40])
def test_absurd_sizes_are_refused_before_memory_is_taken(kind, size, home, tmp_path):
    folder = copy(home, tmp_path, kind)
    fields = json.loads((folder / "config.json").read_text())
    sizes = [name for name, value in fields.items() if isinstance(value, int) and value > 1]
    assert len(sizes) >= 5
    for name in sizes:
        path = folder / "config.json"
        path.write_text(json.dumps({**fields, name: size}))
        tracemalloc.start()
        try:
            refused(folder, ValueError)
        finally:
            most = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert most < 4e6, name


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 40),
    st.sampled_from([10**9, 2**63, 10**30, -1.5, 0.0, 0.5, 2.0, 1e308]),
    st.sampled_from(["", "gelu", "none", "learned", "relu", "\x1b[2J"]),
    st.lists(st.integers(), max_size=2),
)


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_no_configuration_does_more_than_raise_one_line(kind, home, tmp_path):
    folder = copy(home, tmp_path, kind)
    fields = json.loads((folder / "config.json").read_text())

    @given(st.dictionaries(st.sampled_from([*fields, "new"]), VALUES, min_size=1, max_size=3))
    def check(changes):
        (folder / "config.json").write_text(json.dumps({**fields, **changes}))
        try:
            models.from_pretrained(folder)
        except ValueError as error:
            assert "\n" not in str(error) and str(folder) in str(error)
            assert str(error).isprintable()

    check()


def damaged(folder, alter):
    path = folder / "model.safetensors"
    arrays, metadata = load_safetensors(path)
    alter(arrays, metadata)
    save_safetensors(path, arrays, metadata)


def test_weights_that_do_not_fit_are_named(home, tmp_path):
    def lack(arrays, _):
        del arrays["predictions.bias"]

    def besides(arrays, _):
        arrays["evil\x1b[2J"] = np.zeros(3, np.float32)

    def shape(arrays, _):
        arrays["predictions.bias"] = np.zeros(3, np.float32)

    def whole(arrays, _):
        arrays["predictions.bias"] = np.zeros(13, np.int32)

    def layout(_, metadata):
        metadata["layout"] = "torch"

    cases = {
        lack: "lacks predictions.bias",
        besides: "has besides 'evil",
        shape: "predictions.bias (3,) for (13,)",
        whole: "int32",
        layout: "'torch'",
    }
    for i, (alter, said) in enumerate(cases.items()):
        folder = copy(home, tmp_path / str(i))
        damaged(folder, alter)
        assert said in refused(folder, ValueError)
    folder = copy(home, tmp_path)
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    assert "model.safetensors" in refused(folder, ValueError)


def test_half_precision_weights_are_taken(home, tmp_path):
    folder = copy(home, tmp_path)

    def halve(arrays, _):
        arrays.update({name: value.astype(np.float16) for name, value in arrays.items()})

    damaged(folder, halve)
    found = models.from_pretrained(folder)
    assert all(p.dtype == np.float32 for p in found.parameters())


def test_a_model_is_saved_over_another(home, tmp_path):
    folder = copy(home, tmp_path)
    made = saved("GPT2LMHeadModel", folder)
    assert type(models.from_pretrained(folder)) is type(made)
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "model.safetensors"]

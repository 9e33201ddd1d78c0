"""Tests of adapters in folders: what is written and comes back, and files that are not trusted."""

from __future__ import annotations

import json
import os
import shutil
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.finetune.lora_common import bits, classifier, lively, logits, tune
from tests.models.common import bert, gpt2
from tinygrad_llm import models, nn
from tinygrad_llm.data import row_hash
from tinygrad_llm.files import load_safetensors, save_safetensors
from tinygrad_llm.finetune import (
    add_lora,
    load_adapter,
    lora_layers,
    merge_lora,
    save_adapter,
)
from tinygrad_llm.finetune.lora import Settings

QUERY = "bert.encoder.layers.0.attention.query"


def tuned(**options):
    model = classifier()
    add_lora(model, **{"rank": 4, **options})
    return tune(model)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The adapter of a tuned model, and what that model gives."""
    folder, model = tmp_path_factory.mktemp("home"), tuned()
    save_adapter(model, folder)
    return folder, logits(model)


@pytest.fixture
def folder(home, tmp_path):
    """A copy of it to spoil."""
    return shutil.copytree(home[0], tmp_path / "adapter")


def said(folder):
    return json.loads((folder / "adapter.json").read_text(encoding="utf-8"))


def arrays(folder):
    return load_safetensors(folder / "adapter.safetensors")[0]


# What is written, and what comes back


def test_only_what_has_learned_is_written(home):
    found, metadata = load_safetensors(home[0] / "adapter.safetensors")
    own = {f"{n}.{x}" for n in said(home[0])["targets"] for x in ("lora_a", "lora_b")}
    assert found.keys() == own | {"classifier.weight", "classifier.bias"} and len(own) == 8
    assert metadata == {"layout": "in_out"}
    assert sorted(os.listdir(home[0])) == ["adapter.json", "adapter.safetensors"]
    whole = sum(p.size for p in classifier().parameters())
    assert sum(a.size for a in found.values()) < 0.3 * whole


def test_the_settings_are_in_plain_json(tmp_path):
    model = lively(classifier(), rank=np.int64(2), alpha=3, targets=("key",), dropout=0.25)
    save_adapter(model, tmp_path / "a" / "b")
    found = said(tmp_path / "a" / "b")
    assert [len(found.pop(name)) for name in ("base", "weights")] == [64, 64]
    assert found == {
        "format": "tinygrad_llm adapter 1",
        "model": "BertForSequenceClassification",
        "rank": 2,
        "alpha": 3.0,
        "rslora": False,
        "dropout": 0.25,
        "targets": [f"bert.encoder.layers.{i}.attention.key" for i in (0, 1)],
    }


@pytest.mark.parametrize(
    "options",
    [{}, {"rslora": True, "targets": "all"}, {"alpha": 3.0, "dropout": 0.5}, {"train": ()}],
    ids=["usual", "all, rslora", "dropout", "no head"],
)
def test_it_comes_back_with_its_bits(options, tmp_path):
    model = tuned(**options)
    save_adapter(model, tmp_path)
    again = classifier()
    if options != {"train": ()}:
        again.classifier.weight.data[...] = 0.0  # a head that was drawn anew
    assert load_adapter(again, tmp_path) == list(lora_layers(model))
    assert bits(again) == bits(model) and np.array_equal(logits(again), logits(model))
    asked = [[p.requires_grad for p in each.parameters()] for each in (model, again)]
    assert asked[0] == asked[1]
    kept = [[each.settings for each in lora_layers(m).values()] for m in (model, again)]
    assert kept[0] == kept[1] and not any(each.training for each in again.modules())
    tune(again)


def test_it_fits_a_model_of_a_folder_and_merges(home, tmp_path):
    classifier().save_pretrained(tmp_path)
    model = models.from_pretrained(tmp_path)
    load_adapter(model, str(home[0]))
    assert np.array_equal(logits(model), home[1])
    merge_lora(model)
    assert np.abs(logits(model) - home[1]).max() <= 1e-6


def test_merged_for_a_while_it_saves_the_same(home, tmp_path):
    model = classifier()
    load_adapter(model, home[0])
    for each in lora_layers(model).values():
        each.merge()
    save_adapter(model, tmp_path)
    for name in ("adapter.json", "adapter.safetensors"):
        assert (tmp_path / name).read_bytes() == (home[0] / name).read_bytes()


def test_frozen_lora_is_saved_too(tmp_path):
    model = lively(classifier(), rank=2)
    model.requires_grad_(False)
    save_adapter(model, tmp_path)
    assert len(arrays(tmp_path)) == 8
    load_adapter(classifier(), tmp_path)


def test_a_crash_leaves_the_adapter_of_before(folder, monkeypatch):
    before = {name: (folder / name).read_bytes() for name in os.listdir(folder)}
    model = lively(classifier(), rank=2)

    def crash(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(OSError, match="no space left"):
        save_adapter(model, folder)
    assert {name: (folder / name).read_bytes() for name in os.listdir(folder)} == before


def test_half_of_a_save_is_found_out(folder, home):
    model = lively(classifier(), rank=4)
    save_adapter(model, folder)
    shutil.copy(home[0] / "adapter.json", folder)  # a crash between the two files
    assert "the two are not of one save, or damaged" in refused(folder)


# What is refused


def refused(folder, model=None, kind=ValueError):
    """load_adapter's error: one line; the model is as before."""
    model = classifier() if model is None else model
    before, parts = bits(model), [type(each) for each in model.modules()]
    asked = [p.requires_grad for p in model.parameters()]
    with pytest.raises(kind) as caught:
        load_adapter(model, folder)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 600
    assert bits(model) == before and [type(each) for each in model.modules()] == parts
    assert [p.requires_grad for p in model.parameters()] == asked
    return message


def test_another_base_is_refused(home):
    model = classifier()
    model.bert.embeddings.words.weight.data[3, 2] += 1e-6
    assert "adapter.json: it was trained on a model with other weights" in refused(home[0], model)
    assert "expected float64" in refused(home[0], classifier("float64"))


def test_another_class_or_another_size_is_refused(home):
    other = bert("BertForTokenClassification").astype("float32")
    said = refused(home[0], other)
    assert "for a 'BertForSequenceClassification', not for a BertForTokenClass" in said
    assert "the model has no layer" in refused(home[0], classifier(num_hidden_layers=1))
    assert "classifier.weight is float32(8, 2), expected float32(8, 5)" in refused(
        home[0], classifier(num_labels=5)
    )


def test_a_model_with_lora_is_refused(home):
    model = classifier()
    add_lora(model, rank=2)
    assert "load_adapter: the model has LoRA already" in refused(home[0], model)


def test_what_is_missing_is_named(folder, tmp_path):
    assert "there is no folder" in refused(tmp_path / "none", kind=FileNotFoundError)
    (folder / "adapter.safetensors").unlink()
    assert "adapter.safetensors is missing" in refused(folder, kind=FileNotFoundError)
    (folder / "adapter.json").unlink()
    assert "adapter.json is missing" in refused(folder, kind=FileNotFoundError)
    (folder / "adapter.json").mkdir()
    assert "is no file" in refused(folder)


def test_what_cannot_be_saved(tmp_path):
    with pytest.raises(ValueError, match="the model has no LoRA"):
        save_adapter(classifier(), tmp_path)
    model = classifier()
    add_lora(model, rank=2)
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotADirectoryError, match="is a file"):
        save_adapter(model, tmp_path / "file")
    other = classifier()
    add_lora(other, rank=3)
    model.bert.encoder.layers[0].attention.query = other.bert.encoder.layers[0].attention.query
    with pytest.raises(ValueError, match="have different settings"):
        save_adapter(model, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def rewrite(folder, **changes):
    """adapter.json with other values; a value of ... takes the key out."""
    found = {k: v for k, v in {**said(folder), **changes}.items() if v is not ...}
    (folder / "adapter.json").write_text(json.dumps(found), encoding="utf-8")


SPOILT = [
    ({"format": "other"}, "does not say format 'tinygrad_llm adapter 1'"),
    ({"extra": 1}, "it has 'extra'"),
    ({"rank": ...}, "it lacks 'rank'"),
    ({"base": ...}, "it lacks 'base'"),
    ({"model": 3}, "model is 3, no text"),
    ({"model": "BertModel\n"}, r"is for a 'BertModel\n', not for"),
    ({"base": None}, "base is None, no text"),
    ({"base": "0" * 64}, "it was trained on a model with other weights"),
    ({"weights": "0" * 64}, "its fingerprint is not the one in adapter.json"),
    ({"rank": "4"}, "rank is '4', no number"),
    ({"rank": True}, "rank is True, no number"),
    ({"rank": 4.5}, "rank must be an integer, not 4.5"),
    ({"rank": 0}, "rank 0 is below 1"),
    ({"rank": 9}, "rank 9 is above 8"),
    ({"rank": 10**400}, "LoRA: rank 10000"),
    ({"rank": 3}, "is float32(8, 4), expected float32(8, 3)"),
    ({"alpha": -1}, "alpha must be a number above 0"),
    ({"alpha": 10**400}, "is broken"),
    ({"alpha": float("nan")}, "NaN is no JSON value"),
    ({"dropout": 1.5}, "dropout is a probability, not 1.5"),
    ({"rslora": 1}, "rslora must be True or False"),
    ({"targets": QUERY}, "no list of names"),
    ({"targets": [QUERY, 3]}, "no list of names"),
    ({"targets": []}, "targets is empty, or names a layer twice"),
    ({"targets": [QUERY, QUERY]}, "targets is empty, or names a layer twice"),
    ({"targets": ["bert.\u001b[31m"]}, r"the model has no layer 'bert.\x1b[31m'"),
    ({"targets": ["__class__"]}, "the model has no layer '__class__'"),
    ({"targets": ["bert.pooler"]}, "bert.pooler is no nn.Linear but a BertPooler"),
    ({"targets": [QUERY]}, "which the model has not"),
    ({"targets": [QUERY, "bert.pooler.dense"]}, "it lacks bert.pooler.dense.lora_a"),
]


@pytest.mark.parametrize(("changes", "message"), SPOILT)
def test_spoilt_settings(folder, changes, message):
    rewrite(folder, **changes)
    assert message in refused(folder)


BROKEN = [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"rank": ' + b"9" * 10_000 + b"}"]


@pytest.mark.parametrize("content", BROKEN, ids=range(len(BROKEN)))
def test_broken_json(folder, content):
    (folder / "adapter.json").write_bytes(content)
    assert "adapter.json is broken" in refused(folder)


def test_a_long_json_is_not_read(folder):
    (folder / "adapter.json").write_bytes(b" " * (2**20 + 1))
    assert "over 1048576 bytes" in refused(folder)


def with_arrays(folder, change, layout="in_out"):
    """adapter.safetensors with other arrays, and the fingerprint that they have."""
    found = arrays(folder)
    change(found)
    save_safetensors(folder / "adapter.safetensors", found, {"layout": layout})
    rewrite(folder, weights=row_hash(found))


CHANGES = [
    (lambda a: a.pop(f"{QUERY}.lora_a"), f"it lacks {QUERY}.lora_a"),
    (lambda a: a.update(other=np.zeros(2, "f4")), "it has 'other', which the model has not"),
    (lambda a: a.update({f"{QUERY}.lora_c": np.zeros(2)}), "which the model has not"),
    (lambda a: a.update({f"{QUERY}.lora_b": np.zeros((8, 4), "f4")}), "expected float32(4, 8)"),
    (lambda a: a.update({f"{QUERY}.lora_b": np.zeros((4, 8))}), "is float64(4, 8), expected"),
    (lambda a: a.update({f"{QUERY}.lora_b": np.zeros((4, 8), "i4")}), "is int32(4, 8), expected"),
    (lambda a: a.update({"classifier.bias": np.zeros(3, "f4")}), "expected float32(2,)"),
    (lambda a: a.pop("classifier.bias"), "trained on a model with other weights"),
    (lambda a: a.update({f"{QUERY}.weight": np.eye(8, dtype="f4")}), "with other weights"),
]


@pytest.mark.parametrize(("change", "message"), CHANGES, ids=range(len(CHANGES)))
def test_other_arrays(folder, change, message):
    with_arrays(folder, change)
    assert message in refused(folder)


def test_another_layout(folder):
    with_arrays(folder, lambda a: None, "torch")
    assert "its layout is 'torch', not 'in_out'" in refused(folder)


def test_another_head_may_be_brought(folder):
    """What says that it learned is no part of the base."""
    with_arrays(folder, lambda a: a.update({"classifier.bias": np.ones(2, "f4")}))
    model = classifier()
    load_adapter(model, folder)
    assert (model.classifier.bias.numpy() == 1.0).all()


def test_a_torn_file(folder):
    path = folder / "adapter.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    assert "adapter.safetensors: " in refused(folder)


def test_nothing_is_allocated_by_a_claimed_size(folder):
    rewrite(folder, rank=10**9, targets=["bert.pooler.dense"])
    header = {"x": {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}}
    text = json.dumps(header).encode()
    model = classifier()
    tracemalloc.start()
    try:
        refused(folder, model)
        rewrite(folder, rank=4)
        (folder / "adapter.safetensors").write_bytes(len(text).to_bytes(8, "little") + text)
        refused(folder, model)
        assert tracemalloc.get_traced_memory()[1] < 2**21
    finally:
        tracemalloc.stop()


@given(place=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_a_changed_byte_changes_nothing_or_is_refused(home, tmp_path_factory, place, byte):
    for name in ("adapter.json", "adapter.safetensors"):
        folder = shutil.copytree(home[0], tmp_path_factory.mktemp("spoilt") / "a")
        content = bytearray((folder / name).read_bytes())
        content[place % len(content)] = byte
        (folder / name).write_bytes(content)
        model = classifier()
        try:
            load_adapter(model, folder)
        except ValueError as error:
            assert "\n" not in str(error)
        else:
            settings = next(iter(lora_layers(model).values())).settings
            if settings == Settings(rank=4):
                assert np.array_equal(logits(model), home[1])
            else:  # another number, as one may write it there by hand
                assert name == "adapter.json" and settings.rank == 4


def test_in_a_block_of_in_dtype(home):
    model = classifier()
    with nn.in_dtype(model, "float16"), pytest.raises(RuntimeError, match="leave the block"):
        load_adapter(model, home[0])
    assert lora_layers(model) == {}


def test_gpt2_has_adapters_too(tmp_path):
    model = lively(gpt2(), rank=2, targets="all")
    save_adapter(model, tmp_path)
    again = gpt2()
    load_adapter(again, tmp_path)
    assert bits(again) == bits(model)

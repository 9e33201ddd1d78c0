"""finetune: each kind of model to begin with, of labels and of texts, by each method."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest

from tests.finetune.run_common import (
    METHODS,
    agrees,
    hurry,
    log,
    options,
    results,
    run,
    save_model,
    write_numbers,
    write_pairs,
    write_rows,
)
from tinygrad_llm import models
from tinygrad_llm.finetune.measures import BAG, MEAN

KINDS = {
    "pooler": ("BertForPreTraining", {}),
    "no pooler": ("BertForMaskedLM", {}),
    "body": ("BertModel", {}),
    "same labels": (
        "BertForSequenceClassification",
        {"num_labels": 3, "id2label": {0: "law", 1: "music", 2: "体育"}},
    ),
    "other labels": ("BertForSequenceClassification", {"num_labels": 5}),
    "mean": ("BertForSequenceClassification", {"classifier_pooling": "mean"}),
}
"""What a run can begin with."""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Rows of all kinds, and a model of each kind."""
    folder = tmp_path_factory.mktemp("kinds")
    write_rows(folder)
    write_numbers(folder)
    write_pairs(folder)
    for name, (kind, changes) in KINDS.items():
        save_model(folder / name, kind, **changes)
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        run(folder, "tuned", model=folder / "pooler")
    return folder


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model_can_be_tuned_by_every_method(kind, method, home, tmp_path, quick):
    write_rows(tmp_path)
    changes = {"model": home / kind, "epochs": 1, **METHODS[method]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = run(tmp_path, **changes)
        classifier = agrees(found, options(tmp_path, **changes))
    assert (classifier.model.bert.pooler is None) == (kind in ("no pooler", "mean"))


@pytest.mark.parametrize("method", METHODS)
def test_numbers(method, home, tmp_path, quick):
    changes = {"model": home / "no pooler", "train": home / "numbers.tsv", "task": "regression"}
    changes |= METHODS[method] | {"epochs": 8}
    found = run(tmp_path, **changes)
    classifier = agrees(found, options(tmp_path, **changes))
    assert classifier.names == () and found.result.names == ()
    said = results(found.folder)
    assert set(said["test"]) == {"this model", BAG, MEAN}
    rows = [row for row in log(found.folder) if row["kind"] == "eval"]
    assert found.valid["eval_mse"] == min(row["eval_mse"] for row in rows)
    assert {"mse", "mae", "r"} == set(said["test"]["this model"])


def test_numbers_that_are_all_said_alike_have_no_correlation_in_the_files(home, tmp_path, quick):
    """The rate is so small that nothing changes; JSON has no NaN."""
    model = save_model(tmp_path / "same", "BertForSequenceClassification", num_labels=1)
    model.classifier.weight.data[...], model.classifier.bias.data[...] = 0, 1
    model.save_pretrained(tmp_path / "same")
    changes = {"model": tmp_path / "same", "train": home / "numbers.tsv", "task": "regression"}
    found = run(tmp_path, **changes, method="head", learning_rate=1e-30, epochs=1)
    assert math.isnan(found.valid["eval_r"])
    text = (found.folder / "results.json").read_text()
    assert "NaN" not in text and json.loads(text)["validation"]["eval_r"] is None
    again = run(tmp_path, **changes, method="head", learning_rate=1e-30, epochs=1, resume=True)
    assert math.isnan(again.valid["eval_r"]) and again.cost == found.cost


@pytest.mark.parametrize("method", ["full", "head", "lora"])
def test_pairs(method, home, tmp_path, quick):
    changes = {"model": home / "pooler", "train": home / "pairs.jsonl", **METHODS[method]}
    found = run(tmp_path, **changes)
    classifier = agrees(found, options(tmp_path, **changes))
    assert classifier.pairs is True and classifier.names == ("other", "same")
    with pytest.raises(ValueError, match="these are single texts, and the model was tuned on pai"):
        classifier.predict(["the court"])
    card = (found.folder / "README.md").read_text()
    assert "--text 'a text' 'its second text'" in card


@pytest.mark.parametrize("tokenizer", ["trained", "of a folder"])
def test_a_new_model(tokenizer, home, tmp_path, quick):
    changes = {"model": "tiny", "train": home / "rows.tsv", "max_length": 12, "epochs": 1}
    given = {"tokenizer": home / "pooler"} if tokenizer == "of a folder" else {"vocab_size": 90}
    found = run(tmp_path, **changes, **given)
    classifier = agrees(found, options(tmp_path, **changes, **given))
    config = classifier.model.config
    assert config.hidden_size == 128 and config.max_position_embeddings == 12
    assert config.vocab_size == len(classifier.tokenizer)
    assert config.classifier_pooling == "mean" and classifier.model.bert.pooler is None
    said = (found.folder / "README.md").read_text()
    assert "trained from scratch" in said and "tuned from" not in said


def test_a_tuned_model_can_be_tuned_further(home, tmp_path, quick):
    """Its head is kept, as the classes are the same ones."""
    write_rows(tmp_path, seed=5)
    again = run(tmp_path, model=home / "tuned", learning_rate=1e-12, epochs=1)
    weights = [
        models.from_pretrained(f).classifier.weight.numpy() for f in (again.folder, home / "tuned")
    ]
    np.testing.assert_allclose(*weights, rtol=0, atol=1e-8)


def test_layers_may_learn_at_rates_of_their_own_and_one_by_one(home, tmp_path, quick):
    changes = {"model": home / "pooler", "train": home / "rows.tsv"}
    found = run(tmp_path, layer_decay=0.5, unfreeze_every=4, **changes)
    usual = models.from_pretrained(home / "tuned").state_dict()
    own = models.from_pretrained(found.folder).state_dict()
    assert all(not np.array_equal(own[n].numpy(), usual[n].numpy()) for n in own if "norm" not in n)

"""TextClassifier of a folder with an adapter alone, which stands on the model it was trained on."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.finetune.test_classifier import NAMES, TEXTS, TOKENIZER, made, one_line, saved
from tests.models.common import gpt2
from tinygrad_llm import models
from tinygrad_llm.finetune import add_lora, lora_layers, save_adapter
from tinygrad_llm.finetune import classifier as module
from tinygrad_llm.finetune.classifier import TextClassifier
from tinygrad_llm.finetune.start import with_head

KINDS = {"pooler": "BertForPreTraining", "no pooler": "BertForMaskedLM", "body": "BertModel"}


def adapted(folder, kind="pooler", regression=False, **options):
    """A folder of what LoRA added to the model of another folder; what the whole then says."""
    base = saved(folder / "base", made(KINDS[kind], **options))
    labels = {"num_labels": 1, "problem_type": "regression"}
    if not regression:
        labels = {"num_labels": 3, "id2label": dict(enumerate(NAMES))}
        labels["problem_type"] = "single_label_classification"
    model = with_head(models.from_pretrained(base), **labels)
    add_lora(model, 2)
    rng = np.random.default_rng(0)
    for name, p in model.named_parameters():
        if "lora_b" in name or name.startswith("classifier"):
            p.data[...] = 0.5 * rng.standard_normal(p.shape)
    save_adapter(model, folder / "tuned")
    model.save_config(folder / "tuned")
    TOKENIZER.save_pretrained(folder / "tuned")
    say(folder, base=str(base))
    return model.eval()


def say(folder, **said):
    path = folder / "tuned" / module.FINETUNE
    path.write_text(json.dumps({"max_length": 24, "pairs": False, **said}), encoding="utf-8")


@pytest.mark.parametrize("regression", [False, True], ids=["classes", "numbers"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_stands_on_the_model_that_it_was_trained_on(kind, regression, tmp_path):
    model = adapted(tmp_path, kind, regression)
    given = TextClassifier.from_pretrained(tmp_path / "tuned")
    batch = TOKENIZER(TEXTS[:3], padding=True, return_token_type_ids=True)
    arrays = {name: np.array(rows) for name, rows in batch.items()}
    expected = model(**arrays).logits.numpy()
    np.testing.assert_allclose(given.logits(TEXTS[:3]), expected, rtol=0, atol=1e-5)
    assert given.names == (() if regression else NAMES) and not given.model.training
    assert not lora_layers(given.model)  # it is as fast as any other


def test_dropout_of_the_run_is_no_other_configuration(tmp_path):
    adapted(tmp_path)
    path = tmp_path / "tuned" / "config.json"
    config = json.loads(path.read_text())
    config |= {"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.2}
    path.write_text(json.dumps(config))
    assert TextClassifier.from_pretrained(tmp_path / "tuned").predict(["好"])


def broken(tmp_path, error):
    with pytest.raises(error) as caught:
        TextClassifier.from_pretrained(tmp_path / "tuned")
    return one_line(caught)


@pytest.mark.parametrize("said", ["no/such", None, 3, ""])
def test_a_model_that_is_not_there_any_more_is_named(said, tmp_path):
    adapted(tmp_path)
    say(tmp_path, base=said)
    text = broken(tmp_path, FileNotFoundError)
    assert f"only what LoRA added to the model of {said!r}, which is not there" in text
    assert text.endswith(f'write where it is into {module.FINETUNE}, as "base"')


def test_a_model_that_was_moved_is_found_again(tmp_path):
    model = adapted(tmp_path)
    (tmp_path / "base").rename(tmp_path / "elsewhere")
    assert "which is not there" in broken(tmp_path, FileNotFoundError)
    say(tmp_path, base=str(tmp_path / "elsewhere"))
    found = TextClassifier.from_pretrained(tmp_path / "tuned")
    ids = np.array([TOKENIZER.encode("好")])
    expected = model(ids).logits.numpy()
    np.testing.assert_allclose(found.logits(["好"]), expected, rtol=0, atol=1e-5)


def test_a_model_that_has_changed_is_refused(tmp_path):
    adapted(tmp_path)
    base = models.from_pretrained(tmp_path / "base")
    base.bert.embeddings.words.weight.data[3, 3] += 1e-6
    base.save_pretrained(tmp_path / "base")
    assert "trained on a model with other weights" in broken(tmp_path, ValueError)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: made("BertForPreTraining", hidden_act="relu"), "of another configuration than"),
        (lambda: made("BertForPreTraining", num_hidden_layers=1), "of another configuration than"),
        (gpt2, "is a GPT2LMHeadModel, which cannot be tuned for this"),
    ],
    ids=["activation", "size", "gpt"],
)
def test_another_model_in_its_place_is_refused(change, message, tmp_path):
    adapted(tmp_path)
    change().astype("float32").save_pretrained(tmp_path / "base")
    text = broken(tmp_path, ValueError)
    assert message in text and str(tmp_path / "base") in text


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("adapter.safetensors", FileNotFoundError),
        ("config.json", FileNotFoundError),
        ("finetune.json", FileNotFoundError),
        ("tokenizer*", FileNotFoundError),
    ],
)
def test_missing_files_of_an_adapter_are_named(name, error, tmp_path):
    adapted(tmp_path)
    names = [name, *(["vocab.txt"] if name[0] == "t" else [])]
    for path in [path for each in names for path in (tmp_path / "tuned").glob(each)]:
        path.unlink()
    assert str(tmp_path / "tuned") in broken(tmp_path, error)


@pytest.mark.parametrize("labels", [10**9, -1, 4, "3"])
def test_a_configuration_that_claims_too_much_takes_no_memory(labels, tmp_path):
    adapted(tmp_path)
    path = tmp_path / "tuned" / "config.json"
    for names in ({}, {"id2label": None}):
        config = {**json.loads(path.read_text()), "num_labels": labels, **names}
        path.write_text(json.dumps(config))
        assert str(tmp_path / "tuned") in broken(tmp_path, ValueError)

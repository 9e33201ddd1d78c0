"""Tests of merging LoRA: for a while, which nothing can learn in, and for good."""

from __future__ import annotations

import numpy as np
import pytest

from tests.finetune.lora_common import bits, classifier, layer, lively, logits, tune
from tests.nn.common import numbers
from tinygrad_llm import models, nn, no_grad
from tinygrad_llm.backend import random
from tinygrad_llm.finetune import add_lora, lora_layers, merge_lora


@pytest.mark.parametrize("rslora", [False, True])
@pytest.mark.parametrize(("dtype", "most"), [("float32", 1e-6), ("float64", 1e-10)])
def test_merged_is_unmerged_after_training(dtype, most, rslora):
    model = classifier(dtype)
    base = logits(model)
    add_lora(model, rank=4, targets="all", rslora=rslora)
    tune(model)
    learned, before = logits(model), bits(model)
    assert np.abs(learned - base).max() > 0.1
    for each in lora_layers(model).values():
        each.merge()
    with no_grad():
        assert 0 < np.abs(logits(model) - learned).max() <= most
    assert bits(model) == before
    for each in lora_layers(model).values():
        each.unmerge()
    assert bits(model) == before and np.array_equal(logits(model), learned)
    frozen = {n: p.requires_grad for n, p in model.named_parameters() if "lora" not in n}
    names = merge_lora(model)
    assert np.abs(logits(model) - learned).max() <= most
    assert all(type(each) is nn.Linear for n, each in model.named_modules() if n in names)
    assert {n: p.requires_grad for n, p in model.named_parameters()} == frozen
    assert not any(each.training for each in model.modules())


def test_merging_draws_nothing_and_saves_as_any_model(tmp_path):
    model = lively(classifier(), rank=2)
    expected = logits(model)
    state = random.state()
    merge_lora(model)
    assert random.state() == state
    model.save_pretrained(tmp_path)
    again = models.from_pretrained(tmp_path)
    assert type(again) is models.BertForSequenceClassification
    assert list(again.state_dict()) == list(classifier().state_dict())
    assert np.abs(logits(again) - expected).max() <= 1e-6
    add_lora(model, rank=2)


def test_a_model_with_lora_is_not_saved_as_a_whole_one(tmp_path):
    """Merged for a while or not; nothing is written, and the mend is."""
    model = lively(classifier(), rank=2)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"query\.lora_a.* merge_lora\(model\) first") as told:
            model.save_pretrained(tmp_path / "new")
        assert "\n" not in str(told.value) and not (tmp_path / "new").exists()
        for each in lora_layers(model).values():
            each.merge()
    merge_lora(model)
    model.save_pretrained(tmp_path / "new")


def test_while_merged_nothing_can_learn():
    model = classifier()
    add_lora(model, rank=4)
    first = lora_layers(model)["bert.encoder.layers.1.attention.query"]
    first.merge()
    assert first.merged and repr(first).endswith("merged)")
    with pytest.raises(RuntimeError, match=r"while it is merged .* unmerge\(\) it to train"):
        tune(model)
    first.unmerge()
    assert not first.merged
    tune(model)


def test_a_merged_layer_follows_its_weights():
    made, x = layer(dtype="float32"), numbers(5, 4)
    made.merge()
    with no_grad():
        kept = made(x).numpy()
        assert made._current() is made._current()
        made.load_state_dict({n: -v.numpy() for n, v in made.state_dict().items()})
        changed = made(x).numpy()
        made.astype("float64")
        finer = made(x.astype("float64")).numpy()
        with nn.in_dtype(made, "float16"):
            coarser = made(x.astype("float16")).numpy()
        made.unmerge()
        expected = made(x.astype("float64")).numpy()
    assert np.abs(kept - changed).max() > 0.1
    assert [y.dtype for y in (changed, finer, coarser)] == ["float32", "float64", "float16"]
    for y, most in ((changed, 1e-6), (finer, 1e-14), (coarser, 0.02)):
        assert np.abs(y - expected).max() < most


def test_nothing_to_merge():
    with pytest.raises(ValueError, match="the model has no LoRA"):
        merge_lora(classifier())

"""What each method trains: which weights, on what, and how small what LoRA saves is."""

from __future__ import annotations

import numpy as np
import pytest

from tests.finetune.run_common import (
    METHODS,
    data_of,
    hurry,
    options,
    run,
    save_model,
    write_rows,
)
from tinygrad_llm import data, manual_seed, models, nn, optim
from tinygrad_llm.finetune import LoRALinear, encode
from tinygrad_llm.finetune.examples import length
from tinygrad_llm.finetune.features import Features, Head, features
from tinygrad_llm.finetune.freezing import counted
from tinygrad_llm.finetune.lora import add_lora
from tinygrad_llm.finetune.methods import Sets, prepare
from tinygrad_llm.finetune.rates import GradualUnfreezing
from tinygrad_llm.finetune.start import start


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("methods")
    write_rows(folder)
    save_model(folder / "bert")
    save_model(folder / "mean", "BertForMaskedLM")
    return folder


KINDS = ("bert", "mean")
"""With a pooler, and without one, so that the mean of the states is read."""


def prepared(home, kind="bert", **changes):
    chosen = options(home, model=home / kind, **changes)
    manual_seed(0)
    rows = data_of(chosen)
    begun = start(chosen, rows)
    sets = Sets(*(encode(part, begun.tokenizer, begun.max_length, True) for part in rows[:3]))
    return begun, sets, prepare(chosen, begun, sets, quiet=True)


def learning(module):
    return {name for name, p in module.named_parameters() if p.requires_grad}


def test_all_of_the_model_learns(home):
    begun, sets, work = prepared(home, **METHODS["full"])
    assert work.module is begun.model and work.datasets == tuple(sets)
    assert learning(work.module) == {name for name, _ in work.module.named_parameters()}
    assert work.trained == work.parameters == sum(p.size for p in begun.model.parameters())
    assert work.collate_fn is sets.train.collate_fn and work.length is length
    assert (work.optimizer, work.callbacks, work.seconds) == (None, (), 0.0)


def test_layers_may_have_rates_of_their_own(home):
    begun, _, work = prepared(home, layer_decay=0.5, learning_rate=0.04, weight_decay=0.3)
    assert type(work.optimizer) is optim.AdamW
    rates = {id(p): g["lr"] for g in work.optimizer.param_groups for p in g["params"]}
    assert len(rates) == len(list(begun.model.parameters()))
    body = begun.model.bert
    found = [
        rates[id(p)]
        for p in (
            begun.model.classifier.weight,
            body.pooler.dense.weight,
            *(next(layer.parameters()) for layer in reversed(body.encoder.layers)),
            body.embeddings.words.weight,
        )
    ]
    assert found == pytest.approx([0.04, 0.02, 0.02, 0.01, 0.005])
    assert {g["weight_decay"] for g in work.optimizer.param_groups} == {0.0, 0.3}


def test_layers_may_thaw_one_by_one(home):
    *_, work = prepared(home, unfreeze_every=7)
    (callback,) = work.callbacks
    assert isinstance(callback, GradualUnfreezing) and callback.every == 7


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_learns_on_features_that_are_computed_when_they_are_asked_for(kind, home):
    begun, sets, work = prepared(home, kind, **METHODS["head"])
    assert isinstance(work.module, Head) and (work.collate_fn, work.length) == (None, None)
    assert learning(work.module) == {"classifier.weight", "classifier.bias"}
    assert (begun.model.bert.pooler is None) == (kind == "mean")
    assert work.trained == sum(p.size for p in work.module.parameters())
    assert work.parameters == sum(p.size for p in begun.model.parameters())
    assert all(isinstance(each, Features) and each.seconds == 0.0 for each in work.datasets)
    first = work.datasets[0][3]
    assert [each.seconds > 0.0 for each in work.datasets] == [True, False, False]
    assert work.seconds == work.datasets[0].seconds
    expected = features(begun.model, sets.train, sets.train.collate_fn)
    assert (
        np.array_equal(first["features"], expected[3]) and first["labels"] == sets.train.labels[3]
    )
    work.datasets[2].take(np.array([0]))
    assert work.seconds == work.datasets[0].seconds  # of what is learnt from and chosen by


@pytest.mark.parametrize("kind", KINDS)
def test_lora_and_the_head_learn(kind, home):
    begun, sets, work = prepared(
        home, kind, method="lora", rank=3, alpha=5, rslora=True, lora_targets="value, out"
    )
    assert work.module is begun.model and work.datasets == tuple(sets)
    layers = {n: m for n, m in begun.model.named_modules() if isinstance(m, LoRALinear)}
    assert len(layers) == 4 and {n.rpartition(".")[2] for n in layers} == {"value", "out"}
    assert {(m.settings.rank, m.settings.alpha, m.settings.rslora) for m in layers.values()} == {
        (3, 5.0, True)
    }
    own = {f"{name}.{each}" for name in layers for each in ("lora_a", "lora_b")}
    own |= {"classifier.weight", "classifier.bias"}
    assert learning(begun.model) == own
    assert (work.trained, work.parameters) == counted(begun.model)
    assert work.collate_fn is sets.train.collate_fn and work.length is length


def test_lora_may_stand_beside_all_layers_of_the_body(home):
    begun, *_ = prepared(home, method="lora", lora_targets="all", rank=1)
    linears = [n for n, m in begun.model.named_modules() if type(m) is nn.Linear]
    assert linears == ["classifier"]


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("preset", ["tiny", "mini", "base"])
def test_lora_learns_a_twentieth_of_a_model_at_most(preset, pooling):
    """With the usual rank and targets, ten classes and a small vocabulary."""
    sizes = {"vocab_size": 8000, "num_labels": 10, "classifier_pooling": pooling}
    config = models.BertConfig.preset(preset, **sizes)
    with nn.no_storage():
        model = models.BertForSequenceClassification(config)
        whole = sum(p.size for p in model.parameters())
        add_lora(model, 8)
    assert counted(model)[0] <= 0.05 * whole


def test_so_do_its_files(tmp_path):
    write_rows(tmp_path)
    sizes = {**{"hidden_size": 128, "intermediate_size": 512}, "initializer_range": 0.02}
    save_model(tmp_path / "bert", **sizes, vocab_size=4000)
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        found = run(tmp_path, method="lora", epochs=1, batch_size=48)
    files = sum(
        (found.folder / f"adapter.{kind}").stat().st_size for kind in ("json", "safetensors")
    )
    assert files <= 0.05 * (tmp_path / "bert" / "model.safetensors").stat().st_size


def test_a_part_of_features_is_a_dataset(home):
    *_, work = prepared(home, **METHODS["head"])
    train, valid, _ = work.datasets
    assert [len(each) for each in work.datasets] == [48, 6, 6]
    batch = next(iter(data.DataLoader(valid, 4)))
    assert batch["features"].shape == (4, 16) and batch["features"].dtype == np.float32
    assert batch["labels"].tolist() == valid.labels[:4].tolist()
    with pytest.raises(IndexError):
        train[48]

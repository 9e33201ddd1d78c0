"""finetune: what is in the folder at the end, and that it is what the run has reported."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from tests.finetune.run_common import (
    METHODS,
    agrees,
    data_of,
    hurry,
    log,
    options,
    results,
    run,
    save_model,
    trace,
    write_numbers,
    write_rows,
)
from tinygrad_llm import finetune, models
from tinygrad_llm.data import row_hash
from tinygrad_llm.files import load_safetensors
from tinygrad_llm.finetune import TextClassifier, judging
from tinygrad_llm.finetune import run as running
from tinygrad_llm.finetune.card import escaped
from tinygrad_llm.finetune.judging import said_of
from tinygrad_llm.finetune.measures import BAG, MAJORITY
from tinygrad_llm.tokenizers import Tokenizer
from tinygrad_llm.training import Trainer

EVERY = {
    *("README.md", "config.json", "eval.csv", "finetune.json"),
    *("log.jsonl", "options.json", "results.json", "run.json", "test.json", "test.safetensors"),
    *("tokenizer.json", "tokenizer_config.json", "train.csv", "vocab.txt"),
}
"""Of each run; beside them stands the model."""

MODEL = {
    **{method: {"model.safetensors"} for method in ("full", "head", "merged")},
    "lora": {"adapter.json", "adapter.safetensors"},
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A run of each method, of which the first is drawn too."""
    folder = tmp_path_factory.mktemp("runs")
    write_rows(folder)
    for name, kind in (("bert", "BertForPreTraining"), ("no pooler", "BertForMaskedLM")):
        save_model(folder / name, kind)
    for name, changes in METHODS.items():
        with pytest.MonkeyPatch.context() as patch:
            hurry(patch, drawn=name == "full")
            REPORTED[name] = run(folder, name, **changes)
    return folder


REPORTED: dict[str, finetune.Finetuned] = {}


@pytest.mark.parametrize("method", METHODS)
def test_the_folder_has_the_model_and_what_is_said_of_it_and_no_more(method, home):
    folder = home / method
    drawn = {"curves.png", "confusion.png"} if method == "full" else set()
    assert {path.name for path in folder.iterdir()} == EVERY | MODEL[method] | drawn
    assert all((folder / name).read_bytes()[:4] == b"\x89PNG" for name in drawn)
    saved = json.loads((folder / "options.json").read_text())
    assert saved["options"]["method"] == METHODS[method]["method"]
    said = json.loads((folder / "finetune.json").read_text())
    base = {"base": str(home / "bert")} if method == "lora" else {}
    assert said == {"max_length": 24, "pairs": False, **base}
    card = (folder / "README.md").read_text()
    assert f"tuned from {escaped(str(home / 'bert'))}." in card
    assert (f"tuned from, in {escaped(str(home / 'bert'))}: keep" in card) == (method == "lora")


@pytest.mark.parametrize("method", METHODS)
def test_the_classifier_of_the_folder_says_what_the_run_reported(method, home):
    found = REPORTED[method]
    classifier = agrees(found, options(home, method, model=home / "bert", **METHODS[method]))
    assert classifier.names == ("law", "music", "体育") == found.result.names
    assert not classifier.model.training and classifier.pairs is False
    assert np.ptp(said_of(found.folder), axis=0).min() > 0.01  # or all rows would look alike
    tokenizer = Tokenizer.from_pretrained(found.folder)
    assert classifier.model.config.vocab_size == len(tokenizer)


@pytest.mark.parametrize("method", METHODS)
def test_results_are_those_of_one_read_of_the_test_rows(method, home):
    found, said = REPORTED[method], results(home / method)
    truth = data_of(options(home)).test.labels
    right = float(np.mean(said_of(found.folder).argmax(axis=1) == truth))
    assert said["test"]["this model"]["accuracy"]["value"] == right
    assert set(said["test"]) == {"this model", BAG, MAJORITY} and said["rows"] == len(truth)
    reads = [row for row in log(home / method) if row["kind"] == "test"]
    (record,) = reads
    assert record["test_accuracy"] == right and record["times_read"] == 1
    assert json.loads((home / method / "test.json").read_text())["test_accuracy"] == right
    assert said["validation"] == found.valid
    assert [said[name] for name in found.cost._fields] == list(found.cost)


@pytest.mark.parametrize("method", METHODS)
def test_the_validation_rows_have_chosen_the_step(method, home):
    """The best macro F1, of several the first; the weights in the folder are of that step."""
    found, evaluations = REPORTED[method], [r for r in log(home / method) if r["kind"] == "eval"]
    best = max(evaluations, key=lambda row: row["eval_macro_f1"])
    assert found.valid == {k: v for k, v in best.items() if k.startswith("eval_")}
    part = data_of(options(home)).valid
    logits = TextClassifier.from_pretrained(home / method).logits(part.texts)
    own = running.Judge("classification", found.result.names)(logits, part.labels)
    expected = {name.removeprefix("eval_"): value for name, value in found.valid.items()}
    assert own == pytest.approx({k: v for k, v in expected.items() if k in own}, abs=1e-6)
    powers = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    loss = -np.log(powers[np.arange(len(logits)), part.labels]).mean()
    assert loss == pytest.approx(found.valid["eval_loss"], rel=1e-4)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_weights_of_the_best_step_are_taken(task, home, tmp_path, quick, monkeypatch):
    """By planted figures: the second evaluation is the best, and two later ones end the run."""
    name = {"classification": "macro_f1", "regression": "mse"}[task]
    planted = [0.2, 0.9, 0.5, 0.4, 0.1] if task == "classification" else [5, 2, 3, 4, 9]
    kept, seen = [], []

    def scores(*given):
        (own,) = kept
        seen.append(own.model.classifier.weight.numpy().tobytes())
        return {name: planted[len(seen) - 1]}

    def trainer(*given):
        kept.append(running_trainer(*given))
        return kept[0]

    running_trainer = running._trainer
    monkeypatch.setattr(running, "_trainer", trainer)
    monkeypatch.setattr(judging, "scores", scores)
    train = home / "rows.tsv" if task == "classification" else write_numbers(tmp_path)
    found = run(tmp_path, model=home / "bert", train=train, task=task, epochs=9, patience=2)
    assert len(seen) == 5 and len(set(seen)) == 4  # of epochs 1 to 4, and once more of 2
    weights, _ = load_safetensors(found.folder / "model.safetensors")
    assert weights["classifier.weight"].tobytes() == seen[1] == seen[4]
    assert found.valid[f"eval_{name}"] == planted[1]
    (test,) = [row for row in log(found.folder) if row["kind"] == "test"]
    assert test[f"test_{name}"] == planted[4] and test["step"] == 24


def test_the_files_of_parts_are_read(home, tmp_path, quick, capsys):
    parts = {"valid": write_rows(tmp_path, "valid.tsv", 4, 1)}
    parts["test"] = write_rows(tmp_path, "test.tsv", 3, 2)
    chosen = options(tmp_path, model=home / "bert", train=home / "rows.tsv", **parts, epochs=1)
    found = finetune.finetune(chosen)
    assert len(found.result.labels) == 9
    said = capsys.readouterr().out
    assert f"to learn from: 60 rows, all of {home / 'rows.tsv'}" in said
    assert f"to choose by: 12 rows, all of {parts['valid']}" in said
    assert "3 classes: law, music, 体育" in said


def test_what_is_said_before_a_run(home, tmp_path, quick, capsys):
    chosen = options(
        tmp_path, model=home / "bert", train=home / "rows.tsv", epochs=1, max_length=8,
        test=home / "rows.tsv",
    )  # fmt: skip
    finetune.finetune(chosen)
    said = capsys.readouterr().out
    assert f"to choose by: 6 rows, held out of {home / 'rows.tsv'}" in said
    assert f"to judge by: 60 rows, all of {home / 'rows.tsv'}" in said
    assert "warning: 54 of the rows to judge by are among those to learn from, too" in said
    assert "to choose by are among" not in said
    for use in ("54 texts to learn from", "6 texts to choose by", "60 texts to judge by"):
        assert said.count(f" of {use}, ") == 1


def test_a_model_that_was_tuned_before_may_know_the_rows(home, tmp_path, quick, capsys):
    rows, first = home / "rows.tsv", tmp_path / "first"
    run(first, model=home / "bert", train=rows, epochs=1)
    warned = f"warning: {first / 'out'} was tuned before; rows that it has learnt from flatter it"
    for parts, said in (({}, True), ({"valid": rows, "test": rows}, False)):
        place = tmp_path / str(len(parts))
        finetune.finetune(
            options(place, model=first / "out", train=rows, epochs=1, max_length=8, **parts)
        )
        assert (warned in capsys.readouterr().out) == said


def test_quiet_says_nothing(home, tmp_path, quick, capsys):
    run(tmp_path, model=home / "bert", train=home / "rows.tsv", epochs=1)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("method", METHODS)
def test_the_same_options_give_the_same_bits(method, home, tmp_path, quick):
    same = {"model": home / "bert", "train": home / "rows.tsv", **METHODS[method]}
    first, again = trace(home / method), trace(run(tmp_path, **same).folder)
    assert again == first and MODEL[method] <= first.keys()
    other = trace(run(tmp_path, "other", **same, seed=1).folder)
    changed = {name for name in first if other[name] != first[name]}
    assert changed >= {"log", "results", "test.safetensors"} and changed & MODEL[method]


class Watched:
    """Examples that note what is done meanwhile, whenever a row is asked for."""

    def __init__(self, rows, doing):
        self.rows, self.doing, self.asked = rows, doing, []

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        self.asked.append(self.doing[-1])
        return self.rows[i]

    def __getattr__(self, name):
        return getattr(self.rows, name)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_asks_for_a_test_row_before_the_test(method, home, tmp_path, quick, monkeypatch):
    """And no other part has one, by the hash of its token ids."""
    sets, doing = [], ["beginning"]

    def doing_it(name, real):
        return lambda *given, **how: (doing.append(name), real(*given, **how))[1]

    def encode(*given):
        sets.append(Watched(finetune.encode(*given), doing))
        return sets[-1]

    monkeypatch.setattr(running, "encode", encode)
    for name in ("train", "test"):
        monkeypatch.setattr(Trainer, name, doing_it(name, getattr(Trainer, name)))
    run(tmp_path, model=home / "bert", train=home / "rows.tsv", **METHODS[method])
    assert [set(each.asked) for each in sets] == [{"train"}, {"train"}, {"test"}]
    hashes = [{row_hash(each.rows[i]["input_ids"]) for i in range(len(each))} for each in sets]
    assert [len(each) for each in hashes] == [48, 6, 6]
    assert len(set().union(*hashes)) == 60


def arrays(folder, name="model.safetensors"):
    return {n: value.tobytes() for n, value in load_safetensors(folder / name)[0].items()}


def body_and_learnt(home, kind):
    """The arrays of the body that a run begins with, and the names of what learns beside LoRA."""
    body = {n: each for n, each in arrays(home / kind).items() if n.startswith("bert.")}
    learnt = {"classifier.weight", "classifier.bias"}
    assert any(".pooler." in name for name in body) == (kind == "bert")
    assert len(body) > 30 and not body.keys() & learnt
    return body, learnt


@pytest.mark.parametrize("kind", ["bert", "no pooler"])
def test_under_a_head_the_body_has_the_same_bits_afterwards(kind, home, tmp_path, quick):
    body, learnt = body_and_learnt(home, kind)
    found = run(tmp_path, model=home / kind, train=home / "rows.tsv", **METHODS["head"])
    after = arrays(found.folder)
    assert {n: after[n] for n in body} == body and after.keys() == body.keys() | learnt


@pytest.mark.parametrize("kind", ["bert", "no pooler"])
def test_beside_lora_the_body_has_the_same_bits_afterwards(kind, home, tmp_path, quick):
    """An adapter has none of it; merged, two matrices of each block are others."""
    body, learnt = body_and_learnt(home, kind)
    same = {"model": home / kind, "train": home / "rows.tsv"}
    adapter = arrays(run(tmp_path, **same, **METHODS["lora"]).folder, "adapter.safetensors")
    assert {name for name in adapter if "lora_" not in name} == learnt
    assert len(adapter) - len(learnt) == 2 * 2 * 2  # A and B of query and value of two blocks
    merged = arrays(run(tmp_path, "merged", **same, **METHODS["merged"]).folder)
    moved = {n for n in body if merged[n] != body[n]}
    assert {n.split(".")[-2] for n in moved} == {"query", "value"} and len(moved) == 4
    assert merged.keys() == body.keys() | learnt


def test_an_adapter_finds_its_model_from_anywhere(home, tmp_path, quick, monkeypatch):
    """Its path is kept whole, though the run was given one that is relative."""
    monkeypatch.chdir(home)
    found = run(tmp_path, model="bert", train="rows.tsv", epochs=1, **METHODS["lora"])
    monkeypatch.chdir(tmp_path)
    assert TextClassifier.from_pretrained("out").predict(["the court"])
    said = json.loads((found.folder / "finetune.json").read_text())
    assert said["base"] == str(home / "bert")


def test_the_model_that_a_run_begins_with_stays_as_it_is(home, tmp_path, quick):
    files = sorted((home / "bert").iterdir())
    before = [path.read_bytes() for path in files]
    run(tmp_path, model=home / "bert", train=home / "rows.tsv", epochs=1)
    assert sorted((home / "bert").iterdir()) == files
    assert [path.read_bytes() for path in files] == before


@pytest.mark.parametrize("method", METHODS)
def test_costs_are_counted(method, home):
    cost, model = REPORTED[method].cost, models.from_pretrained(home / "full")
    size = sum(p.size for p in model.parameters())
    head = 16 * 3 + 3
    lora = 2 * 2 * 2 * 2 * 16  # rank 2 on two of the matrices of two blocks
    trained = {"full": size, "head": head, "lora": lora + head, "merged": lora + head}
    assert cost.trained == trained[method]
    assert cost.parameters == size + lora * (method in ("lora", "merged"))
    assert 0 < cost.seconds < 30
    assert cost.memory is None or 20 * 2**20 < cost.memory < 8 * 2**30
    assert f"{cost.trained:,} learnt" in (home / method / "README.md").read_text()


def test_a_system_that_does_not_count_memory(home, tmp_path, quick, monkeypatch):
    monkeypatch.setattr(finetune.outcome, "peak_memory", lambda: None)
    same = {"model": home / "bert", "train": home / "rows.tsv", "epochs": 1}
    assert run(tmp_path, **same).cost.memory is None
    assert results(tmp_path / "out")["memory"] is None
    assert run(tmp_path, **same, resume=True).cost.memory is None


def test_the_seconds_of_features_count(home, tmp_path, quick, monkeypatch):
    real = finetune.methods.features

    def features(*given, **how):
        time.sleep(0.2)
        return real(*given, **how)

    monkeypatch.setattr(finetune.methods, "features", features)
    found = run(tmp_path, model=home / "bert", train=home / "rows.tsv", method="head", epochs=1)
    assert 0.4 <= found.cost.seconds < 0.6  # of train and valid, not of test

"""The command that measures tuning: its parts by hand, and whole runs of an epoch."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest

from tests.benchmarks.learning import tuning, tuning_cases, tuning_ours, tuning_start
from tests.benchmarks.race import RaceError
from tests.finetune.run_common import hurry, save_model, write_rows
from tinygrad_llm import models
from tinygrad_llm.data import Padding
from tinygrad_llm.finetune.examples import length
from tinygrad_llm.metrics import mean_over_rows
from tinygrad_llm.training import Trainer, TrainingArguments


@pytest.fixture
def few(monkeypatch):
    """Cases of an epoch, and of 30 labels where there are 500."""
    for name, case in tuning_cases.CASES.items():
        settings = {**case.settings, "epochs": 1, "batch_size": 8}
        labels = case.labels and 30
        monkeypatch.setitem(tuning_cases.CASES, name, tuning_cases.Case(settings, labels, 2))
    hurry(monkeypatch)


@pytest.fixture
def places(tmp_path):
    """A file to learn from, one to judge by, and the folder of a BERT with drawn weights."""
    train = write_rows(tmp_path, "train.tsv")
    test = write_rows(tmp_path, "test.tsv", each=8, seed=1)
    save_model(tmp_path / "bert", "BertForMaskedLM", max_position_embeddings=32)
    return train, test, tmp_path / "bert"


@pytest.fixture
def words(places):
    train, test, model = map(str, places)
    return [train, test, "--model", model]


@pytest.fixture
def here(monkeypatch):
    """Runs in this process, and the options of each."""
    asked = []

    class Here:
        def __init__(self, side, words, folder, environment, *, program):
            assert (side, words) == ("ours", []) and program.endswith("tuning_ours")

        def ask(self, task, argument):
            asked.extend([argument] if task == "run" else [])
            return tuning_ours.run(argument) if task == "run" else tuning.facts("ours")

        def close(self):
            pass

    monkeypatch.setattr(tuning, "Worker", Here)
    return asked


# The whole command


def test_every_case_is_measured_compared_and_kept(words, few, here, tmp_path, capsys):
    record = tmp_path / "record.jsonl"
    words += ["--seeds", "1", "--record", str(record)]
    assert tuning.main(words) == 0
    first = capsys.readouterr().out
    _, table, lines = first.split("\n\n")
    names = [line[2:18].strip() for line in table.splitlines()[2:-1]]
    assert names == [
        *("scratch", "pretrained", "head", "lora", "bag"),
        *("scratch 500", "pretrained 500", "bag 30"),
    ]
    assert all("±" in line for line in table.splitlines()[2:])
    assert max(map(len, first.splitlines())) <= 80
    compared = [f"{a} − {b}:" for a, b in tuning.PAIRS[:-1]]  # there is no bag of 500 here
    assert [line.split(":")[0] + ":" for line in lines.splitlines()[:6]] == compared
    assert "head: the body's weights are those of the folder in 1 of 1 runs" in lines
    change = float(lines.split("lora: merging moves logits by at most ")[1].split()[0])
    assert 0.0 < change < 1e-6 and "(24 rows, float32)" in lines
    kept = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]
    assert len(kept) == len(here) == 6
    by_case = {run["key"]["case"]: run for run in kept}
    assert len({by_case[case]["bag"] for case in ("scratch", "pretrained", "lora")}) == 1
    for run in kept:
        assert len(run["right"]) == 24 and run["seconds"] > 0.0
        assert run["accuracy"] == pytest.approx(run["right"].count("1") / 24)
    shares = [by_case[case]["trained"] / by_case[case]["parameters"] for case in names[1:4]]
    assert shares[0] == 1.0 > shares[2] > shares[1]
    assert tuning.main(words) == 0
    assert len(here) == 6, "all runs are in the record"
    assert capsys.readouterr().out.split("\n\n")[1:] == [table, lines]


def test_a_record_of_other_settings_rows_or_weights_is_not_taken(
    words, places, few, here, tmp_path, monkeypatch, capsys
):
    words += ["--seeds", "1", "--cases", "head", "--record", str(tmp_path / "record.jsonl")]
    tuning.main(words)
    head = tuning_cases.CASES["head"]
    changed = head._replace(settings={**head.settings, "learning_rate": 0.02})
    monkeypatch.setitem(tuning_cases.CASES, "head", changed)
    tuning.main(words)
    write_rows(tmp_path, "test.tsv", each=8, seed=2)
    tuning.main(words)
    save_model(places[2], "BertForMaskedLM", seed=1, max_position_embeddings=32)
    tuning.main(words)
    assert len(here) == 4 and here[1]["learning_rate"] == 0.02
    assert "recorded" not in capsys.readouterr().out
    words[words.index("--seeds") + 1] = "2"
    tuning.main(words)
    assert [given["seed"] for given in here] == [0, 0, 0, 0, 1]
    assert capsys.readouterr().out.count("as recorded") == 1


def test_a_run_in_a_process_of_its_own(places, few, tmp_path):
    source = tuning_cases.source_of(*places)
    (work,) = tuning_cases.plan(source, ["head"], ["ours"], 1, tmp_path)
    run = tuning.measured(work, tmp_path)
    assert run["key"] == work.key and run["body_kept"] is True and run["merged"] is None
    assert 20.0 < run["mib"] < 500.0
    assert not (tmp_path / "head ours 0").exists()


def test_a_process_that_ends_is_named(words, few, monkeypatch):
    class Ended:
        def __init__(self, *_, **__):
            pass

        def ask(self, task, argument):
            if task == "facts":
                return tuning.facts("ours")
            raise RaceError("the process of 'ours' ended")

        def close(self):
            pass

    monkeypatch.setattr(tuning, "Worker", Ended)
    with pytest.raises(SystemExit, match=r"^seed 0, lora: the process of 'ours' ended$"):
        tuning.main([*words, "--cases", "lora"])


# Its parts


def test_rows_are_drawn_by_the_seed_of_each_class_its_share(places, tmp_path):
    drawn = []
    for seed in (0, 0, 1):
        tuning_cases.draw(places[0], 30, seed, tmp_path / "drawn.tsv")
        drawn.append((tmp_path / "drawn.tsv").read_text(encoding="utf-8").splitlines())
    labels = [line.split("\t")[1] for line in drawn[0]]
    assert [labels.count(name) for name in ("law", "music", "体育")] == [10, 10, 10]
    assert drawn[0] == drawn[1] != drawn[2]
    lines = places[0].read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line in set(drawn[0])] == drawn[0], "in the file's order"


def test_cases_of_one_seed_have_the_same_rows(places, few, tmp_path):
    source = tuning_cases.source_of(*places)
    works = tuning_cases.plan(source, list(tuning_cases.CASES), ["ours"], None, tmp_path)
    assert [work.seed for work in works] == [0] * 6 + [1] * 6
    rows = {(work.case, work.seed): work.key["rows"] for work in works}
    for few_labels in ("", " 500"):
        for seed in (0, 1):
            assert rows[f"pretrained{few_labels}", seed] == rows[f"scratch{few_labels}", seed]
    assert len(set(rows.values())) == 4
    assert all(work.options.learning_rate and work.options.max_length == 32 for work in works)
    starts = [work.options.model for work in works[:4]]
    assert starts == ["tiny", *[str(places[2])] * 3]


def made(case, seed, right, side="ours", **changes):
    """What a run gives, as far as it is shown."""
    usual = {"bag": "0011", "trained": 1, "parameters": 4, "seconds": 2.0, "mib": 100.0}
    usual |= {"merged": None, "body_kept": None}
    return {"key": {"case": case, "side": side, "seed": seed}, "right": right, **usual, **changes}


def test_differences_are_of_the_same_seeds_and_rows():
    runs = [made("pretrained", 0, "1111"), made("pretrained", 1, "0111"), made("head", 0, "1100")]
    bag, head = tuning.differences(runs)
    gains = np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
    found = mean_over_rows(gains)
    assert bag == f"pretrained − bag: +37.5 ± {100 * found.half:.1f} points, 2 seeds"
    half = 100 * 1.96 * np.std([0, 0, 1, 1], ddof=1) / 2
    assert head == f"pretrained − head: +50.0 ± {half:.1f} points, 1 seed"


def test_the_table_has_medians_and_shares():
    runs = [made("lora", seed, "1100", seconds=s) for seed, s in enumerate((1.0, 9.0, 2.0))]
    table = tuning.table(runs, ["ours"]).splitlines()
    assert table[2].split() == ["lora", "50.0", "±", "56.6", "1", "25.0%", "2.0", "100"]
    assert table[3].split() == ["bag", "50.0", "±", "56.6"]


def test_pytorch_stands_beside_us():
    runs = []
    for seed in (0, 1):
        runs += [made("lora", seed, "1100", mib=None)]
        theirs = made("lora", seed, "1000", "torch", seconds=3.0 + seed)
        runs += [{name: value for name, value in theirs.items() if name != "bag"}]
    table = tuning.table(runs, ["ours", "torch"]).splitlines()
    sides = [["lora", "ours"], ["lora", "PyTorch"], ["bag", "ours"]]
    assert [line.split()[:2] for line in table[2:5]] == sides
    accuracy, costs = tuning.races(runs)
    assert accuracy.startswith("lora, PyTorch − ours: -25.0 ± ")
    assert costs == "  PyTorch takes 1.75 × our time", "memory is not known"


def test_what_is_proved():
    runs = [made("lora", seed, "01", merged=m) for seed, m in enumerate((1e-7, 3e-6))]
    runs += [made("head", seed, "01", body_kept=kept) for seed, kept in enumerate((True, False))]
    assert tuning.proofs(runs) == [
        "head: the body's weights are those of the folder in 1 of 2 runs",
        "lora: merging moves logits by at most 3.0e-06 of the largest (2 rows, float32)",
    ]


def test_a_body_that_moved_is_seen(tmp_path):
    for name, seed in (("before", 0), ("same", 0), ("moved", 1)):
        save_model(tmp_path / name, "BertForSequenceClassification", seed)
    begun = SimpleNamespace(model=tmp_path / "before")
    tuned = [SimpleNamespace(folder=tmp_path / name) for name in ("same", "moved")]
    assert [tuning_ours.body_kept(begun, each) for each in tuned] == [True, False]


# What PyTorch's side begins with


@pytest.mark.parametrize("case", ["pretrained", "head", "lora"])
def test_pytorch_gets_the_weights_rows_and_rates(places, few, tmp_path, case, monkeypatch):
    lora = tuning_cases.CASES["lora"]
    usual = {name: value for name, value in lora.settings.items() if name != "lora_targets"}
    monkeypatch.setitem(tuning_cases.CASES, "lora", lora._replace(settings=usual))
    source = tuning_cases.source_of(*places)
    (work,) = tuning_cases.plan(source, [case], ["torch"], 1, tmp_path)
    found = tuning_start.write_start(work.options, tmp_path / "start.npz")
    with np.load(tmp_path / "start.npz") as file:
        arrays = dict(file)
    weights = {name.removeprefix("weight ") for name in arrays if name.startswith("weight ")}
    learns = [name for group in found["groups"] for name in group["names"]]
    assert json.dumps(found) and len(set(learns)) == len(learns)
    layers = [f"bert.encoder.layers.{i}.attention.{n}" for i in (0, 1) for n in ("query", "value")]
    added = {f"{layer}.lora_{x}" for layer in layers for x in "ab"}
    head = {"classifier.weight", "classifier.bias"}
    assert set(learns) == {"pretrained": weights, "head": head, "lora": head | added}[case]
    assert found["scales"] == (dict.fromkeys(layers, 2.0) if case == "lora" else {})
    decays = {name: group["weight_decay"] for group in found["groups"] for name in group["names"]}
    assert decays["classifier.weight"] == 0.01 and decays["classifier.bias"] == 0.0
    source_weights = models.from_pretrained(places[2]).bert.embeddings.words.weight.numpy()
    assert np.array_equal(arrays["weight bert.embeddings.words.weight"], source_weights)
    assert arrays["order"].shape == (1, 54) and len(arrays["train ends"]) == 54
    assert arrays["train ends"][-1] == len(arrays["train ids"])
    assert len(arrays["valid labels"]) == 6 and len(arrays["test labels"]) == 24
    assert len(found["rates"]) == 7 and found["rates"][:2] == [0.0, 1.0]
    assert not found["pooler"]


@pytest.mark.parametrize("grouped", [True, False])
def test_pytorch_gets_the_batches_of_our_trainer(grouped):
    rows = [{"input_ids": np.ones(2 + i % 5, np.int64), "labels": np.int64(i)} for i in range(18)]
    sizes = {"vocab_size": 5, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = models.BertConfig(**sizes, intermediate_size=4, num_labels=18)
    plan = TrainingArguments(
        num_train_epochs=2, per_device_train_batch_size=4, eval_strategy="no", quiet=True, seed=3
    )
    seen = []

    def watched(batch):
        seen.extend(int(row["labels"]) for row in batch)
        return Padding({"input_ids": 0})(batch)

    measure = length if grouped else None
    model = models.BertForSequenceClassification(config)
    Trainer(model, plan, rows, data_collator=watched, length=measure).train()
    work = SimpleNamespace(length=measure, datasets=[rows])
    found = tuning_start.orders(work, plan, len(rows))
    assert found.ravel().tolist() == seen[4:], "the first 4 rows are only looked at"
    assert not np.array_equal(found[0], found[1])


def test_pytorch_does_not_unfreeze(places, tmp_path):
    source = tuning_cases.source_of(*places)
    (work,) = tuning_cases.plan(source, ["pretrained"], ["torch"], 1, tmp_path)
    options = dataclasses.replace(work.options, unfreeze_every=2)
    with pytest.raises(ValueError, match="PyTorch's side lets all layers learn"):
        tuning_start.write_start(options, tmp_path / "start.npz")


# Refusals


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--cases", "lora,none"], "there is no case 'none'; there are: scratch, "),
        (["--seeds", "0"], "--seeds is at least 1"),
        (["--record", "."], "--record: . is a folder"),
        (["--record", "none/record"], "--record: there is no folder none"),
        (["--against", "torch"], "torch: transformers is not installed: pip install transformers"),
    ],
)
def test_options_that_cannot_be(words, capsys, monkeypatch, given, message):
    monkeypatch.setattr(tuning, "find_spec", lambda name: None if name == "transformers" else name)
    with pytest.raises(SystemExit) as ended:
        tuning.main([*words, *given])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (None, None, "train.tsv does not exist"),
        ("a", None, "train.tsv, line 1: "),
        (None, "court\tnone", "the label 'none' is no class of "),
        (None, "court\tlaw", "of one row no interval can be told"),
    ],
)
def test_files_that_cannot_be_used(words, places, train, test, message):
    for path, content in zip(places, (train, test)):
        if content is not None:
            path.write_text(f"{content}\n", encoding="utf-8")
    if train is None and test is None:
        places[0].unlink()
    with pytest.raises(SystemExit, match=message) as ended:
        tuning.main([*words, "--cases", "head"])
    assert "\n" not in str(ended.value)


def test_more_labels_than_there_are(words):
    with pytest.raises(SystemExit, match="60 rows are too few to draw 500 of them"):
        tuning.main([*words, "--cases", "scratch 500"])


def test_a_folder_that_is_no_bert(words, tmp_path):
    words[-1] = str(tmp_path)
    with pytest.raises(SystemExit, match=r"config\.json"):
        tuning.main(words)


@pytest.mark.parametrize("line", ["{", "[]", "3", '{"key": 1}'])
def test_a_record_that_is_none(words, tmp_path, line):
    record = tmp_path / "record.jsonl"
    good = json.dumps(made("lora", 0, "01"))
    record.write_text(f"{good}\n{line}\n", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"record\.jsonl, line 2: this is no run: remove the line"):
        tuning.main([*words, "--cases", "head", "--record", str(record)])

"""Tests of `tinygrad-llm finetune`: flags, what is printed before and after, and going on."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from tests.cli.folders import ROWS, rows_file
from tests.cli.tuning import SMALL, finetune, refused, tuned
from tinygrad_llm.cli import main
from tinygrad_llm.cli.finetune import SECTIONS
from tinygrad_llm.cli.flags import flag, in_flags
from tinygrad_llm.finetune.measures import BAG, MAJORITY, MEAN
from tinygrad_llm.finetune.options import FinetuneOptions
from tinygrad_llm.training import Trainer

pytestmark = pytest.mark.usefixtures("quick")


def measured(told: str) -> str:
    """The tables, without what a run took."""
    return re.search(r"^test: .*?(?=\n\n[\d,]+ of )", told, re.M | re.S)[0]


def test_from_rows_to_a_model_that_is_judged_and_asked(start, tmp_path, capsys):
    rows, test = (
        rows_file(tmp_path / "rows.tsv", ROWS[:54]),
        rows_file(tmp_path / "t.tsv", ROWS[54:]),
    )
    out = str(tmp_path / "the judge")
    begin = ["--model", start, "--train", rows, "--test", test, "--out", out]
    told = tuned(capsys, *begin, *SMALL, "--epochs", "15", "--patience", "15")
    order = [
        *("to learn from: 48 rows, a part of ", "to choose by: 6 rows, held out of "),
        *("to judge by: 18 rows, all of ", "2 classes: dry, wet"),
        *("test: 18 rows", "this model ", f"{BAG} ", f"{MAJORITY} ", f"less {BAG}", "precision"),
        *("         dry", " parameters learnt, 100.00%", "training took ", "The model is in "),
    ]
    places = [told.index(words) for words in order]
    assert places == sorted(places)
    found = json.loads(Path(out, "results.json").read_text(encoding="utf-8"))
    shown = re.search(r"^this model +(\S+%) +(\S+%) to (\S+%) ", told, re.M).groups()
    figure = found["test"]["this model"]["accuracy"]
    assert shown == tuple(f"{x:.1%}" for x in (figure["value"], *figure["interval"]))
    assert f"{found['trained']:,} of {found['parameters']:,} parameters learnt" in told
    assert re.search(r"training took [\d,]+\.\d+ s, and [\d,]+ MiB of memory at most\n", told)
    pictures = [each.name for each in Path(out).glob("*.png")]
    assert sorted(pictures) == ["confusion.png", "curves.png"]
    assert all(name in told.partition("The model is in")[2] for name in [*pictures, "README.md"])
    ask(told, out, test, capsys)


def rows_of(told: str) -> dict[str, list[str]]:
    """The figures by who has them."""
    lines = re.findall(rf"^(this model|{BAG}|{MAJORITY}) (.*)$", told, re.M)
    return {who: figures.split() for who, figures in lines if "less" not in figures}


def ask(told: str, out: str, test: str, capsys) -> None:
    """The printed commands work; the figures of the test rows are those of the run."""
    judge, predict = re.findall(r"^  (tinygrad-llm .*)$", told, re.M)
    words = shlex.split(judge)
    assert words == ["tinygrad-llm", "evaluate", "--model", out, "--data", "FILE"]
    assert main([*words[1:-1], test]) == 0
    found = capsys.readouterr().out
    assert rows_of(found)["this model"] == rows_of(told)["this model"]
    assert rows_of(found)[MAJORITY] == rows_of(told)[MAJORITY] != rows_of(told)["this model"]
    assert main(shlex.split(predict)[1:]) == 0
    assert re.fullmatch(r"(dry|wet)\t[01]\.\d{4}\n", capsys.readouterr().out)


def test_numbers_have_other_figures_and_another_picture(start, tmp_path, capsys):
    lines = [f"{row.partition(chr(9))[0]}\t{number % 5}" for number, row in enumerate(ROWS)]
    out = str(tmp_path / "out")
    begin = ["--model", start, "--train", rows_file(tmp_path / "rows.tsv", lines), "--out", out]
    told = tuned(capsys, *begin, *SMALL, "--task", "regression")
    assert f"\n{MEAN} " in told and "precision" not in told and "predictions.png" in told
    assert main(shlex.split(told.splitlines()[-1])[1:]) == 0
    float(capsys.readouterr().out)


def test_pairs_of_a_new_model(tmp_path, capsys):
    labelled = [dict(zip(("text", "label"), row.split("\t"))) for row in ROWS]
    lines = [json.dumps({**row, "text_pair": "a hill"}) for row in labelled]
    rows, out = rows_file(tmp_path / "rows.jsonl", lines), str(tmp_path / "out")
    told = tuned(capsys, "--model", "tiny", "--train", rows, "--out", out, "--epochs", "1")
    assert "\n1 batch of about " in told
    last = told.splitlines()[-1]
    assert last.endswith("--text 'a text' 'its second text'")
    assert last in f"  {card_command(out)}"
    assert main(shlex.split(last)[1:]) == 0
    assert capsys.readouterr().out.count("\n") == 1


def card_command(folder: str) -> str:
    """The command in the model's README.md."""
    text = Path(folder, "README.md").read_text(encoding="utf-8")
    return re.search(r"^tinygrad-llm predict .*$", text, re.M)[0]


def test_names_of_classes_may_be_long_chinese_and_strange(start, tmp_path, capsys):
    names = {"wet": "大雨" * 30, "dry": "x\x1b[31m" + "y" * 90}
    lines = [f"{text}\t{names[label]}" for text, label in (row.split("\t") for row in ROWS)]
    out = str(tmp_path / "out")
    begin = ["--model", start, "--train", rows_file(tmp_path / "rows.tsv", lines), "--out", out]
    assert "\x1b" not in tuned(capsys, *begin, *SMALL)


def test_lora_leaves_an_adapter_which_says_what_it_needs(start, rows, tmp_path, capsys):
    out = tmp_path / "out"
    how = ["--model", start, "--train", rows, "--method", "lora", "--rank", "2", *SMALL]
    told = tuned(capsys, *how, "--out", str(out))
    assert f"the rest it takes from {start}, so keep that." in told
    trained, parameters = re.search(r"([\d,]+) of ([\d,]+) parameters learnt", told).groups()
    assert int(trained.replace(",", "")) < int(parameters.replace(",", ""))
    assert not (out / "model.safetensors").exists()
    assert main(shlex.split(told.splitlines()[-1])[1:]) == 0
    capsys.readouterr()
    merged = tuned(capsys, *how, "--merge", "--out", str(tmp_path / "merged"))
    assert "so keep that" not in merged
    assert (tmp_path / "merged" / "model.safetensors").exists()


def test_of_a_head_alone_few_parameters_learn(start, rows, tmp_path, capsys):
    out = str(tmp_path / "out")
    told = tuned(capsys, "--model", start, "--train", rows, "--method", "head", "--out", out)
    trained, parameters = re.search(r"([\d,]+) of ([\d,]+) parameters learnt", told).groups()
    assert (int(trained), int(parameters.replace(",", "")) > 3000) == (2 * 16 + 2, True)
    assert main(shlex.split(told.splitlines()[-1])[1:]) == 0


def seen_options(monkeypatch) -> list[FinetuneOptions]:
    """What the command hands on; it goes no further."""
    seen: list[FinetuneOptions] = []

    def look(options, resumed_by):
        seen.append(options)
        raise ZeroDivisionError

    monkeypatch.setattr("tinygrad_llm.finetune.finetune", look)
    monkeypatch.setattr("tinygrad_llm.cli.finetune.check_device", lambda parser, device: None)
    return seen


def flags_of(options: FinetuneOptions) -> list[str]:
    """The words for all options that are not the usual ones."""
    words = []
    for field in fields(options):
        value = getattr(options, field.name)
        if field.default is MISSING or value != field.default:
            words += [flag(field.name), *([] if value is True else [str(value)])]
    return words


LEAST = {"train": "rows.tsv", "out": "out"}
OTHERS = (
    FinetuneOptions(
        **LEAST, model="mini", valid="v", test="t", task="regression", preset="J7", epochs=7,
        batch_size=3, learning_rate=0.5, warmup=0.25, weight_decay=0.125, patience=9,
        max_length=33, layer_decay=0.75, unfreeze_every=4, dropout=0.375, vocab_size=99, seed=5,
    ),
    FinetuneOptions(
        **LEAST, model="bert", method="lora", rank=3, alpha=5.0, rslora=True,
        lora_targets="key,dense", merge=True, device="cuda:1",
    ),
    FinetuneOptions(**LEAST, model="tiny", tokenizer="pieces"),
    FinetuneOptions(**LEAST, model="bert", method="head", preset="J6", max_length=16),
)  # fmt: skip


def test_every_option_has_a_flag_and_no_other_default(monkeypatch, tmp_path):
    named = [name for section in SECTIONS.values() for name in section]
    assert sorted(named) == sorted(field.name for field in fields(FinetuneOptions))
    seen, given = seen_options(monkeypatch), set()
    with pytest.raises(ZeroDivisionError):
        finetune("--model", "bert", "--train", "rows.tsv", "--out", "out")
    assert seen == [FinetuneOptions(**LEAST, model="bert")]
    for other in OTHERS:
        words = flags_of(other)
        given |= {word for word in words if word.startswith("--")}
        with pytest.raises(ZeroDivisionError):
            finetune(*words)
        assert seen[-1] == other
    assert {flag(name) for name in named} - given == {"--resume"}


@pytest.mark.parametrize("other", OTHERS, ids=["full", "lora", "new", "head"])
def test_resume_takes_the_options_of_the_run(other, monkeypatch, tmp_path):
    """Those that were not given, but filled in by method and preset, too."""
    seen, out = seen_options(monkeypatch), tmp_path / "out"
    out.mkdir()
    saved = {**other.to_dict(), "out": str(out), "resume": False}
    (out / "options.json").write_text(json.dumps({"options": saved}), encoding="utf-8")
    with pytest.raises(ZeroDivisionError):
        finetune("--out", str(out), "--resume")
    assert seen[0].to_dict() == {**saved, "resume": True}
    with pytest.raises(ZeroDivisionError):
        finetune("--out", str(out), "--resume", "--train", "there.tsv", "--seed", "8")
    assert seen[1].to_dict() == {**saved, "resume": True, "train": "there.tsv", "seed": 8}


def test_ctrl_c_says_how_to_go_on(monkeypatch, tmp_path, capsys):
    out = tmp_path / "a b"

    def interrupted(options, resumed_by):
        print(resumed_by)
        raise KeyboardInterrupt

    monkeypatch.setattr("tinygrad_llm.finetune.finetune", interrupted)
    assert finetune("--model", "tiny", "--train", "rows.tsv", "--out", str(out)) == 130
    said, err = capsys.readouterr()
    assert shlex.split(said) == ["tinygrad-llm", "finetune", "--out", str(out), "--resume"]
    assert err == "\nstopped by Ctrl-C\n"


def stop_after(steps: int, monkeypatch) -> None:
    """Ctrl-C, pressed twice, in the step after so many."""
    usual, done = Trainer._step, [0]

    def step(trainer, batches):
        if done[0] == steps:
            raise KeyboardInterrupt
        done[0] += 1
        usual(trainer, batches)

    monkeypatch.setattr(Trainer, "_step", step)


@pytest.mark.parametrize("method", ["full", "head", "lora"])
def test_a_run_that_was_stopped_goes_on_and_ends_as_it_would_have(
    method, start, rows, tmp_path, monkeypatch, capsys
):
    whole, out = str(tmp_path / "whole"), str(tmp_path / "stopped")
    how = ["--model", start, "--train", rows, "--method", method, *SMALL, "--seed", "4", "--out"]
    expected = measured(tuned(capsys, *how, whole))
    with monkeypatch.context() as patch:
        stop_after(6, patch)
        assert finetune(*how, out) == 130
    told, err = capsys.readouterr()
    assert err == "\nstopped by Ctrl-C\n" and "The model is in" not in told
    again = shlex.split(told.splitlines()[-1])
    assert again == ["tinygrad-llm", "finetune", "--out", out, "--resume"]
    told = refused(capsys, 1, "--out", out, "--resume", "--epochs", "9")
    assert told == "--resume: --epochs was 3 and is 9: give what it was, or another --out"
    told = refused(capsys, 1, *how, out)
    assert told == f"--out {out} has a run: go on with --resume, or give another folder"
    assert main(again[1:]) == 0
    told = capsys.readouterr().out
    assert "going on after step 4 of 12\n" in told and measured(told) == expected
    assert "has ended" not in told
    assert main(again[1:]) == 0  # it has ended: its figures come once more
    told = capsys.readouterr().out
    assert told.startswith(f"The run in {out} has ended; ") and measured(told) == expected


def test_messages_are_told_in_flags():
    def told(message):
        return in_flags(message, FinetuneOptions)

    assert told("batch_size is 0; give more") == "--batch-size is 0; give more"
    assert told("LoRA: rank 9 is above 8") == "--rank 9 is above 8"
    assert told("add_lora: no Linear is named 'x'") == "no Linear is named 'x'"
    assert told("train is ''; give a name") == "--train is ''; give a name"
    assert told("out x: there is none") == "--out x: there is none"
    assert told("broken: give another out") == "broken: give another --out"
    assert told("resume: model x is another: go") == "--resume: --model x is another: go"
    for row in ("x.jsonl, line 3: the field 'label' is None, null", "x, line 1: give True"):
        assert told(row) == row
    assert told("merge is None; give True or False") == "--merge is not given; give true or false"
    assert told("once more with merge, and") == "once more with --merge, and"
    for path in ("train.tsv, line 3: no", "test/rows.tsv, line 3: no", "valid-1.tsv: no",
                 "train, line 3: no"):  # fmt: skip
        assert told(path) == path
    assert told("resume: method was 'full' and is 'lora'; seed was 0 and is 1: give") == (
        "--resume: --method was 'full' and is 'lora'; --seed was 0 and is 1: give"
    )

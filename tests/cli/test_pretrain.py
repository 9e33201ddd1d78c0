"""Tests of `tinygrad-llm pretrain`: flags, what is printed before and after, and going on."""

from __future__ import annotations

import json
import re
import shlex
import textwrap
import warnings
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from tests.cli.folders import save_bert, save_gpt
from tinygrad_llm.cli import main
from tinygrad_llm.cli.flags import flag, in_flags, warnings_in_flags
from tinygrad_llm.cli.pretrain import SECTIONS
from tinygrad_llm.cli.results import results
from tinygrad_llm.metrics import wilson_interval
from tinygrad_llm.models import bert, gpt2
from tinygrad_llm.pretrain import PretrainOptions

WORDS = ["rain", "hill", "river", "sea", "lamp", "road", "tree", "stone", "bird", "cloud"]


@pytest.fixture
def texts(tmp_path) -> str:
    """A file of thirty short paragraphs."""
    texts = [
        f"The {a} is near the {b}. It sees the {c}. Then a {a} comes."
        for a, b, c in zip(WORDS * 3, WORDS[3:] * 5, WORDS[5:] * 6)
    ]
    path = tmp_path / "texts.txt"
    path.write_text("\n\n".join(f"{text} Number {i}." for i, text in enumerate(texts)))
    return str(path)


SMALL = ["--steps", "4", "--batch-size", "2", "--block-size", "24"]


def pretrain(*words: str) -> int:
    return main(["pretrain", *words])


def test_a_gpt_from_text_to_writing(texts, tmp_path, capsys):
    out = str(tmp_path / "the model")
    begin = ["--model", "gpt", "--data", texts, "--out", out, "--tokenizer", "characters"]
    assert pretrain(*begin, *SMALL) == 0
    told, err = capsys.readouterr()
    assert err == ""
    order = ["to learn from: 27 documents,", "held out: 3 documents,", "vocabulary: ",
             " parameters, ", "4 batches of about ", "4 steps, "]  # fmt: skip
    places = [told.index(words) for words in order]
    assert places == sorted(places) and re.search(r"characters, [\d,]+ tokens\n", told)
    model, unigram, bigram = re.findall(
        r"^(?:this model|the most frequent token|counts of two tokens) +(\S+) +(\S+) +(\S+%)$",
        told, re.M,
    )  # fmt: skip
    log = [json.loads(line) for line in Path(out, "log.jsonl").read_text().splitlines()]
    last = [row for row in log if row["kind"] == "eval"][-1]
    assert model[0] == f"{last['eval_loss']:.3f}" and model[2] == f"{last['eval_accuracy']:.1%}"
    assert unigram[0] == f"{last['eval_unigram']:.3f}"
    assert bigram[2] == f"{last['eval_bigram_accuracy']:.1%}"
    command = shlex.split(told.splitlines()[-1])
    assert command[:4] == ["tinygrad-llm", "generate", "--model", out]
    assert main(command[1:]) == 0
    assert len(capsys.readouterr().out) > 10
    again(out, told, capsys)


def again(out: str, told: str, capsys) -> None:
    """--resume alone takes the other options from the folder, and ends with the same table."""
    assert pretrain("--out", out, "--resume") == 0
    later = capsys.readouterr().out
    assert "going on after step 4 of 4\n" in later
    assert later.partition("held out: ")[2].partition("\n\n")[2] != ""
    table = re.compile(r"^(this model|counts).*$", re.M)
    assert [m[0] for m in table.finditer(later)] == [m[0] for m in table.finditer(told)]
    assert pretrain("--out", out, "--resume", "--steps", "9") == 1
    assert "--resume: --steps was 4 and is 9" in capsys.readouterr().err


def test_a_bert_with_next_sentences(texts, tmp_path, capsys):
    out = str(tmp_path / "bert")
    assert pretrain("--model", "bert", "--data", texts, "--out", out, *SMALL) == 0
    told = capsys.readouterr().out
    assert re.search(r"rows of up to 24 tokens\b.*\nheld out", told)
    assert told.count("this model ") == 2 and "pairs of texts" in told and "a coin" in told
    assert "generate" not in told and "1 hidden tokens" not in told
    exec(textwrap.dedent(told.partition("in Python:\n")[2]), {})
    filled = capsys.readouterr().out
    assert filled.startswith("[CLS] the") and "[MASK]" not in filled


def test_the_shortest_rows_have_room_for_the_advice(texts, tmp_path, capsys):
    begin = ["--model", "bert", "--data", texts, "--out", str(tmp_path / "bert"), "--steps", "1"]
    how = ["--tokenizer", "characters", "--block-size", "8", "--no-next-sentence"]
    assert pretrain(*begin, *how) == 0
    exec(textwrap.dedent(capsys.readouterr().out.partition("in Python:\n")[2]), {})
    assert capsys.readouterr().out.startswith("[CLS]The ")


@pytest.mark.parametrize(
    ("tokens", "lacking", "end"),
    [
        ({"bos_token_id": 1, "eos_token_id": 2}, "bos_token", "'' --do-sample --max-new-tokens 64"),
        ({}, "pad_token", "'' --do-sample --max-new-tokens 64"),
        ({}, "bos_token", "TEXT --do-sample --max-new-tokens 32"),
    ],
    ids=["of the model", "of the tokenizer", "of neither"],
)
def test_the_advice_keeps_to_what_the_model_reads(tokens, lacking, end, texts, tmp_path, capsys):
    """Without a token that begins a text there is no empty prompt."""
    first, out = save_gpt(tmp_path / "first", **tokens), str(tmp_path / "out")
    config = Path(first, "tokenizer_config.json")
    said = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps({k: v for k, v in said.items() if k != lacking}))
    begin = ["--model", "gpt", "--data", texts, "--out", out, "--init", first, "--steps", "1"]
    assert pretrain(*begin) == 0
    advice = capsys.readouterr().out.splitlines()[-1]
    assert advice.endswith(f" --prompt {end}")
    assert main(shlex.split(advice)[1:]) == 0


def test_ctrl_c_says_how_to_go_on(texts, tmp_path, monkeypatch, capsys):
    out = tmp_path / "a b"

    def interrupted(options, resumed_by):
        print(resumed_by)
        raise KeyboardInterrupt

    monkeypatch.setattr("tinygrad_llm.pretrain.pretrain", interrupted)
    assert pretrain("--model", "gpt", "--data", texts, "--out", str(out)) == 130
    said, err = capsys.readouterr()
    assert shlex.split(said) == ["tinygrad-llm", "pretrain", "--out", str(out), "--resume"]
    assert err == "\nstopped by Ctrl-C\n"


def test_every_option_has_a_flag_and_no_other_default(monkeypatch, tmp_path):
    named = [name for section in SECTIONS.values() for name in section]
    assert sorted(named) == sorted(field.name for field in fields(PretrainOptions))
    seen = []
    monkeypatch.setattr(
        "tinygrad_llm.pretrain.pretrain", lambda options, **_: seen.append(options) or 1 / 0
    )
    least = {"model": "bert", "data": "chinese", "out": str(tmp_path / "out")}
    words = [word for name, value in least.items() for word in (flag(name), value)]
    with pytest.raises(ZeroDivisionError):
        pretrain(*words)
    assert seen == [PretrainOptions(**least)]
    other = PretrainOptions(
        **least, preset="mini", tokenizer="characters", vocab_size=99, block_size=9, batch_size=3,
        steps=7, learning_rate=0.5, warmup=0.25, weight_decay=0.125, dropout=0.75, seed=5,
        valid_share=0.375, whole_word=True, next_sentence=False, mlm_probability=0.625,
        save_steps=8, eval_steps=6, gradient_checkpointing=True, gradient_accumulation_steps=2,
    )  # fmt: skip
    for field in fields(other):
        value = getattr(other, field.name)
        if field.default is not MISSING and value != field.default:
            words += {True: [flag(field.name)], False: [flag(f"no_{field.name}")]}.get(
                value, [flag(field.name), str(value)]
            )
    with pytest.raises(ZeroDivisionError):
        pretrain(*words)
    assert seen[1] == other


def refused(capsys, code: int, *words: str) -> str:
    assert pretrain(*words) == code
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("tinygrad-llm pretrain: ")
    return err.removeprefix("tinygrad-llm pretrain: ")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("", "--model, --data, --out must be given"),
        ("--model gpt --out x", "--data must be given"),
        ("--resume", "--model, --data, --out must be given"),
        (
            "--model gpt --data chinese --out x --steps 0",
            "--steps is 0; give a whole number from 1",
        ),
        ("--model gpt --data chinese --out x --steps few", "argument --steps: invalid int value"),
        ("--model gpt --data chinese --out x --whole-word", "--whole-word is an option of --model"),
        (
            "--model gpt --data chinese --out x --steps 1 --next-sentence",
            "--next-sentence is of a BERT",
        ),
        (
            "--model gpt --data chinese --out x --steps 1 --mlm-probability 0.15",
            "--mlm-probability is of a",
        ),
        ("--model gpt --data chinese --out=-x --steps 1", "--out begins with -"),
        ("--model gpt --data chinese --out x\x1by --steps 1", "--out begins with - or has control"),
        ("--model gpt --data chinese --out x\udcff", "the name after --out is not UTF-8"),
        ("--model gpt --data x\udcff.txt --out x", "the name after --data is not UTF-8"),
        ("--model elmo --data chinese --out x", "--model is 'elmo'; give one of gpt, bert"),
        ("--model gpt --data chinese --out x --device cuda:77", "--device: "),
        ("--model gpt --data chinese --out x --init y --preset tiny", "--init brings its own"),
    ],
)
def test_wrong_usage_ends_with_2(flags, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert said in refused(capsys, 2, *flags.split())


def test_what_stands_in_the_way_is_said_in_one_line(texts, tmp_path, capsys):
    gpt, bert = save_gpt(tmp_path / "gpt"), save_bert(tmp_path / "bert")
    new = ["--model", "gpt", "--data", texts, "--out"]
    assert "has config.json in it: give a new" in refused(capsys, 1, *new, gpt)
    out = str(tmp_path / "new")
    assert "BertForMaskedLM" in refused(capsys, 1, *new, out, "--init", bert)
    assert f"there is no {out}" in refused(capsys, 1, "--model", "gpt", "--data", out, "--out", out)
    assert "has no run to go on with" in refused(capsys, 1, "--out", out, "--resume")
    known = {"model": "gpt", "data": "chinese", "out": gpt}
    broken = [3, known | {"steps": "x"}, known | {"colour": "red"}, {"model": "gpt"}]
    for said in [*(json.dumps({"options": each}) for each in broken), "[" * 99_999]:
        (tmp_path / "gpt" / "options.json").write_text(said)
        assert "is of no run of ours, or broken" in refused(capsys, 1, "--out", gpt, "--resume")
    assert not Path(out).exists()


def test_messages_are_told_in_flags():
    def told(message):
        return in_flags(message, PretrainOptions)

    assert told("batch_size is 0; give more") == "--batch-size is 0; give more"
    assert told("PretrainOptions: seed is -1") == "--seed is -1"
    kept = "--out /a/eval_steps/init.txt has a/resume"
    assert told(kept[2:]) == kept
    assert told("out a/out_steps has a model") == "--out a/out_steps has a model"
    assert (
        told("whole_word=True with next_sentence=False") == "--whole-word with --no-next-sentence"
    )
    assert told("preset was None and is 'mini'; whole_word was False and is True") == (
        "--preset was not given and is 'mini'; --whole-word was false and is true"
    )
    assert told("resume: preset was None and is 'mini'; steps was 2 and is 9: give") == (
        "--resume: --preset was not given and is 'mini'; --steps was 2 and is 9: give"
    )
    assert told("MaskedTask: valid is short") == "valid is short"
    assert told("out None has a run") == "--out None has a run"
    assert told("give model='bert' or steps=3") == "give --model 'bert' or --steps 3"
    assert told("go on with resume, --init brings its own data") == (
        "go on with --resume, --init brings its own data"
    )


def test_warnings_are_plain_lines_of_the_output(texts, tmp_path, capsys):
    first, out = str(tmp_path / "first"), str(tmp_path / "out")
    begin = ["--model", "bert", "--data", texts, "--steps", "1", "--block-size", "24", "--out"]
    assert pretrain(*begin, first, "--no-next-sentence") == 0
    capsys.readouterr()
    assert pretrain(*begin, out, "--init", first) == 0
    told, err = capsys.readouterr()
    words = "note: next sentences are learnt from scratch: --init has no weights for them"
    assert err == "" and told.splitlines()[0] == words


def test_only_warnings_for_users_are_plain_lines(capsys):
    with pytest.warns(DeprecationWarning, match="old"), warnings_in_flags(PretrainOptions):
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert capsys.readouterr().out == ""


def test_results_show_what_is_known():
    metrics = {"eval_loss": 2.0, "eval_accuracy": 0.4567, "eval_nats_per_character": 0.51234}
    baselines = {"tokens": 12345.0, "unigram": 3.0, "unigram_accuracy": 0.05, "witten_bell_4": 2.5}
    assert results("gpt", metrics, baselines) == (
        "held out: 12,345 tokens         loss  perplexity    accuracy\n"
        "this model                     2.000       7.389       45.7%\n"
        "the most frequent token        3.000       20.09        5.0%\n"
        "counts of up to 4 tokens       2.500       12.18\n"
        "\n"
        "loss: in nats (1.44 bits each) a token; this model's is 0.512 a character\n"
        "perplexity: e^loss; so many equally likely answers would leave the same doubt"
    )
    metrics = {"eval_mlm_loss": 1.0, "eval_mlm_accuracy": 0.5, "eval_mlm_targets": 10.0}
    baselines = {"unigram_loss": 2.0, "unigram_accuracy": 0.1, "left_neighbour_accuracy": 0.2}
    words, _, units = results("bert", metrics, baselines).rpartition("\n\n")
    assert units.startswith("loss: in nats") and "character" not in units
    assert "held out: 10 hidden tokens" in words and "20.0%" in words and "pairs" not in words
    metrics |= {"eval_nsp_loss": 0.5, "eval_nsp_accuracy": 0.75, "eval_nsp_targets": 8.0}
    baselines |= {"half": 0.5, "half_loss": 0.693, "word_overlap": 0.625}
    pairs = results("bert", metrics, baselines).split("\n\n")[1]
    assert [line.split()[-1] for line in pairs.splitlines()[2:]] == ["50.0%", "62.5%"]
    low, high = wilson_interval(6, 8)
    assert pairs.splitlines()[1].endswith(f" 75.0%   {low:.1%} to {high:.1%}")
    assert pairs.splitlines()[0].endswith("accuracy    95 % interval")
    assert "23.7% to 76.3%" in words and words.count("%") == 6


def test_results_count_one_as_one():
    metrics = {"eval_loss": 1.0, "eval_nats_per_character": 1.0}
    assert results("gpt", metrics, {"tokens": 1.0}).startswith("held out: 1 token ")
    metrics = {"eval_mlm_targets": 1.0, "eval_nsp_targets": 1.0, "eval_nsp_accuracy": 1.0}
    text = results("bert", metrics, {})
    assert "held out: 1 hidden token " in text and "held out: 1 pair of texts" in text


def test_results_tell_of_unknown_tokens():
    def told(share):
        metrics = {"eval_loss": 1.0, "eval_nats_per_character": 1.0}
        return results("gpt", metrics, {"tokens": 9.0, "unknown": share})

    assert "no token for" not in told(0.001)
    few, many = (told(share).splitlines() for share in (0.011, 0.123))
    assert few[-1] == "the tokenizer has no token for 1.1% of the held-out text"
    assert many[-3] == "warning: the tokenizer has no token for 12.3% of the held-out text:"


def test_the_help_knows_the_sizes_of_the_presets():
    for sizes in gpt2.PRESETS.values():
        assert re.search(
            rf"\b{sizes['n_layer']} (layers )?of (width )?{sizes['n_embd']}\b",
            SECTIONS["the model"]["preset"],
        )
    assert [[*sizes.values()] for sizes in bert.PRESETS.values()] == [
        [*sizes.values()] for sizes in gpt2.PRESETS.values()
    ]


def test_a_loss_beyond_all_bounds_is_shown():
    metrics = {"eval_loss": 1e9, "eval_accuracy": 0.0, "eval_nats_per_character": 1e9}
    assert "this model" in results("gpt", metrics, {"tokens": 1.0})

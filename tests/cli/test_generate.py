"""Tests of `tinygrad-llm generate`: what it writes is what the library generates, as it comes."""

from __future__ import annotations

import io
import json
import re
import sys
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.cli.folders import TEXT, TOKENIZERS, save_bert, save_gpt
from tinygrad_llm import generation, models, tokenizers
from tinygrad_llm.cli import main
from tinygrad_llm.cli.generate import SECTIONS


@pytest.fixture(scope="module")
def gpt(tmp_path_factory) -> str:
    return save_gpt(tmp_path_factory.mktemp("gpt"))


def written(capsys, *words: str) -> str:
    """What the command prints, when all goes well."""
    assert main(["generate", *words]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def refused(capsys, code: int, *words: str) -> str:
    """What it says, in one line and on standard error alone, when it does not work."""
    assert main(["generate", *words]) == code
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("tinygrad-llm generate: ")
    return err.removeprefix("tinygrad-llm generate: ").rstrip("\n")


def new_text(folder: str, prompt: str, **options) -> list[str]:
    """The library's own continuations, without the prompt."""
    model = models.from_pretrained(folder)
    tokenizer = tokenizers.Tokenizer.from_pretrained(folder)
    ids = tokenizer.encode(prompt, add_special_tokens=False)
    options.setdefault("eos_token_id", tokenizer.eos_token_id)
    found = generation.generate(model, [ids], **options)
    before = tokenizer.decode(ids, skip_special_tokens=True)
    return [tokenizer.decode(row, skip_special_tokens=True)[len(before) :] for row in found]


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("prompt", ["the r", "雨"])
def test_it_goes_on_as_the_library_does(kind, prompt, tmp_path, capsys):
    folder = save_gpt(tmp_path, kind)
    (expected,) = new_text(folder, prompt, max_new_tokens=40, do_sample=True, seed=5)
    flags = "--max-new-tokens 40 --do-sample --seed 5"
    shown = written(capsys, "--model", folder, "--prompt", prompt, *flags.split())
    assert shown == f"{prompt}{expected}\n"


def test_each_part_is_flushed_when_it_is_known(gpt, monkeypatch):
    parts: list[str] = []

    class Terminal(io.StringIO):
        def flush(self):
            parts.append(self.getvalue())

    monkeypatch.setattr(sys, "stdout", Terminal())
    assert main(["generate", "--model", gpt, "--prompt", "the", "--max-new-tokens", "30"]) == 0
    assert len(parts) > 30
    assert parts[0].startswith("the") and parts[0] != parts[-1]
    assert all(later.startswith(earlier) for earlier, later in pairwise(parts))


def test_every_setting_of_a_generation_has_a_flag_in_the_help(capsys):
    named = {name for section in SECTIONS.values() for name in section}
    known = {field.name for field in fields(generation.GenerationConfig)}
    assert known - named == {"decoder_start_token_id"}  # of encoder-decoders
    assert main(["generate", "--help"]) == 0
    text = capsys.readouterr().out
    for name in named:
        assert f"--{name.replace('_', '-')} " in text


def test_settings_reach_the_library(gpt, capsys):
    (expected,) = new_text(
        gpt, "the", max_length=30, do_sample=True, temperature=0.7, top_k=9, top_p=0.9, min_p=0.01,
        seed=3, repetition_penalty=1.2, no_repeat_ngram_size=3, eos_token_id=[250, 261],
        min_length=5, min_new_tokens=4, pad_token_id=0, forced_eos_token_id=9,
    )  # fmt: skip
    flags = (
        "--max-length 30 --do-sample --temperature 0.7 --top-k 9 --top-p 0.9 --min-p 0.01 --seed 3 "
        "--repetition-penalty 1.2 --no-repeat-ngram-size 3 --eos-token-id 250 261 --min-length 5 "
        "--min-new-tokens 4 --pad-token-id 0 --forced-eos-token-id 9"
    )
    assert written(capsys, "--model", gpt, "--prompt", "the", *flags.split()) == f"the{expected}\n"


def test_the_same_seed_writes_the_same_text_and_another_one_another(gpt, capsys):
    words = ["--model", gpt, "--prompt", "the", "--do-sample", "--max-new-tokens", "20", "--seed"]
    first, again, other = (written(capsys, *words, seed) for seed in ("1", "1", "2"))
    assert first == again != other


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_beams_are_written_when_done_with_numbers_and_scores(kind, tmp_path, capsys):
    gpt = save_gpt(tmp_path, kind)
    how = {"num_beams": 3, "num_return_sequences": 2, "max_new_tokens": 8}
    texts = new_text(gpt, "the", **how)
    flags = ["--num-beams", "3", "--num-return-sequences", "2", "--max-new-tokens", "8"]
    shown = written(capsys, "--model", gpt, "--prompt", "the", *flags)
    form = "".join(
        rf"\[{i}\] score (-\d\S*)\n{re.escape('the' + t)}\n\n" for i, t in [*enumerate(texts, 1)]
    )
    scores = re.fullmatch(form, shown).groups()
    assert sorted(scores, key=float, reverse=True) == list(scores)


def test_one_beam_of_several_has_no_number(gpt, capsys):
    (text,) = new_text(
        gpt, "the", num_beams=3, max_new_tokens=8, early_stopping="never", eos_token_id=261
    )
    flags = "--num-beams 3 --max-new-tokens 8 --early-stopping never --eos-token-id 261"
    assert written(capsys, "--model", gpt, "--prompt", "the", *flags.split()) == f"the{text}\n"


def test_samples_that_ended_early_show_nothing_after_the_end(tmp_path, capsys):
    folder = save_gpt(tmp_path)
    flags = "--do-sample --num-return-sequences 4 --max-new-tokens 60 --seed 0 --pad-token-id 65"
    many = [str(id) for id in range(0, 256, 3)]
    shown = written(
        capsys, "--model", folder, "--prompt", "the", *flags.split(), "--eos-token-id", *many
    )
    texts = re.split(r"\[\d\] score .*\n", shown)[1:]
    pad = tokenizers.Tokenizer.from_pretrained(folder).decode([65])
    assert len(texts) == 4 and not any(text.endswith(pad * 2 + "\n\n") for text in texts)


def test_the_end_that_only_the_tokenizer_knows_ends_the_text(tmp_path, capsys):
    folder = save_gpt(tmp_path)
    end = tokenizers.Tokenizer.from_pretrained(folder).eos_token_id
    model = models.from_pretrained(folder)
    assert end is not None and model.config.eos_token_id is None
    state = {name: np.zeros_like(value) for name, value in model.state_dict().items()}
    (last,) = [name for name in state if name.endswith("norm.bias") and "layers" not in name]
    state[last] += 1.0
    state["tokens.weight"][end] = 1.0  # the only token with a score above 0
    model.load_state_dict(state)
    model.save_pretrained(folder)
    assert written(capsys, "--model", folder, "--prompt", "the") == "the\n"


def test_every_token_of_a_prompt_is_read_that_of_padding_too(tmp_path, capsys):
    tokenizer = TOKENIZERS["characters"]()
    folder = save_gpt(tmp_path, "characters", pad_token_id=tokenizer.vocab["e"])
    (expected,) = new_text(folder, "the", attention_mask=[[1, 1, 1]])
    assert written(capsys, "--model", folder, "--prompt", "the") == f"the{expected}\n"


def test_the_model_is_moved_to_the_device(gpt, capsys, monkeypatch):
    moved = []
    monkeypatch.setattr(models.GPT2LMHeadModel, "to", lambda self, device: moved.append(device))
    written(capsys, "--model", gpt, "--prompt", "the", "--device", "cpu")
    assert moved == ["cpu"]


@pytest.mark.parametrize(
    ("typed", "prompt"), [("the", "the"), ("the\n", "the"), ("the\n\nr\n", "the\n\nr")]
)
def test_standard_input_is_one_prompt(gpt, typed, prompt, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    (expected,) = new_text(gpt, prompt)
    assert written(capsys, "--model", gpt) == f"{prompt}{expected}\n"


def test_lines_are_prompts_one_by_one(gpt, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("the\n\nhill\n"))
    expected = [f"{prompt}{new_text(gpt, prompt)[0]}\n" for prompt in ("the", "hill")]
    assert written(capsys, "--model", gpt, "--lines") == "".join(expected)


def test_lines_may_come_from_windows(gpt, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("\ufeffthe\r\nhill\r\n"))
    expected = [f"{prompt}{new_text(gpt, prompt)[0]}\n" for prompt in ("the", "hill")]
    assert written(capsys, "--model", gpt, "--lines") == "".join(expected)
    monkeypatch.setattr(sys, "stdin", io.StringIO("\ufeffthe\r\nhill\r\n"))
    (expected,) = new_text(gpt, "the\nhill")
    assert written(capsys, "--model", gpt) == f"the\nhill{expected}\n"


def test_of_several_lines_it_is_said_which_one_is_meant(gpt, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("the\n\nhill\n"))
    flags = "--do-sample --num-return-sequences 2 --max-new-tokens 5 --seed 1"
    shown = written(capsys, "--model", gpt, "--lines", *flags.split())
    names = re.findall(r"(?:^|\n\n)\[(line \d, \d)\] score", shown)
    assert names == ["line 1, 1", "line 1, 2", "line 3, 1", "line 3, 2"]
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"\nthe\n{'the ' * 80}\n"))
    assert main(["generate", "--model", gpt, "--lines"]) == 1
    err = capsys.readouterr().err
    assert re.fullmatch(r"tinygrad-llm generate: line 3: \d+ tokens, but the model reads.*\n", err)


def test_a_prompt_typed_in_a_posix_locale_is_read_as_utf8(gpt, capsys):
    typed = "雨".encode().decode("ascii", "surrogateescape")
    assert written(capsys, "--model", gpt, "--prompt", typed).startswith("雨")
    assert "--prompt is not UTF-8" in refused(capsys, 1, "--model", gpt, "--prompt", "a\udcff")
    assert "no folder x" in refused(capsys, 1, "--model", "x\udcff", "--prompt", "the")


def test_an_empty_prompt_begins_with_the_token_that_begins_texts(gpt, tmp_path, capsys):
    begin = tokenizers.Tokenizer.from_pretrained(gpt).bos_token
    (expected,) = new_text(gpt, begin)
    assert written(capsys, "--model", gpt, "--prompt", "") == f"{expected}\n"
    other = save_gpt(tmp_path, bos_token_id=65)
    (expected,) = new_text(other, tokenizers.Tokenizer.from_pretrained(other).decode([65]))
    assert written(capsys, "--model", other, "--prompt", "") == f"{expected}\n"


def test_what_the_vocabulary_lacks_is_noted(tmp_path, capsys):
    folder = save_gpt(tmp_path, "characters")
    assert main(["generate", "--model", folder, "--prompt", "the Q"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("the Q")
    assert (
        err.startswith("note: the vocabulary lacks 1 of the prompt's 5 tokens;") and "[UNK]" in err
    )


def test_a_model_with_more_rows_than_tokens_writes_tokens_alone(tmp_path, capsys):
    folder = save_gpt(tmp_path, "characters", vocab_size=400)
    flags = "--do-sample --seed 0 --max-new-tokens 60"
    shown = written(capsys, "--model", folder, "--prompt", "the", *flags.split())
    assert len(shown) > 50 and set(shown) <= {*TEXT, "\n"}


def test_what_stands_in_the_way_is_said_in_one_line(gpt, tmp_path, capsys, monkeypatch):
    char = save_gpt(tmp_path / "char", "characters")
    bert, without = save_bert(tmp_path / "bert"), Path(save_gpt(tmp_path / "without"))
    for path in without.iterdir():
        if path.name not in ("config.json", "model.safetensors"):
            path.unlink()
    prompt = ("--prompt", "the")
    assert "BertForMaskedLM, which does not go on" in refused(capsys, 1, "--model", bert, *prompt)
    missing = str(tmp_path / "missing")
    assert f"no folder {missing}" in refused(capsys, 1, "--model", missing, *prompt)
    assert "has no tokenizer.json" in refused(capsys, 1, "--model", str(without), *prompt)
    assert "prompt is empty" in refused(capsys, 1, "--model", char, "--prompt", "")
    long = refused(capsys, 1, "--model", char, "--prompt", "the " * 20)
    assert long == "80 tokens, but the model reads 64: shorten them"
    far = refused(capsys, 1, "--model", char, *prompt, "--max-new-tokens", "99")
    assert far.endswith("at most --max-new-tokens 62")
    least = refused(capsys, 1, "--model", gpt, *prompt, "--min-new-tokens", "30")
    assert least == (
        "--min-new-tokens 30 is beyond the 20 tokens that may come: lower it, or give "
        "--max-new-tokens 30"
    )
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfe")))
    assert "standard input is not UTF-8" in refused(capsys, 1, "--model", gpt)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--temperature 0.5", "--temperature 0.5: expected --do-sample, or leave it out"),
        ("--do-sample --num-beams 2", "--num-beams 1 with --do-sample, or no --do-sample with"),
        ("--max-new-tokens 3 --max-length 9", "--max-new-tokens and --max-length are both given"),
        ("--max-new-tokens 0", "--max-new-tokens 0: expected at least 1"),
        ("--max-new-tokens x", "argument --max-new-tokens: invalid int value: 'x'"),
        (
            "--num-beams 2 --early-stopping maybe",
            "--early-stopping 'maybe': expected true, false or",
        ),
        ("--early-stopping true", "--early-stopping true: expected --num-beams above 1"),
        ("--device gpu", "--device: unknown device 'gpu'"),
        ("--device cuda:77", "--device: "),
        ("--max-new 3", "unknown: --max-new 3"),
        ("--lines", "leave --prompt out, or --lines"),
    ],
)
def test_wrong_usage_ends_with_2(flags, said, gpt, capsys):
    assert said in refused(capsys, 2, "--model", gpt, "--prompt", "the", *flags.split())


@pytest.mark.parametrize("name", ["eos_token_id", "bos_token_id"])
@pytest.mark.parametrize("id", [262, -1])
def test_a_role_outside_of_the_vocabulary_is_the_fault_of_the_file(name, id, tmp_path, capsys):
    folder = save_gpt(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, name: id}))
    said = refused(capsys, 1, "--model", folder, "--prompt", "the")
    assert "config.json: " in said and f"{name} {id}" in said


def test_another_tokenizer_is_the_fault_of_the_files(tmp_path, capsys):
    folder = save_gpt(tmp_path, "characters")
    TOKENIZERS["bytes"]().save_pretrained(folder)
    said = refused(capsys, 1, "--model", folder, "--prompt", "the")
    assert "tokenizer's files go up to 261, and config.json has a vocabulary of" in said


def test_damaged_weights_are_refused(tmp_path, capsys):
    folder = save_gpt(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "n_embd": 32}))
    assert "does not fit config.json" in refused(capsys, 1, "--model", folder, "--prompt", "x")

"""Tests of `tinygrad-llm predict`: a line for each text, in order and as they come."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.cli.folders import (
    ROWS,
    save_bert,
    save_classifier,
    save_gpt,
    save_numbers,
    save_tuning_start,
)
from tinygrad_llm import tokenizers
from tinygrad_llm.cli import main
from tinygrad_llm.cli.texts import Text, portions, read_texts
from tinygrad_llm.finetune.classifier import TextClassifier

TEXTS = [row.partition("\t")[0] for row in ROWS[::7]] + ["大雨"]
LONG = "rain " * 40
"""More than the 24 tokens that the models of these tests read."""
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    return save_classifier(tmp_path_factory.mktemp("classes"))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> str:
    return save_classifier(tmp_path_factory.mktemp("pairs"), pairs=True)


def said(capsys, *words: str) -> list[str]:
    """The lines that the command prints, when all goes well."""
    assert main(["predict", *words]) == 0
    out, err = capsys.readouterr()
    assert err == "" and (out == "" or out.endswith("\n"))
    return out.splitlines()


def refused(capsys, code: int, *words: str, before: str = "") -> str:
    """What it says, in one line and on standard error alone, when it does not work."""
    assert main(["predict", *words]) == code
    out, err = capsys.readouterr()
    assert out == before and err.count("\n") == 1 and err.startswith("tinygrad-llm predict: ")
    return err.removeprefix("tinygrad-llm predict: ").rstrip("\n")


def columns(folder: str, texts: list[str], seconds: list[str] | None = None) -> list[str]:
    """The library's own answers."""
    found = TextClassifier.from_pretrained(folder).predict(texts, seconds)
    return [f"{each.label}\t{each.probabilities[each.label]:.4f}" for each in found]


def typed(monkeypatch, content: bytes | str) -> None:
    raw = content if isinstance(content, bytes) else content.encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))


def lines_file(path: Path, lines: list[str]) -> str:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)


def test_texts_of_the_command_line_have_a_line_each(folder, capsys):
    expected = columns(folder, TEXTS)
    assert len({line.partition("\t")[0] for line in expected}) > 1
    assert said(capsys, "--model", folder, "--text", *TEXTS) == expected
    each = [word for text in TEXTS for word in ("--text", text)]
    assert said(capsys, "--model", folder, *each) == expected


@pytest.mark.parametrize("size", ["1", "3", "64"])
def test_lines_keep_their_order_whatever_the_batches(size, folder, tmp_path, monkeypatch, capsys):
    texts = TEXTS * 5
    path, expected = lines_file(tmp_path / "texts.txt", texts), columns(folder, texts)
    how = ["--model", folder, "--batch-size", size]
    assert said(capsys, *how, "--data", path) == expected
    for more in ([], ["--data", "-"]):
        typed(monkeypatch, "".join(f"{text}\n" for text in texts))
        assert said(capsys, *how, *more) == expected


def test_json_has_all_probabilities(folder, capsys):
    rows = [
        json.loads(line) for line in said(capsys, "--model", folder, "--json", "--text", *TEXTS)
    ]
    expected = TextClassifier.from_pretrained(folder).predict(TEXTS)
    assert [list(row) for row in rows] == [["text", "label", "probabilities"]] * len(TEXTS)
    assert [row["text"] for row in rows] == TEXTS
    assert [row["label"] for row in rows] == [each.label for each in expected]
    for row, each in zip(rows, expected):
        assert list(row["probabilities"]) == ["dry", "wet", "大雨"]
        assert row["probabilities"] == pytest.approx(each.probabilities, abs=1e-6)


def test_json_and_characters_are_written_as_they_are(folder, capsys):
    assert main(["predict", "--model", folder, "--json", "--text", "大雨 🙂"]) == 0
    assert capsys.readouterr().out.startswith('{"text": "大雨 🙂", "label": "')


def test_what_is_not_read_is_told_when_all_is_answered(folder, monkeypatch, capsys):
    texts, columns_of = [*TEXTS, LONG, "dry", LONG], columns(folder, [*TEXTS, LONG, "dry", LONG])
    typed(monkeypatch, "".join(f"{text}\n" for text in texts))
    assert main(["predict", "--model", folder, "--batch-size", "3"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == columns_of
    count, first = len(texts), len(TEXTS) + 1
    assert err == f"note: 2 of {count} texts cut at 24 tokens, the first is text {first}\n"
    assert main(["predict", "--model", folder, "--text", "q w rain rain"]) == 0
    err = capsys.readouterr().err
    assert err == "note: 50.0% of the words are unknown to the tokenizer, and look alike\n"
    assert main(["predict", "--model", folder, "--text", LONG]) == 0
    assert capsys.readouterr().err.startswith("note: 1 of 1 text cut at 24 tokens, ")


def test_an_error_is_told_alone(folder, monkeypatch, capsys):
    typed(monkeypatch, f"{LONG}\n\nrain\n")
    before = f"{columns(folder, [LONG])[0]}\n"
    said = refused(capsys, 1, "--model", folder, before=before)
    assert said == "standard input, line 2: the line is blank; remove it"


def test_the_second_texts_of_pairs_are_cut_too(pairs, capsys):
    assert main(["predict", "--model", pairs, "--text", "rain", LONG, "dry", "rain"]) == 0
    assert capsys.readouterr().err.startswith("note: 1 of 2 texts cut at 24 tokens, ")


def test_numbers(tmp_path, capsys):
    folder = save_numbers(tmp_path)
    expected = [each.label for each in TextClassifier.from_pretrained(folder).predict(TEXTS)]
    assert np.ptp(expected) > 0.1
    found = said(capsys, "--model", folder, "--text", *TEXTS)
    assert [float(line) for line in found] == pytest.approx(expected, rel=1e-5)
    rows = [
        json.loads(line) for line in said(capsys, "--model", folder, "--json", "--text", *TEXTS)
    ]
    assert rows == [{"text": t, "label": float(n)} for t, n in zip(TEXTS, found)]


def test_pairs(pairs, tmp_path, monkeypatch, capsys):
    seconds = [*TEXTS[1:], TEXTS[0]]
    expected = columns(pairs, TEXTS, seconds)
    assert expected != columns(pairs, seconds, TEXTS)
    both = [text for pair in zip(TEXTS, seconds) for text in pair]
    assert said(capsys, "--model", pairs, "--text", *both) == expected
    typed(monkeypatch, "".join(f"{a}\t{b}\n" for a, b in zip(TEXTS, seconds)))
    assert said(capsys, "--model", pairs) == expected
    rows = [{"text": a, "text_pair": b, "label": 3} for a, b in zip(TEXTS, seconds)]
    path = lines_file(tmp_path / "rows.jsonl", [json.dumps(row) for row in rows])
    assert said(capsys, "--model", pairs, "--data", path) == expected
    again = [json.loads(line) for line in said(capsys, "--model", pairs, "--data", path, "--json")]
    assert [(row["text"], row["text_pair"]) for row in again] == list(zip(TEXTS, seconds))


def test_json_lines_may_have_labels_which_are_left_out(folder, tmp_path, capsys):
    rows = [{"label": "wet", "text": text, "id": 7} for text in [*TEXTS, "a\tb\nc"]]
    path = lines_file(tmp_path / "rows.jsonl", [json.dumps(row) for row in rows])
    expected = columns(folder, [*TEXTS, "a\tb\nc"])
    assert said(capsys, "--model", folder, "--data", path) == expected


def test_a_label_never_breaks_the_line(tmp_path, capsys):
    folder = save_classifier(tmp_path, id2label={0: "a\tb\n", 1: "c\r", 2: "\x1b[31m"})
    lines = said(capsys, "--model", folder, "--text", *TEXTS)
    assert len(lines) == len(TEXTS) and all(line.count("\t") == 1 for line in lines)
    assert {line.partition("\t")[0] for line in lines} <= {r"a\tb\n", r"c\r", r"\x1b[31m"}


def test_lines_may_come_from_windows_and_blank_ones_stand_at_the_end(folder, monkeypatch, capsys):
    typed(monkeypatch, "\ufeffrain fell\r\ndry\r\n\r\n \n")
    lines = said(capsys, "--model", folder, "--json")
    assert [json.loads(line)["text"] for line in lines] == ["rain fell", "dry"]


def test_no_text_gives_no_line(folder, tmp_path, monkeypatch, capsys):
    typed(monkeypatch, b"")
    assert said(capsys, "--model", folder) == []
    assert said(capsys, "--model", folder, "--data", lines_file(tmp_path / "none.txt", [])) == []


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"rain\n\ndry\n", "line 2: the line is blank; remove it"),
        ("rain\n\u3000\ndry\n".encode(), "line 2: the text is empty; remove the row"),
        (b"rain\ndr\xff\n", "line 2: byte 3 of the line (0xFF) is not UTF-8"),
        ("rain\n大雨落下\n".encode("gbk"), "line 2: byte 1 of the line"),
        (b"rain\ndry\twet\nrain\n", "line 2: there is a tab in the row, and the model takes"),
        (b"rain\nd\0ry\n", "line 2: the line holds a zero byte"),
    ],
    ids=["blank", "empty", "bytes", "GBK", "tab", "zero"],
)
def test_a_bad_line_comes_after_the_answers_before_it(
    content, problem, folder, tmp_path, monkeypatch, capsys
):
    before = f"{columns(folder, ['rain'])[0]}\n"
    typed(monkeypatch, content)
    said = refused(capsys, 1, "--model", folder, before=before)
    assert said.startswith(f"standard input, {problem}")
    path = tmp_path / "texts.txt"
    path.write_bytes(content)
    said = refused(capsys, 1, "--model", folder, "--data", str(path), before=before)
    assert said.startswith(f"{path}, {problem}")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"text": "a"', "no valid JSON"),
        ("[" * 99_999, "no valid JSON"),
        ("3", "the row is no object"),
        ('{"label": "a"}', "the field 'text' is missing, or no text"),
        ('{"text": 3}', "the field 'text' is missing, or no text"),
        ('{"text": " "}', "the text is empty"),
        (r'{"text": "a\ud800"}', "the field 'text' has half of a surrogate pair"),
        ('{"text": "a", "text_pair": "b"}', "there is a 'text_pair' in the row"),
    ],
    ids=["half", "deep", "number", "none", "kind", "empty", "surrogate", "pair"],
)
def test_bad_json_is_named_by_its_line(line, problem, folder, tmp_path, capsys):
    path = lines_file(tmp_path / "rows.jsonl", [line])
    said = refused(capsys, 1, "--model", folder, "--data", path)
    assert said.startswith(f"{path}, line 1: {problem}")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("a", "line 1: the row has no tabs; of a pair there is one"),
        ("a\tb\tc", "line 1: the row has 2 tabs; of a pair there is one"),
        ("\tb", "line 1: the first text is empty"),
        ("a\t ", "line 1: the second text is empty"),
    ],
)
def test_bad_pairs(content, problem, pairs, monkeypatch, capsys):
    typed(monkeypatch, content)
    assert refused(capsys, 1, "--model", pairs).startswith(f"standard input, {problem}")


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (["--text", "a", "--data", "b"], 2, "--text and --data are both given: leave one out"),
        (["--text", "a", "--batch-size", "0"], 2, "--batch-size is 0; give a whole number from 1"),
        (["--text", "a", "--batch-size", "x"], 2, "argument --batch-size: invalid int value"),
        (["--text"], 2, "argument --text: expected at least one argument"),
        (["--text", "a", "--device", "cuda:77"], 2, "--device: "),
        (["--text", "a", "--device", "gpu"], 2, "--device: unknown device 'gpu'"),
        (["--text", "a", " "], 1, "--text: text 2 is empty"),
        (["--text", "a\udcff"], 1, "--text is not UTF-8"),
        (["--data", "/no/where.txt"], 1, "/no/where.txt does not exist"),
        (["--data", "."], 1, ". is a folder; give the name of a file inside it"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_is_wrong_is_one_line(words, code, problem, folder, capsys):
    assert problem in refused(capsys, code, "--model", folder, *words)


def test_an_odd_text_of_pairs(pairs, capsys):
    assert "3 texts are no pairs" in refused(capsys, 1, "--model", pairs, "--text", "a", "b", "c")


def test_folders_that_label_nothing(tmp_path, capsys):
    """A GPT, BERTs without a classifier, nothing at all, and a tokenizer of another model."""
    text = ["--text", "rain"]
    gpt, bert = save_gpt(tmp_path / "gpt"), save_bert(tmp_path / "bert")
    both = save_tuning_start(tmp_path / "both")
    for folder, name in ((gpt, "GPT2LMHeadModel"), (bert, "BertForMaskedLM"), (both, "BertForPre")):
        assert f"holds a {name}" in refused(capsys, 1, "--model", folder, *text)
    none = str(tmp_path / "none")
    assert f"there is no folder {none}" in refused(capsys, 1, "--model", none, *text)
    other = save_classifier(tmp_path / "other")
    tokenizers.ByteBPETokenizer.train(["rain"], 400, special_tokens=["[PAD]"]).save_pretrained(
        other
    )
    Path(other, "vocab.txt").unlink(missing_ok=True)
    assert f"{other}: the tokenizer has ids up to " in refused(capsys, 1, "--model", other, *text)
    broken = save_classifier(tmp_path / "broken")
    Path(broken, "finetune.json").write_text('{"max_length": 24, "pairs": 3}')
    assert "pairs is 3; give True or False: write it anew" in refused(
        capsys, 1, "--model", broken, *text
    )


def test_a_folder_without_finetune_json_takes_single_texts(tmp_path, capsys):
    folder = save_classifier(tmp_path)
    (tmp_path / "finetune.json").unlink()
    assert said(capsys, "--model", folder, "--text", *TEXTS) == columns(folder, TEXTS)


def test_the_model_comes_onto_the_device(monkeypatch):
    seen = []
    monkeypatch.setattr("tinygrad_llm.cli.predict.check_device", lambda parser, device: None)
    monkeypatch.setattr(
        TextClassifier, "from_pretrained", lambda *words: seen.append(words) or 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        main(["predict", "--model", "x", "--text", "rain", "--device", "cuda:1"])
    assert seen == [("x", "cuda:1")]


def test_no_more_is_read_than_is_answered_next():
    read: list[int] = []

    def texts():
        for number in range(10):
            read.append(number)
            yield Text(str(number), None)

    taken = portions(texts(), 4)
    assert [text.first for text in next(taken)] == ["0", "1", "2", "3"] and len(read) == 4
    assert [len(each) for each in taken] == [4, 2]


def test_a_file_is_read_line_by_line(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_bytes(b"a\n" * 50_000 + b"\xff\n")
    lines = read_texts(str(path), pairs=False)
    assert [next(lines).first for _ in range(3)] == ["a", "a", "a"]  # the bad one is far off


@pytest.fixture
def process(folder):
    """The command in a process whose output is buffered; it is ended where no answer comes."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONIOENCODING": "ascii"}
    environment.pop("PYTHONUNBUFFERED", None)
    words = ["-m", "tinygrad_llm.cli", "predict", "--model", folder, "--batch-size", "2"]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, *words], cwd=ROOT, env=environment, **pipes) as process:
        timer = threading.Timer(60, process.kill)
        timer.start()
        yield process
        timer.cancel()
        process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
def test_answers_come_before_the_input_ends_and_ctrl_c_ends_it(process, folder):
    process.stdin.write("rain\n大雨\ndry\n".encode())
    process.stdin.flush()
    answers = [process.stdout.readline().decode() for _ in range(2)]
    assert answers == [f"{line}\n" for line in columns(folder, ["rain", "大雨"])]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"", b"\nstopped by Ctrl-C\n")


def test_a_pipe_that_closes_ends_it_quietly(process):
    process.stdin.write(b"rain\nrain\n")
    process.stdin.flush()
    assert process.stdout.readline()
    process.stdout.close()
    process.stdin.write(b"rain\n" * 4)
    process.stdin.close()
    assert process.wait() == 141
    assert process.stderr.read() == b""

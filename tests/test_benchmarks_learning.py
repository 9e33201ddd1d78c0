"""The commands that learn from published data: their parts, and runs of a few steps."""

from __future__ import annotations

import numpy as np
import pytest

from tests.benchmarks.learning import shakespeare, translation
from tests.benchmarks.learning.bleu import corpus_bleu


def test_bleu_by_hand():
    # 我爱你们 meets 我爱你 in 3 of 4 characters, 2 of 3 pairs and 1 of 2 triples, but in no four.
    assert corpus_bleu(["我爱你们"], [["我爱你"]]) == 0.0
    written, answers = ["我们都爱你们", "好"], [["我们都爱你", "我们爱你们"], ["好的"]]
    shares = (7 / 7) * (5 / 5) * (4 / 4) * (2 / 3)  # n-grams met, of those written
    assert corpus_bleu(written, answers) == pytest.approx(100.0 * shares**0.25)
    short = 100.0 * np.exp(1.0 - 6 / 5)
    assert corpus_bleu(["我们都爱你"], [["我们都爱你们"]]) == pytest.approx(short)
    assert corpus_bleu(["我 们 都 爱 你"], [["我们都爱你"]]) == pytest.approx(100.0)


def test_bleu_counts_an_n_gram_as_often_as_one_reference_has_it():
    assert corpus_bleu(["的的的的的"], [["的的的的", "的"]]) == pytest.approx(
        100.0 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25
    )


@pytest.fixture
def play(tmp_path):
    file = tmp_path / "play.txt"
    file.write_text("to be, or not to be: that is the question\n" * 40, encoding="utf-8")
    return file


def test_shakespeare_in_a_few_steps(play, capsys):
    shakespeare.main([str(play), "--steps", "30"])
    *_, steps, loss = capsys.readouterr().out.splitlines()
    assert steps.startswith("30 steps in")
    assert 0.0 < float(loss.split()[-4]) < np.log(16)


def test_the_loss_is_of_every_held_out_character(play):
    ids, held_out, characters = shakespeare.read(play)
    assert len(ids) + len(held_out) == 40 * 42 and characters == 16
    model = shakespeare.new_model(characters)
    for p in model.parameters():
        p.data[...] = 0.0  # so that all characters are equally probable
    assert shakespeare.mean_loss(model, held_out) == pytest.approx(np.log(16), rel=1e-6)


def test_the_rate_rises_and_falls():
    rates = [shakespeare.rate(step, 2000) for step in range(2001)]
    assert rates[0] < 2e-5 and max(rates) == rates[100] == 1e-3
    assert rates[-1] == pytest.approx(1e-4) and np.all(np.diff(rates[100:]) <= 0.0)


@pytest.fixture
def pairs(tmp_path):
    file = tmp_path / "pairs.tsv"
    lines = (f"number {i}\t第{i}个\nnumber {i}\t{i}号\n" for i in range(3200))
    file.write_text("".join(lines), encoding="utf-8")
    return file


def test_no_sentence_is_in_two_parts(pairs):
    part = translation.read(pairs)
    assert part.chinese[7] == ["第7个", "7号"]
    learned, validation, test = translation.split(part, seed=1)
    assert [len(each.english) for each in (validation, test)] == [1000, 1000]
    together = [*learned.english, *validation.english, *test.english]
    assert len(set(together)) == len(together) == 3200
    assert translation.nearest(learned, test)[0] in {c for _, c in learned.pairs()}


def test_translation_in_a_few_steps(pairs, capsys, monkeypatch):
    monkeypatch.setattr(translation, "HELD_OUT", 20)
    small = {"d_model": 16, "nhead": 2, "dim_feedforward": 16}
    small |= {"encoder_layers": 1, "decoder_layers": 1}
    whole = translation.TransformerConfig
    monkeypatch.setattr(translation, "TransformerConfig", lambda *n, **o: whole(*n, **(o | small)))
    translation.main([str(pairs), "--minutes", "0.03"])
    out = capsys.readouterr().out
    assert "sentences to translate" in out and "best loss on the validation part" in out
    assert out.count("BLEU") == 3 and "nearest sentence learnt" in out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("one\ttwo\nthree\n", "line 2: expected English, a tab, Chinese"),
        ("one\ttwo\tthree\n", "line 1: expected"),
        ("one\t\n", "line 1: expected"),
        ("one\ttwo\n", "1 sentences are too few"),
        ("", "0 sentences are too few"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, text, message):
    file = tmp_path / "pairs.tsv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit, match=message):
        translation.main([str(file)])


def test_a_text_too_short_to_hold_a_tenth_out(tmp_path):
    file = tmp_path / "play.txt"
    file.write_text("to be", encoding="utf-8")
    with pytest.raises(SystemExit, match="5 characters are too few"):
        shakespeare.main([str(file)])


@pytest.mark.parametrize("command", [shakespeare, translation])
def test_files_that_cannot_be_read_are_named_in_one_line(tmp_path, command):
    wrong = tmp_path / "wrong.txt"
    wrong.write_bytes(b"ab\xff")
    for file, message in (
        (tmp_path / "none", "none: No such file"),
        (tmp_path, "Is a directory|Permission denied"),
        (wrong, "wrong.txt: byte 2 is not UTF-8: convert the file"),
    ):
        with pytest.raises(SystemExit, match=message):
            command.main([str(file)])

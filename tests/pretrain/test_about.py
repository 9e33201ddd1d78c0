"""What a task takes of memory, what is said before a run, and what is drawn after it."""

from __future__ import annotations

import tracemalloc

import pytest

from tests.pretrain.common import TEXTS, characters, documents, parts, wordpiece
from tinygrad_llm import plot
from tinygrad_llm.pretrain import CausalTask, MaskedTask
from tinygrad_llm.pretrain.about import about
from tinygrad_llm.pretrain.picture import draw
from tinygrad_llm.tokenizers.wordpiece import SPECIAL_TOKENS


def test_of_a_gpt_the_tokens_are_counted():
    given = parts()
    task = CausalTask(*given, characters(), 16, orders=(1,))
    letters = [sum(len(d.text) for d in part) for part in given]
    train, valid = (letters[i] + len(part) for i, part in enumerate(given))
    assert about(given, task).splitlines() == [
        f"to learn from: {len(given[0])} documents, {letters[0]:,} characters, {train:,} tokens",
        f"held out: {len(given[1])} documents, {letters[1]:,} characters, {valid:,} tokens",
        f"vocabulary: {len(task.tokenizer):,} tokens of a CharTokenizer",
    ]


def test_of_a_bert_the_share_of_the_text_that_rows_have_is_told():
    task = MaskedTask(*parts(), wordpiece(), 24, rounds=1)
    lines = about(parts(), task).splitlines()
    for line, rows in zip(lines, (task.train_dataset, task.eval_dataset)):
        share = f"{rows.used / len(rows.tokens):.1%}"
        assert line.endswith(f", {len(rows)} rows of up to 24 tokens, which have {share} of its "
                             "tokens")  # fmt: skip
        assert share not in ("0.0%", "100.0%")
    assert len(lines) == 3
    single = MaskedTask(*parts(), wordpiece(), 24, next_sentence=False)
    assert about(parts(), single).count("which have 100.0% of its tokens") == 2


def test_what_is_left_out_is_told():
    given = [*documents(TEXTS[:12]), *documents(["αβγ"])], documents(TEXTS[12:])
    tokenizer = characters(special_tokens=SPECIAL_TOKENS)
    task = MaskedTask(*given, tokenizer, 24, next_sentence=False)
    last = about(given, task).splitlines()[-1]
    assert last == "left out: 1 document and 0 rows without a token to hide"


@pytest.mark.parametrize("kind", ["gpt", "bert"])
def test_unknown_tokens_are_told_and_many_are_warned_of(kind):
    def said(unknown):
        held = documents([*TEXTS[12:14], "αβγδε。" * unknown + "天天天。"])
        if kind == "gpt":
            task = CausalTask(documents(TEXTS), held, characters(), 16, orders=(1,))
        else:
            tokenizer = characters(special_tokens=SPECIAL_TOKENS)
            task = MaskedTask(documents(TEXTS), held, tokenizer, 24, next_sentence=False)
        return task.baselines["unknown"], about((documents(TEXTS), held), task)

    none, few, many = (said(unknown) for unknown in (0, 1, 20))
    assert none[0] == 0 and "no token for" not in none[1]
    told = f"the tokenizer has no token for {few[0]:.1%} of the held-out text"
    assert 0.001 < few[0] < 0.05 and few[1].splitlines()[-1] == told
    assert many[0] > 0.05 and many[1].splitlines()[-3].startswith("warning: the tokenizer has no")


def test_of_a_folder_it_is_told_what_was_read(tmp_path):
    for name in ("a.txt", "b/c.TXT", "notes.md", "model/config.json", "model/merges.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("text")
    (tmp_path / "linked").symlink_to(tmp_path / "b")
    task = CausalTask(*parts(), characters(), 16, orders=(1,))
    assert about(parts(), task, str(tmp_path)).splitlines()[0] == (
        "read: 2 .txt files; of other kinds, not read: 1; "
        "folders of models, and links, not read: linked, model"
    )
    assert about(parts(), task, str(tmp_path / "a.txt")) == about(parts(), task, "english")


def test_each_megabyte_of_text_takes_thirty_of_memory_at_most():
    tokenizer, held, text = wordpiece(), documents(TEXTS[:2]), "".join(TEXTS)
    most = []
    for times in (20, 40):
        given = documents([text] * times)
        tracemalloc.start()
        MaskedTask(given, held, tokenizer, 64)
        most.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert most[1] - most[0] < 30 * 20 * len(text.encode())


def test_of_the_longer_n_grams_the_best_is_drawn(monkeypatch, tmp_path):
    drawn = []
    monkeypatch.setattr(plot, "training_curves", lambda lines, title: drawn.append(lines))
    monkeypatch.setattr(plot, "save", lambda figure, path: None)
    rows = [{"kind": "train", "step": 7, "loss": 3.0}, {"kind": "eval", "step": 7, "eval_loss": 2}]
    baselines = {"unigram": 5.0, "witten_bell_3": 3.5, "witten_bell_4": 3.25, "witten_bell_5": 3.3}
    draw(tmp_path / "curves.png", rows, baselines)
    assert drawn[0] == {
        "training loss": ([7.0], [3.0]),
        "validation loss": ([7.0], [2.0]),
        "unigram (loss)": ([0.0, 7.0], [5.0, 5.0]),
        "Witten-Bell, order 4 (loss)": ([0.0, 7.0], [3.25, 3.25]),
    }

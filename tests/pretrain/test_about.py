"""What a task takes of memory, what is said before a run, and what is drawn after it."""

from __future__ import annotations

import tracemalloc

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
    assert last == "left out: 1 documents and 0 rows without a token to hide"


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

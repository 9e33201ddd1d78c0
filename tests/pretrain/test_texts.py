"""Documents and their split: nothing is lost, nothing is on both sides, bad files are one line."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.pretrain.common import documents
from tinygrad_llm.data import corpora
from tinygrad_llm.pretrain import Document, read_documents, sentences, split_documents

PIECES = st.sampled_from(
    [
        "。",
        "！",
        "…",
        "”",
        ".",
        "!",
        "?",
        " ",
        "\n",
        "\n\n",
        "e.g",
        "Mr",
        "A",
        "a",
        "Word",
        "字",
        "3",
    ]
)


@given(st.lists(PIECES, max_size=30).map("".join))
@example("...")
@example(" \n a.")
def test_sentences_joined_are_the_text(text):
    found = sentences(text)
    assert "".join(found) == text
    assert all(found)
    assert not text.strip() or all(each.strip() for each in found)


def test_english_sentences_end_where_a_reader_would_end_them():
    text = (
        'He said "Stop!" to Mr. Hill, e.g. at 3.14 p.m. today. Then J. Smith left (at last). '
        "A wrapped line\ngoes on. So do I. Did\nYou?"
    )
    assert sentences(text) == [
        'He said "Stop!" to Mr. Hill, e.g. at 3.14 p.m. today. ',
        "Then J. Smith left (at last). ",
        "A wrapped line\ngoes on. ",
        "So do I. ",
        "Did\n",
        "You?",
    ]


@pytest.mark.parametrize(
    "expected",
    [
        ["The U.S. Government said no. ", "Then J. R. R. Tolkien left the U.S.S.R. for good."],
        ["As Eq. 4 says, it is 5. ", "So am I. ", "Good."],
        ["Two things:\n", "1. First item.\n", "  22. Second item. ", "In 1984. ", "No\n", "3. So."],
        ["Written in the year\n", "1984. ", "Then it was read."],
        [f"It is {' ' * 12}12. ", "Yes."],
        [
            "1. It begins a text. ",
            "Not here, at 1. ",
            "So it ends. ",
            "Nor here it is 12. ",
            "Yes.",
        ],
    ],
)
def test_a_stop_that_belongs_to_its_word_ends_no_sentence(expected):
    found = sentences("".join(expected))
    assert [each.strip() for each in found] == [each.strip() for each in expected]


def test_chinese_sentences_are_those_of_the_corpus():
    for paragraph in corpora.paragraphs()[:100]:
        assert sentences(paragraph) == corpora.sentences(paragraph)
    assert sentences("他说：“走吧！”然后走了。iPhone很贵。") == [
        "他说：“走吧！”",
        "然后走了。",
        "iPhone很贵。",
    ]


def test_a_long_run_of_marks_takes_no_long_time():
    text = "." * 100_000 + "a" + " " * 100_000 + "b." * 50_000
    assert "".join(sentences(text)) == text


def test_units_part_a_file_as_they_say(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffOne. Two.\r\nThree.\r\n\r\n  \r\nFour.\r\n".encode())
    whole, paragraphs, lines = (read_documents(path, unit) for unit in ("file", None, "line"))
    assert [d.text for d in paragraphs] == ["One. Two.\nThree.", "Four."]
    assert paragraphs[0].sentences == ("One. ", "Two.\n", "Three.")
    assert [d.text for d in lines] == ["One. Two.", "Three.", "Four."]
    assert [d.text for d in whole] == ["One. Two.\nThree.\n\n  \nFour."]


def test_a_folder_has_a_document_for_each_file_in_it_and_below(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c.txt").write_text("C.\n\nD.")
    (tmp_path / "a.txt").write_text("A.")
    (tmp_path / "other.md").write_text("no")
    found = read_documents(tmp_path)
    assert [(d.name, d.text) for d in found] == [("a.txt", "A."), ("b/c.txt", "C.\n\nD.")]
    assert [d.text for d in read_documents(tmp_path, "paragraph")] == ["A.", "C.", "D."]


def test_capital_letters_make_no_other_kind(tmp_path):
    for name in ("a.TXT", "b.Txt"):
        (tmp_path / name).write_text(name)
    assert [d.text for d in read_documents(tmp_path)] == ["a.TXT", "b.Txt"]


@pytest.mark.parametrize("name", ["config.json", "options.json", "tokenizer.json"])
def test_a_vocabulary_is_no_text(name, tmp_path):
    model = tmp_path / "models" / "first"
    (model / "below").mkdir(parents=True)
    for path in (tmp_path / "a.txt", model / "merges.txt", model / "below" / "vocab.txt"):
        path.write_text(path.name)
    (model / name).write_text("{}")
    assert [d.text for d in read_documents(tmp_path)] == ["a.txt"]
    assert f"has {name}, so it is of a model" in refused(tmp_path, "models/first", None)


def test_a_folder_that_cannot_be_read_is_not_passed_over(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("A.")
    (tmp_path / "closed").mkdir()
    real = os.scandir

    def scandir(path):
        if os.path.basename(path) == "closed":
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(PermissionError, match="closed"):
        read_documents(tmp_path)


def test_jsonl_has_a_document_a_row(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"text": t, "n": 1}) + "\n" for t in ("One. Two.", "C")))
    assert [d.sentences for d in read_documents(path)] == [("One. ", "Two."), ("C",)]


def test_the_corpora_are_whole():
    assert [d.text for d in read_documents("chinese")] == corpora.paragraphs()
    english = read_documents("english")
    theirs = corpora.english.documents()
    assert [d.text for d in english] == ["\n".join(d.paragraphs) for d in theirs]
    assert sum(len(d.sentences) for d in english) > sum(len(d.paragraphs) for d in theirs)


def refused(tmp_path, name, content, unit=None):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises((OSError, ValueError)) as caught:
        read_documents(path, unit)
    assert "\n" not in str(caught.value)
    return f"{type(caught.value).__name__}: {caught.value}"


@pytest.mark.parametrize("unit", ["file", "paragraph", "line"])
def test_a_bad_file_is_one_line_that_names_it(unit, tmp_path):
    assert "no rows" in refused(tmp_path, "empty.txt", b"", unit)
    assert "no rows" in refused(tmp_path, "blank.txt", b"\n \n", unit)
    said = refused(tmp_path, "gbk.txt", "好\n".encode() + "好的".encode("gbk"), unit)
    assert "gbk.txt, line 2" in said and "UTF-8" in said


def test_what_cannot_be_read_is_one_line(tmp_path):
    assert "there is no" in refused(tmp_path, "none.txt", None)
    assert "neither .txt nor .jsonl" in refused(tmp_path, "a.pdf", b"x")
    assert "'text'" in refused(tmp_path, "a.jsonl", b'{"txt": "a"}')
    assert "leave it out" in refused(tmp_path, "a.jsonl", b'{"text": "a"}', "line")
    assert "one of file" in refused(tmp_path, "a.txt", b"a", "word")
    (tmp_path / "folder").mkdir()
    assert "no .txt file" in refused(tmp_path, "folder", None)
    with pytest.raises(ValueError, match="leave it out"):
        read_documents("english", "line")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    assert "pipe" in refused(tmp_path, "pipe.txt", None)


TEXTS = st.lists(st.text("ab 。", min_size=1, max_size=20).filter(str.strip), min_size=1)


@given(TEXTS, st.floats(0.05, 0.9), st.integers(0, 3))
def test_no_text_is_on_both_sides_and_none_is_lost(texts, share, seed):
    given = documents(texts)
    contents = {" ".join(d.text.split()) for d in given}
    if len(contents) == 1 and len(given[0].text.strip()) < 2:
        with pytest.raises(ValueError, match="too short"):
            split_documents(given, share, seed)
        return
    if len(contents) == 1:
        return  # the next test
    train, valid = split_documents(given, share, seed)
    assert train and valid
    assert sorted([*train, *valid]) == sorted(given)
    sides = [{" ".join(d.text.split()) for d in part} for part in (train, valid)]
    assert not sides[0] & sides[1]


@given(st.lists(st.sampled_from(["一", "二三。", "四！", "five. "]), min_size=4, max_size=40))
def test_of_a_single_text_the_end_is_held_out(pieces):
    text = "".join(pieces) + "end"
    (train,), (valid,) = split_documents(documents([text]), 0.3)
    assert train.text + valid.text == text.strip()
    longest = max(map(len, sentences(text)))
    assert abs(len(valid.text) - 0.3 * len(text)) <= longest + 1


def test_the_split_hangs_on_texts_and_seed_alone():
    given = documents()
    train, valid = split_documents(given, 0.1, 3)
    again = split_documents(given[::-1], 0.1, 3)
    assert (set(train), set(valid)) == tuple(map(set, again))
    assert set(split_documents(given, 0.1, 4)[1]) != set(valid)
    share = sum(len(d.text) for d in valid) / sum(len(d.text) for d in given)
    assert share == pytest.approx(0.1, abs=0.03)
    copied = [*given, *(Document("copy", d.sentences) for d in valid)]
    train, valid = split_documents(copied, 0.1, 3)
    assert not {d.text for d in train} & {d.text for d in valid}


def test_a_text_far_larger_than_the_share_is_not_held_out():
    given = documents(["a" * 8, "b" * 9, "c" * 10, "d" * 300, "e" * 9])
    for seed in range(12):
        _, valid = split_documents(given, 0.08, seed)
        assert sum(len(d.text) for d in valid) < 60


def test_a_split_refuses_what_it_cannot_part():
    with pytest.raises(ValueError, match="no documents"):
        split_documents([])
    with pytest.raises(ValueError, match="share"):
        split_documents(documents(), 1.0)

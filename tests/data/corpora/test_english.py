"""The English corpus: clean paragraphs, exact spans, parts that share nothing, an honest cache."""

from __future__ import annotations

import json
import re
import sysconfig
from pathlib import Path

import pytest

from tinygrad_llm.data.corpora import english, english_prose
from tinygrad_llm.data.corpora.english_prose import Docstring, Item, items, paragraph
from tinygrad_llm.data.corpora.english_questions import ask

ROOT = Path(sysconfig.get_path("stdlib"))


@pytest.fixture(scope="module")
def fresh():
    return english._build(ROOT)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder, and nothing in memory."""
    monkeypatch.setenv("TINYGRAD_LLM_CACHE", str(tmp_path / "cache"))
    english._corpus.cache_clear()
    yield tmp_path / "cache"
    english._corpus.cache_clear()


@pytest.fixture
def built(fresh, cache, monkeypatch):
    """The real corpus without building it again, and how often it was asked for."""
    calls = []
    monkeypatch.setattr(english, "_build", lambda root: calls.append(root) or fresh)
    return calls


def _paragraphs(corpus):
    return [text for document in corpus.documents for text in document.paragraphs]


def test_paragraphs_are_clean_prose(fresh):
    for text in _paragraphs(fresh):
        assert len(text) >= english_prose.MIN_LENGTH
        assert text == " ".join(text.split()) and text.isprintable()
        assert not re.search(r">>>|={4}|-{4}|::|`|\.\. \w+::", text), text


def test_no_paragraph_is_there_twice(fresh):
    assert len(set(_paragraphs(fresh))) == len(_paragraphs(fresh))


def test_there_is_as_much_as_the_docstring_says(fresh):
    assert 350 <= len(fresh.documents) <= 450
    assert 950_000 <= sum(map(len, _paragraphs(fresh))) <= 1_300_000
    assert len(fresh.questions) >= 1000


def test_two_builds_are_equal(fresh):
    assert english._build(ROOT) == fresh


def test_no_tests_are_read_and_names_are_the_public_ones(fresh):
    names = {document.name for document in fresh.documents}
    assert {"decimal", "asyncio.tasks", "topic assert"} <= names
    assert not any({"test", "tests", "idlelib"} & set(name.split(".")) for name in names)


def test_the_ten_labels_are_there_and_do_not_give_themselves_away(built):
    rows = english.labelled()
    assert {row.label for row in rows} == set(english.PACKAGES) and len(english.PACKAGES) == 10
    assert not [row for row in rows if row.label in row.text.lower()]
    for label in english.PACKAGES:
        assert sum(row.label == label for row in rows) >= 100


def test_answers_stand_where_the_question_says(fresh):
    for context, question, answer, start in fresh.questions:
        assert context[start : start + len(answer)] == answer and answer.strip() == answer != ""
        assert question.endswith("?") and "{" not in question


def test_questions_are_worded_in_many_ways_and_none_has_two_answers(fresh):
    asked = {(question.context, question.question) for question in fresh.questions}
    assert len(asked) == len(fresh.questions)
    assert len({question.question.split()[0] for question in fresh.questions}) >= 6


def test_documents_of_the_parts_are_disjoint_and_sized_as_asked(built):
    every = english.documents()
    parts = english.split_documents(every, seed=3)
    names = [document.name for part in parts for document in part]
    assert sorted(names) == sorted(document.name for document in every)
    sizes = [sum(len(text) for document in part for text in document.paragraphs) for part in parts]
    for size, fraction in zip(sizes, (0.8, 0.1, 0.1)):
        assert size / sum(sizes) == pytest.approx(fraction, abs=0.02)
    assert parts == english.split_documents(every, seed=3) != english.split_documents(every, seed=4)


@pytest.mark.parametrize("fractions", [(0.8, 0.2), (1.0, 0.0, 0.0), (0.8, 0.1, 0.2)])
def test_wrong_fractions_are_refused(built, fractions):
    with pytest.raises(ValueError, match="three above 0 with sum 1"):
        english.split_documents(english.documents(), fractions)


def test_too_few_documents_are_refused(built):
    with pytest.raises(ValueError, match="2 documents are too few"):
        english.split_documents(english.documents()[:2])


def test_a_python_without_sources_is_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="no sources under"):
        english._build(tmp_path)


def test_the_cache_is_equal_to_a_fresh_build(fresh, built):
    assert english._corpus() == fresh
    english._corpus.cache_clear()
    assert english._corpus() == fresh and len(built) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: None,
        lambda content: [],
        lambda content: content | {"key": "another Python"},
        lambda content: content | {"documents": 5},
        lambda content: content | {"documents": []},
        lambda content: content | {"documents": [["name", "package", [1]]]},
        lambda content: content | {"documents": [["name", "package", "text"]]},
        lambda content: content | {"documents": [["name", "package"]]},
        lambda content: content | {"questions": [["context", "question", "answer", 0]]},
        lambda content: content | {"questions": [["answer", "question", "answer", True]]},
        lambda content: content | {"questions": [["answer", "question", "answer", -6]]},
        lambda content: {"key": content["key"]},
    ],
)
def test_a_damaged_cache_is_built_again(fresh, built, cache, damage):
    english._corpus()
    (path,) = cache.iterdir()
    path.write_text(json.dumps(damage(json.loads(path.read_text("utf-8")))), "utf-8")
    english._corpus.cache_clear()
    assert english._corpus() == fresh and len(built) == 2


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_cache_that_is_no_json_is_built_again(fresh, built, cache, raw):
    english._corpus()
    (path,) = cache.iterdir()
    path.write_bytes(raw)
    english._corpus.cache_clear()
    assert english._corpus() == fresh and len(built) == 2


def test_without_a_cache_folder_it_works_all_the_same(fresh, built, cache):
    cache.write_text("a file, where the folder should be")
    assert english._corpus() == fresh


def test_without_a_home_it_works_all_the_same(fresh, built, monkeypatch):
    for name in ("TINYGRAD_LLM_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    assert english._corpus() == fresh


def test_the_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("TINYGRAD_LLM_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert english._cache_file("key").parent == tmp_path / "tinygrad_llm"
    monkeypatch.setenv("TINYGRAD_LLM_CACHE", str(tmp_path / "own"))
    assert english._cache_file("key").parent == tmp_path / "own"


def test_describe_counts(built):
    assert f"questions: {len(english.questions()):,} about" in english.describe()


DOCSTRING = """send(data, timeout=3) -> int

Send the data to the *other* side of the ``connection``.  It
waits until all of it is there.

Usage::

    send("The text of this example is not to be read at all.")

Examples of what this is used for
=================================

>>> send("It is only a doctest, and not a sentence.")

- The first point is a sentence that goes on
  in the next line.
- timeout: the seconds to wait for an answer.
name   value   and   this   is   a   row   of   a   table.

Returns the number of bytes that were sent.  If timeout is
negative, it is taken to be zero.  Raises OSError if the
connection is closed.
"""


def test_what_is_prose_in_a_docstring():
    texts = [paragraph(item) for item in items(Docstring("m.send", DOCSTRING, ("timeout",)))]
    assert [text for text in texts if text] == [
        "Send the data to the other side of the connection. It waits until all of it is there.",
        "The first point is a sentence that goes on in the next line.",
        "Returns the number of bytes that were sent. If timeout is negative, it is taken to be "
        "zero. Raises OSError if the connection is closed.",
    ]


def test_headings_examples_and_tables_are_left_out():
    text = " ".join(item.text for item in items(Docstring("m.send", DOCSTRING)))
    assert "Usage" in text and "The first point" in text
    for left_out in ("example is not", "Examples of what", "only a doctest", "a table"):
        assert left_out not in text


def test_bullets_and_parameters_are_parted():
    text = (
        "Points:\n\n- The first one is a sentence\n  that goes on.\n- wait: the time\n    to wait."
    )
    assert [item[:2] for item in items(Docstring("m.f", text, ("wait",)))] == [
        ("", "Points:"),
        ("", "The first one is a sentence that goes on."),
        ("wait", "the time to wait."),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Too short to be of any use here.",
        "for i in range(3): if x is not None and y is in z: do it to all of them.",
        "The brackets (of this sentence are not closed, so it is a piece of one.",
        "Copyright of this is with the one who wrote it, and not with you.",
        "Name Address Telephone Street Country Planet Galaxy Universe.",
        "The result of it is so and so, as `x` in this text is marked up.",
    ],
)
def test_what_is_no_prose(text):
    assert paragraph(Item("", text, True)) == ""


def test_what_leads_to_something_is_cut_off():
    text = "This sentence stands for itself and is long enough. The next leads to this:"
    assert paragraph(Item("", text, True)) == text[:51]


def test_questions_of_a_docstring():
    asked = list(ask(Docstring("m.send", DOCSTRING, ("data", "timeout"), "FunctionDef")))
    assert {question.answer for question in asked} == {
        "the number of bytes that were sent",
        "it is taken to be zero",
        "the seconds to wait for an answer",
        "the connection is closed",
        "OSError",
    }


def test_nothing_is_asked_about_what_is_private_and_what_a_module_returns():
    assert not list(ask(Docstring("m._send", DOCSTRING, ("timeout",), "FunctionDef")))
    answers = [q.answer for q in ask(Docstring("m", DOCSTRING, ("timeout",), "Module"))]
    assert answers == ["it is taken to be zero", "the seconds to wait for an answer"]


def test_a_file_that_is_no_python_has_no_docstrings(tmp_path):
    (tmp_path / "bad.py").write_text("def (")
    (tmp_path / "null.py").write_bytes(b"x\0")
    (tmp_path / "good.py").write_text('"""Fine."""\nx = "\\d"\n')
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "no.py").write_text('"""Not read."""')
    found = [(name, [d.text for d in texts]) for name, texts in english_prose.modules(tmp_path)]
    assert found == [("good", ["Fine."])]

"""Tests of the readers of data files: what is written comes back, what is bad is named by line."""

from __future__ import annotations

import json
import os
import re
import socket
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_llm.data import Sentence, manifest, read_conll, read_jsonl, read_labelled, read_text

BOM = b"\xef\xbb\xbf"
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\t\r\n"), min_size=1)
TEXTS = TEXTS.filter(lambda text: text.strip() and not text.startswith("\ufeff"))
LABELS = TEXTS.filter(lambda label: label == label.strip())
ENDS = st.sampled_from(["\n", "\r\n"])
MARKS = st.sampled_from([b"", BOM])
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """The path of a file that a test may write again and again."""
    return tmp_path_factory.mktemp("readers") / "rows.txt"


def refused(read, file, data, **options):
    """The one line by which `read` refuses the bytes `data`."""
    file.write_bytes(data)
    with pytest.raises(ValueError) as caught:
        read(file, **options)
    message = str(caught.value)
    assert message.startswith(str(file)) and "\n" not in message
    return message.removeprefix(str(file))


@settings(max_examples=50)
@given(st.lists(st.tuples(TEXTS, LABELS), min_size=1), ENDS, MARKS, st.integers(0, 2))
def test_labelled_rows_come_back(file, pairs, end, mark, blank):
    lines = [f"{text}\t{label}{end}" for text, label in pairs] + [end] * blank
    file.write_bytes(mark + "".join(lines).encode())
    rows = read_labelled(file)
    assert list(zip(rows.texts, rows.labels)) == pairs
    assert rows.lines == list(range(1, len(pairs) + 1))
    assert (len(rows), rows.path) == (len(pairs), str(file))


def test_the_last_row_needs_no_line_end_and_spaces_around_a_label_are_none_of_it(file):
    file.write_bytes(b" a b \t pos \nc\tneg")
    rows = read_labelled(str(file))
    assert (rows.texts, rows.labels, rows.path) == ([" a b ", "c"], ["pos", "neg"], str(file))


def test_a_header_is_not_guessed_and_another_separator_may_be_given(file):
    file.write_bytes(b"text||label\na, b||c\n")
    rows = read_labelled(file, separator="||")
    assert (rows.texts, rows.labels) == (["text", "a, b"], ["label", "c"])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a b\n", r", line 1: the row 'a b' has no tab; write text, tab, label"),
        (b"a\tb\nc\td\te\n", r", line 2: the row has the tab 2 times; keep the one .*"),
        (b"a\tb\n \tc\n", r", line 2: the text is empty; write one before the tab, or .*"),
        ("\u3000\tc\n".encode(), r", line 1: the text is empty; .*"),
        (b"a\t \n", r", line 1: the label is empty; write one after the tab, or .*"),
        (b"a\tb\n\n \nc\td\n", r", line 2: .* blank; remove it \(and 1 more bad row: line 3\)"),
        (b"a\n" * 7, r", line 1: .* \(and 6 more bad rows: lines 2, 3, 4, 5, 6, …\)"),
        (b"a\tb\nc\0\td\n", r", line 2: the line holds a zero byte.*; save it as UTF-8"),
        (b"a\tb\rc\td\r", r", line 1: a carriage return .*; end lines with .*"),
        (b"a\tb\r\r\n", r", line 1: a carriage return .*"),
        (b"", " holds no rows; write at least one, or check the path"),
        (BOM, " holds no rows; .*"),
        (BOM + b"\r\n \n", " holds no rows; .*"),
    ],
)
def test_bad_labelled_rows_are_named(file, data, message):
    assert re.fullmatch(message, refused(read_labelled, file, data))


@pytest.mark.parametrize("read", [read_labelled, read_jsonl, read_conll, read_text])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            "好电影\t正面\n".encode("gbk"),
            r"byte 1 of the line \(0xBA\) is .*GBK; .*iconv .*GB18030",
        ),
        ("film 朱镕\tx\n".encode("gb18030"), r"byte 6 of the line \(0xD6\) is .*GBK"),
        ("café\tx\n".encode("latin-1"), r"byte 4 of the line \(0xE9\) is not UTF-8; save"),
        ("Étage\tx\n".encode("latin-1"), r"byte 1 of the line \(0xC9\) is not UTF-8; save"),
        ("a\tb\n".encode("utf-16"), "the file is UTF-16; save it as UTF-8"),
        ("a\tb\n".encode("utf-16-le"), "holds a zero byte"),
        (b"PK\x03\x04\x14\0\0", "an Excel sheet; export"),
        (b"\x1f\x8b\x08\0", "a gzip archive; unpack it"),
    ],
)
def test_other_encodings_are_named_with_the_way_out(file, read, data, message):
    assert re.search(rf"^, line 1: .*{message}", refused(read, file, data))


def test_the_line_of_a_wrong_byte_is_named(file):
    data = "好\t正\n差\t负\n".encode() + "好\t正\n".encode("gbk")
    assert refused(read_labelled, file, data).startswith(", line 3: byte 1 of the line (0xBA)")


@pytest.mark.parametrize("read", [read_labelled, read_jsonl, read_conll, read_text])
def test_missing_files_and_folders_are_named(tmp_path, read):
    with pytest.raises(FileNotFoundError, match=r"none\.txt does not exist; check"):
        read(tmp_path / "none.txt")
    with pytest.raises(IsADirectoryError, match="is a folder; give the name of a file"):
        read(str(tmp_path))


@pytest.fixture(params=["device", "pipe", "socket"])
def special(request, tmp_path, monkeypatch):
    """The path of something that is no file, and what it is called."""
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    if request.param == "device":
        yield os.devnull, "device"
    elif request.param == "pipe":
        os.mkfifo("special")
        yield "special", "pipe"
    else:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("special")
            yield "special", "socket"


@pytest.mark.parametrize("read", [read_labelled, read_jsonl, read_conll, read_text, manifest])
def test_what_is_no_file_is_named_and_not_opened(special, read):
    path, what = special
    message = rf"^{path} is a {what} and no file; write what it gives to a file first$"
    with pytest.raises(ValueError, match=message):
        read(path)


def test_a_link_to_a_file_is_a_file(file, tmp_path):
    file.write_bytes(b"a\tb\n")
    (tmp_path / "link").symlink_to(file)
    assert read_labelled(tmp_path / "link").texts == ["a"]


@pytest.mark.parametrize("separator", ["", "\n", "a\r"])
def test_a_separator_must_separate(file, separator):
    with pytest.raises(ValueError, match=r"^read_labelled: separator .* separates nothing; use"):
        read_labelled(file, separator=separator)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
OBJECTS = st.builds(
    lambda rest, text, label: {**rest, "text": text, "label": label},
    st.dictionaries(st.text(), VALUES, max_size=3),
    TEXTS,
    TEXTS,
)


@settings(max_examples=50)
@given(st.lists(OBJECTS, min_size=1, max_size=5), ENDS, MARKS, st.booleans())
def test_json_lines_come_back(file, objects, end, mark, ascii_only):
    lines = [json.dumps(each, ensure_ascii=ascii_only) + end for each in objects]
    file.write_bytes(mark + "".join(lines).encode())
    assert read_jsonl(file) == objects


def test_fields_may_have_types(file):
    file.write_bytes(b'{"a": 1, "b": 2, "c": true, "d": [], "e": {}, "f": ""}\n')
    kinds = {"a": int, "b": float, "c": bool, "d": list, "e": dict}
    (row,) = read_jsonl(file, fields=kinds)
    assert row == {"a": 1, "b": 2.0, "c": True, "d": [], "e": {}, "f": ""}
    assert type(row["b"]) is float


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"[1]", r"the row is a list; write one object .*"),
        (b"null", r"the row is null; .*"),
        (b"{", r"no valid JSON \(.* at character 2\); write one object .*"),
        (b'{"a', r"no valid JSON \(Unterminated string starting at character 2\); .*"),
        (b'{"text": "a"} {}', r"no valid JSON \(Extra data at character 15\); .*"),
        (b'{"text": "a"}', r"the field 'label' is missing; add it \(the fields are: 'text'\)"),
        (b"{}", r"the field 'text' is missing; add it \(the fields are: none\)"),
        (b'{"text": "a", "label": 3}', r"the field 'label' is 3, a whole number, not a text; .*"),
        (b'{"text": null, "label": "b"}', r"the field 'text' is None, null, not a text; .*"),
        (b'{"text": " ", "label": "b"}', r"the field 'text' is empty; .*"),
        (b'{"text": "a", "label": ""}', r"the field 'label' is empty; .*"),
        (b'{"text": "a", "label": "b", "x": NaN}', r"NaN is no JSON value; .*"),
        (b'{"text": "a", "label": "b", "x": [-Infinity]}', r"-Infinity is no JSON value; .*"),
        (b'{"text": "a", "label": "b", "x": 1e999}', r"the number '1e999' is beyond .*"),
        (
            b'{"text": "a", "label": "b", "x": 1' + b"0" * 5000 + b"}",
            r"the number '10.*' is huge.*",
        ),
        (b'{"text": "a", "label": "b", "text": "a"}', r"the key 'text' stands there twice; .*"),
        (b'{"text": "a", "label": "b", "x": {"y": 1, "y": 2}}', r"the key 'y' stands there tw.*"),
        (b'{"b": 1, "a": 2, "a": 3, "b": 4}', r"the key 'a' stands there twice; keep one .*"),
        (
            rb'{"text": "\ud800", "label": "b"}',
            r"\\ud800 is half of a surrogate pair, .*; write .*",
        ),
        (rb'{"text": "a\uDFFF\ud83d", "label": "b"}', r"\\udfff is half of a .*; write both .*"),
        (rb'{"text": "a", "label": "b", "x": [{"\ud83dy": 1}]}', r"\\ud83d is half of a .*"),
        (b"[" * 100_000, r"the JSON is nested too deeply; .*"),
        (b'{"a":' * 100_000, r"the JSON is nested too deeply; .*"),
    ],
)
def test_bad_json_lines_are_named(file, line, message):
    good = b'{"text": "a", "label": "b"}\n'
    assert re.fullmatch(f", line 2: {message}", refused(read_jsonl, file, good + line))
    many = refused(read_jsonl, file, good + line + b"\n\n" + good + line)
    assert re.fullmatch(f", line 2: {message} \\(and 2 more bad rows: lines 3, 5\\)", many)


def test_whole_surrogate_pairs_and_escaped_backslashes_are_read(file):
    file.write_bytes(rb'{"text": "\ud83d\ude00 \u00e9", "label": "\\ud800"}')
    assert read_jsonl(file) == [{"text": "😀 é", "label": r"\ud800"}]


def test_a_row_of_many_keys_is_refused_at_once(file):
    pairs = ", ".join(f'"key {i}": 1' for i in range(30_000))
    started = time.perf_counter()
    message = refused(read_jsonl, file, f'{{{pairs}, "key 29999": 2}}'.encode())
    assert ", line 1: the key 'key 29999' stands there twice" in message
    assert time.perf_counter() - started < 2.0


@pytest.mark.parametrize(
    ("kind", "value"), [(int, "true"), (int, "1.0"), (float, '"1"'), (bool, "1"), (list, "{}")]
)
def test_a_field_of_another_type_is_refused(file, kind, value):
    message = refused(read_jsonl, file, f'{{"x": {value}}}'.encode(), fields={"x": kind})
    assert re.search(r"line 1: the field 'x' is .*, not .*; change it, or the type in", message)


def test_a_field_may_be_of_one_of_several_types(file):
    file.write_bytes(b'{"x": 1, "y": 1}\n{"x": "1", "y": 1.5}\n')
    rows = read_jsonl(file, fields={"x": (str, int), "y": (int, float)})
    assert rows == [{"x": 1, "y": 1}, {"x": "1", "y": 1.5}]
    assert [type(row["y"]) for row in rows] == [int, float]  # where both may be, each stays


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("true", "True, a truth value, not a text or a whole number; change it"),
        ("1.0", "1.0, a number, not a text or a whole number; change it"),
        ("null", "None, null, not a text or a whole number; change it"),
        ('" "', "empty; fill it in, or remove the row"),
    ],
)
def test_a_field_of_none_of_several_types_is_refused(file, value, message):
    said = refused(read_jsonl, file, f'{{"x": {value}}}'.encode(), fields={"x": (str, int)})
    assert said == f", line 1: the field 'x' is {message}"


def test_fields_are_names_or_types(file):
    with pytest.raises(TypeError, match=r"fields is the text 'text'; give a tuple, \('text',\)"):
        read_jsonl(file, fields="text")
    with pytest.raises(TypeError, match="field 'text': <class 'bytes'> is no JSON type; use str"):
        read_jsonl(file, fields={"text": bytes})
    with pytest.raises(TypeError, match="field 'text': <class 'set'> is no JSON type; use str"):
        read_jsonl(file, fields={"text": (str, set)})
    with pytest.raises(TypeError, match="field 'text': None is no JSON type; use str"):
        read_jsonl(file, fields={"text": ()})


@st.composite
def sentences(draw):
    """Words with tags that form entities."""
    tokens = []
    for name in draw(st.lists(st.none() | NAMES, min_size=1, max_size=4)):
        tags = ["O"] if name is None else [f"B-{name}"] + [f"I-{name}"] * draw(st.integers(0, 2))
        tokens += [(draw(NAMES), tag) for tag in tags]
    return tokens if tokens[0][0] != "-DOCSTART-" else [("a", "O")]


@settings(max_examples=50)
@given(
    st.lists(sentences(), min_size=1, max_size=4),
    st.sampled_from([" ", "\t", " NN  _ "]),
    st.integers(1, 2),
    ENDS,
    MARKS,
)
def test_conll_sentences_come_back(file, given_sentences, between, gap, end, mark):
    lines, starts = [], []
    for tokens in given_sentences:
        starts.append(len(lines) + 1)
        lines += [f"{word}{between}{tag}" for word, tag in tokens] + [""] * gap
    file.write_bytes(mark + end.join(lines).encode())
    expected = [
        Sentence([word for word, _ in tokens], [tag for _, tag in tokens], start)
        for tokens, start in zip(given_sentences, starts)
    ]
    assert read_conll(file) == expected


def test_docstart_parts_sentences_and_wide_spaces_are_words(file):
    file.write_bytes("-DOCSTART- -X- O\na x B-A\n-DOCSTART- -X- O\n\u3000 x O \n".encode())
    assert read_conll(file) == [Sentence(["a"], ["B-A"], 2), Sentence(["\u3000"], ["O"], 4)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a\n", r", line 1: 'a' has no tag; write word, space, tag"),
        (b"a O\n\nb O\n O\n", r", line 4: the line begins with a space, .*; write the word"),
        (b"a x O\n\nb O\n", r", line 3: the line has 2 columns, the lines before 3; write .*"),
        (b"a S-X\nb I-X\n", r", line 1: 'S-X' is no BIO tag; write O, .*"),
        (b"a B-\nb o\n", r", line 1: 'B-' is no BIO tag; .* \(and 1 more bad row: line 2\)"),
        (b"a I-X\nb I-X\n", r", line 1: I-X continues nothing \(before it is O\); write B-X"),
        (b"a B-X\n\nb I-X\n", r", line 3: I-X continues nothing \(before it is O\); write B-X"),
        (b"a B-X\nb I-Y\n", r", line 2: I-Y continues nothing \(before it is B-X\); write B-Y"),
        (b"a B-X\xff\nb I-X\n", r", line 1: byte 6 of the line .*editor"),
        (b"-DOCSTART- O\n\n", " holds no rows; .*"),
        (b"", " holds no rows; .*"),
    ],
)
def test_bad_conll_lines_are_named_once(file, data, message):
    assert re.fullmatch(message, refused(read_conll, file, data))


@given(st.lists(st.lists(TEXTS, min_size=1, max_size=3), min_size=1, max_size=4), ENDS, MARKS)
def test_lines_and_paragraphs_come_back(file, paragraphs, end, mark):
    text = (end + " " + end + end).join(end.join(lines) for lines in paragraphs)
    file.write_bytes(mark + end.encode() + text.encode())
    assert read_text(file) == [line for lines in paragraphs for line in lines]
    assert read_text(file, unit="paragraph") == ["\n".join(lines) for lines in paragraphs]


def test_plain_text_needs_a_line_and_a_known_unit(file):
    assert refused(read_text, file, b"\n \n").startswith(" holds no rows")
    message = refused(read_text, file, b"a\nb\xff\nc\n\xfe\n")
    assert message.startswith(", line 2: byte 2 ") and message.endswith(
        "(and 1 more bad row: line 4)"
    )
    with pytest.raises(ValueError, match="unit 'word' is not one of 'line' and 'paragraph'"):
        read_text(file, unit="word")

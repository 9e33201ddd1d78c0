"""Published folders that are broken or hold what we do not have: one line that names the place."""

import copy
import json
from pathlib import Path

import pytest

from tinygrad_llm.tokenizers import ByteBPETokenizer, CharTokenizer, WordPieceTokenizer
from tinygrad_llm.tokenizers.bytemap import ALPHABET
from tinygrad_llm.tokenizers.published import read_folder, save_folder

FOLDERS = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "tokenizer_files.json").read_text(encoding="utf8")
)["folders"]
BYTES = {piece: id for id, piece in enumerate(ALPHABET)}
PIECES = {**BYTES, "th": 256}
BPE, WORDPIECE, CHARACTERS, LLAMA3 = "gpt2", "bert_uncased", "characters", "llama3"


def library_file(name: str, file: str = "tokenizer.json") -> dict:
    return json.loads(FOLDERS[name]["files"][file])


def changed(content: dict, place: str, value: object) -> dict:
    """A copy with the value at "a.b.0.c"."""
    content = copy.deepcopy(content)
    *keys, last = (int(key) if key.isdigit() else key for key in place.split("."))
    inside = content
    for key in keys:
        inside = inside[key]
    inside[last] = value
    return content


def put(folder: Path, name: str, content: object) -> Path:
    if not isinstance(content, (str, bytes)):
        content = json.dumps(content)
    if isinstance(content, str):
        content = content.encode("utf8")
    (folder / name).write_bytes(content)
    return folder


def message(folder: Path, error: type[Exception] = ValueError) -> str:
    """Of the error that reading the folder raises: one line with the folder's name."""
    with pytest.raises(error) as caught:
        read_folder(folder)
    text = str(caught.value)
    assert str(folder) in text
    assert "\n" not in text
    return text


SPLIT = {"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Isolated", "invert": False}
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
TEMPLATE = {"type": "TemplateProcessing", "special_tokens": {}}
END = {"id": "e", "ids": [340], "tokens": ["<|endoftext|>"]}


CUT = "pre_tokenizer.pretokenizers.0."
BERT = {"type": "BertProcessing", "sep": ["a", 65], "cls": ["a", 65]}


def cuts(*parts: dict) -> dict:
    return sequence("pretokenizers", *parts)


def template(**changes: object) -> dict:
    return {**TEMPLATE, **changes}


def sequence(key: str, *parts: dict) -> dict:
    return {"type": "Sequence", key: list(parts)}


@pytest.mark.parametrize(
    "name, place, value, words",
    [
        (BPE, "version", "2.0", "version is '2.0'"),
        (BPE, "model", None, "model is missing"),
        (BPE, "model", [], "model is [], but must be an object"),
        (BPE, "model.type", "Unigram", "'Unigram' (SentencePiece)"),
        (BPE, "model.type", "Neural", "'Neural', which is not supported; supported: BPE of bytes"),
        (BPE, "model.type", 3, "model.type is 3, but must be a text"),
        (BPE, "model.byte_fallback", True, "model.byte_fallback is True"),
        (BPE, "model.dropout", 0.1, "dropout is 0.1, which is not supported; supported: null"),
        (BPE, "model.end_of_word_suffix", "</w>", "end_of_word_suffix is '</w>'"),
        (BPE, "model.continuing_subword_prefix", "##", "continuing_subword_prefix is '##'"),
        (BPE, "model.ignore_merges", 1, "ignore_merges is 1, but must be true or false"),
        (BPE, "model.vocab", [["a", -1.5]], "model.vocab is [['a', -1.5]], but must be an object"),
        (BPE, "model.vocab", None, "model.vocab is missing"),
        (BPE, "model.vocab.a", "7", "vocab has 'a': '7'; tokens are str"),
        (BPE, "model.vocab.a", -1, "'a' has the id -1"),
        (BPE, "model.vocab.a", True, "vocab has 'a': True; tokens are str"),
        (BPE, "model.vocab.a", 1, "'!' and 'a' the same id, 1"),
        (BPE, "model.vocab.!</w>", 341, "pieces end with '</w>'"),
        (BPE, "model.vocab.", 341, "the token with the id 341 is empty"),
        (BPE, "model.merges", None, "model.merges is missing; it must be a list"),
        (BPE, "model.merges", {}, "model.merges is {}, but must be a list"),
        (BPE, "model.merges.3", "a", "merges[3] is 'a'"),
        (BPE, "model.merges.3", "a b c", "merges[3] is 'a b c'"),
        (BPE, "model.merges.3", ["a", 1], "merges[3] is ['a', 1]"),
        (BPE, "model.merges.0", ["q", "qq"], "merge 0, 'q' and 'qq', needs 'qq'"),
        (BPE, "model.merges.1", ["q", "q"], "merge 1, 'q' and 'q', needs 'qq'"),
        (BPE, "normalizer", {"type": "Precompiled"},
         "normalizer.type is 'Precompiled', which is not supported with BPE; supported: NFC"),
        (BPE, "normalizer", {}, "normalizer.type is missing"),
        (BPE, "normalizer", sequence("normalizers", {"type": "NFC"}, {"type": "Replace"}),
         "normalizer.normalizers[1].type is 'Replace'"),
        (BPE, "pre_tokenizer", None, "pre_tokenizer is []; supported with BPE: ByteLevel"),
        (BPE, "pre_tokenizer", {"type": "Metaspace"}, "pre_tokenizer.type is 'Metaspace'"),
        (BPE, "pre_tokenizer", cuts(SPLIT, SPLIT, BYTE_LEVEL), "one Split"),
        (BPE, "pre_tokenizer", cuts(SPLIT), "pre_tokenizer is ['Split']"),
        (BPE, "pre_tokenizer", cuts(SPLIT, {"type": "ByteLevel"}), "use_regex is True"),
        (BPE, "pre_tokenizer", cuts(SPLIT, {**BYTE_LEVEL, "add_prefix_space": True}),
         "pre_tokenizer.pretokenizers[1].add_prefix_space is True"),
        (LLAMA3, CUT + "pattern", {"String": "a"}, "Regex is missing"),
        (LLAMA3, CUT + "pattern.Regex", "(a)", "has a capturing group"),
        (LLAMA3, CUT + "pattern.Regex", "(", "no regular expression"),
        (LLAMA3, CUT + "behavior", "Removed", "behavior is 'Removed'"),
        (LLAMA3, CUT + "invert", True, "invert is True"),
        (LLAMA3, CUT[:-1], {**SPLIT, "behavior": "Removed", "invert": True}, "is 'Removed'"),
        (BPE, "decoder", {"type": "Metaspace"}, "decoder.type is 'Metaspace'"),
        (BPE, "post_processor", {"type": "Other"}, "post_processor.type is 'Other'"),
        (BPE, "post_processor", {**BERT, "cls": ["[CLS]", 2]},
         "names '[CLS]', which the vocabulary lacks"),
        (BPE, "post_processor", {**BERT, "cls": ["a", 1]},
         "gives 'a' the id 1, but the vocabulary 65"),
        (BPE, "post_processor", {**BERT, "cls": "a"}, "cls is 'a', but must be a list"),
        (BPE, "post_processor", {**BERT, "cls": ["a"]}, "cls is ['a']; write [token, id]"),
        (BPE, "post_processor", sequence("processors", BERT, BERT), "the second of its kind"),
        (BPE, "post_processor", TEMPLATE, "single and pair are not supported"),
        (BPE, "post_processor", template(single=[{}]), "single[0].SpecialToken is missing"),
        (BPE, "post_processor", template(single=["$A"]), "[0] is '$A', but must be an object"),
        (BPE, "post_processor", template(single=[{"Sequence": {"id": "C"}}]), "id is 'C'"),
        (BPE, "post_processor", template(single=[{"SpecialToken": {"id": "x"}}]), "id is 'x'"),
        (BPE, "post_processor", template(single=[{"Sequence": {"id": "A", "type_id": -1}}]),
         "type_id is -1"),
        (BPE, "post_processor", template(single=[{"Sequence": {"id": "A", "type_id": 1 << 63}}]),
         "type_id is 9223372036854775808; give a whole number from 0 to 2147483647"),
        (BPE, "post_processor", template(special_tokens={"e": {**END, "ids": []}}),
         "special_tokens.e.tokens are 1, but ids are 0"),
        (BPE, "post_processor", template(special_tokens={"e": None}), "special_tokens.e is null"),
        (BPE, "post_processor", template(special_tokens={"e": {**END, "ids": [3]}}), "the id 3"),
        (BPE, "added_tokens", {}, "added_tokens is {}, but must be a list"),
        (BPE, "added_tokens.0.id", 3, "'#' and '<|endoftext|>' have the same id, 3"),
        (BPE, "added_tokens.0.id", "0", "added_tokens[0].id is '0', but must be a whole number"),
        (BPE, "added_tokens.0.content", "XX", "'<|endoftext|>' and 'XX' have the same id, 0"),
        (BPE, "added_tokens.0.content", "", "content is empty"),
        (BPE, "added_tokens.0.id", False, "[0].id is False, but must be a whole number"),
        (BPE, "added_tokens", [{"id": 341, "content": "xx"}, {"id": 342, "content": "xx"}],
         "'xx' has the ids 341 and 342"),
        (BPE, "added_tokens.0.lstrip", "no", "lstrip is 'no', but must be true or false"),
        (WORDPIECE, "model.unk_token", "<unk>", "model.unk_token is '<unk>'"),
        (WORDPIECE, "model.continuing_subword_prefix", "", "continuing_subword_prefix is ''"),
        (WORDPIECE, "model.max_input_chars_per_word", 0, "max_input_chars_per_word is 0"),
        (WORDPIECE, "model.vocab", {"a": 0}, "has no [UNK]"),
        (WORDPIECE, "normalizer", None, "normalizer has 0 components"),
        (WORDPIECE, "normalizer", {"type": "Lowercase"}, "'Lowercase', which is not "
         "supported with WordPiece; supported: BertNormalizer"),
        (WORDPIECE, "normalizer.clean_text", False, "clean_text is False"),
        (WORDPIECE, "normalizer.clean_text", 1, "clean_text is 1"),
        (WORDPIECE, "normalizer.lowercase", "yes", "lowercase is 'yes'"),
        (WORDPIECE, "pre_tokenizer", {"type": "Whitespace"}, "pre_tokenizer.type is 'Whitespace'"),
        (WORDPIECE, "decoder.cleanup", False, "decoder.cleanup is False"),
        (WORDPIECE, "decoder", {"type": "ByteLevel"}, "decoder.type is 'ByteLevel'"),
        (CHARACTERS, "normalizer", {"type": "NFC"}, "normalizer.type is 'NFC'"),
        (CHARACTERS, "pre_tokenizer", {"type": "Whitespace"}, "pre_tokenizer.type is 'Whitespace'"),
        (CHARACTERS, "pre_tokenizer.pattern", {"String": " "}, "every character alone"),
        (CHARACTERS, "pre_tokenizer.behavior", "Removed", "behavior is 'Removed'"),
        (CHARACTERS, "decoder", {"type": "WordPiece"}, "decoder.type is 'WordPiece'"),
        (CHARACTERS, "model.unk_token", None, "unk_token is missing"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_tokenizer_json(name, place, value, words, tmp_path):
    content = library_file(name)
    put(tmp_path, "tokenizer.json", changed(content, place, value))
    text = message(tmp_path)
    assert str(tmp_path / "tokenizer.json") in text
    assert words in text


CONFIG = "tokenizer_config.json"


@pytest.mark.parametrize(
    "config, words",
    [
        ({"model_max_length": 0}, "model_max_length is 0; give a whole number above 0"),
        ({"model_max_length": "512"}, "model_max_length is '512'"),
        ({"model_max_length": 1.5}, "model_max_length is 1.5"),
        ({"model_max_length": True}, "model_max_length is True"),
        ({"padding_side": "up"}, "padding_side is 'up'"),
        ({"truncation_side": None}, "truncation_side is null"),
        ({"model_input_names": "input_ids"}, "model_input_names is 'input_ids'"),
        ({"model_input_names": [1]}, "model_input_names is [1]"),
        ({"tokenizer_class": []}, "tokenizer_class is [], but must be a text"),
        ({"pad_token": 3}, "pad_token is 3, but must be a text"),
        ({"pad_token": ""}, "pad_token is an empty text"),
        ({"pad_token": {}}, "pad_token.content is missing"),
        ({"additional_special_tokens": "x"}, "additional_special_tokens is 'x'"),
        ({"extra_special_tokens": [[]]}, "extra_special_tokens is []"),
        ({"added_tokens_decoder": []}, "added_tokens_decoder is []"),
        ({"added_tokens_decoder": {"one": {"content": "x"}}}, "['one'] has no id for its key"),
        ({"added_tokens_decoder": {"1": "x"}}, "added_tokens_decoder['1'] is 'x'"),
        ({"added_tokens_decoder": {"5": {"content": "xx"}}}, "'%' and 'xx' have the same id, 5"),
        ({"added_tokens_decoder": {"7": {"content": "<|endoftext|>"}}}, "has the ids 0 and 7"),
        ({"add_prefix_space": 1}, "add_prefix_space is 1"),
        ([], "it holds [], not a JSON object"),
    ],
)
def test_what_is_wrong_in_the_configuration(config, words, tmp_path):
    put(tmp_path, "tokenizer.json", library_file(BPE))
    assert words in message(put(tmp_path, CONFIG, config))


def test_a_space_first_does_not_go_with_a_split(tmp_path):
    put(tmp_path, "tokenizer.json", library_file(LLAMA3))
    put(tmp_path, CONFIG, {"add_prefix_space": True})
    assert "add_prefix_space is true; supported with a Split" in message(tmp_path)


@pytest.mark.parametrize(
    "raw, words",
    [
        (b"", "line 1, column 1 is not valid JSON"),
        (b'{"model": {},\n}', "line 2, column 1 is not valid JSON"),
        (b"\xff{}", "is not UTF-8 at byte 0; save it as UTF-8"),
        (b'{"a": 1, "a": 2}', "the key 'a' stands twice"),
        (b'{"a": NaN}', "NaN is no JSON value"),
        (b'{"a": ' + b"9" * 5000 + b"}", "the huge number"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"a": "\\ud83d"}', "half of a surrogate pair"),
        (b"[1, 2]", "it holds [1, 2], not a JSON object"),
    ],
)
@pytest.mark.parametrize("name", ["tokenizer.json", CONFIG, "special_tokens_map.json"])
def test_broken_json(raw, words, name, tmp_path):
    put(tmp_path, "tokenizer.json", library_file(BPE))
    text = message(put(tmp_path, name, raw))
    assert str(tmp_path / name) in text
    assert words in text


def test_a_whole_surrogate_pair_may_be_escaped(tmp_path):
    content = {"pad_token": "🙂", "tokenizer_class": "GPT2Tokenizer"}
    put(tmp_path, "tokenizer.json", library_file(BPE))
    put(tmp_path, CONFIG, json.dumps(content, ensure_ascii=True))
    assert read_folder(tmp_path)[1]["special_tokens"]["pad_token"] == "🙂"


@pytest.mark.parametrize("depth", [300, 3000, 30_000])
def test_sequences_inside_sequences(depth, tmp_path):
    head, tail = '{"type": "Sequence", "processors": [', "]}"
    text = json.dumps(library_file(BPE)).replace(
        json.dumps(library_file(BPE)["post_processor"]), head * depth + tail * depth
    )
    put(tmp_path, "tokenizer.json", text)
    try:
        assert read_folder(tmp_path)[1]["trim_offsets"] is False
    except ValueError as error:  # how deep Python reads depends on its version
        assert "nested too deeply" in str(error)


@pytest.mark.parametrize(
    "lines, words",
    [
        (b"[UNK]\na\nb\na\n", "line 4 repeats 'a' of line 2; keep one"),
        (b"[UNK]\n\na\n", "line 2 is empty"),
        (b"a\nb\n", "has no line [UNK]"),
        (b"", "is empty"),
        (b"[UNK]\n\xe9\n", "is not UTF-8"),
    ],
)
def test_a_broken_vocab_txt(lines, words, tmp_path):
    text = message(put(tmp_path, "vocab.txt", lines))
    assert str(tmp_path / "vocab.txt") in text
    assert words in text


@pytest.mark.parametrize(
    "vocab, merges, words",
    [
        (PIECES, "#version: 0.2\nt h\nth\n", "merges.txt: line 3 is 'th'; write two pieces"),
        (PIECES, "t h\n\n", "merges.txt: line 2 is ''"),
        (PIECES, "t h e\n", "merges.txt: line 1 is 't h e'"),
        (PIECES, "t  \n", "merges.txt: line 1"),
        (PIECES, b"\xff h\n", "merges.txt is not UTF-8 at byte 0"),
        (PIECES, "t h\nth e\n", "merges.txt: merge 1, 'th' and 'e', needs 'the'"),
        (PIECES, "#version: 0.2\nt i\n", "merges.txt: merge 0, 't' and 'i', needs 'ti'"),
        ({"a": 0}, "", "vocab.json: vocab lacks 'Ā', the piece of the byte 0"),
        ({**BYTES, "xx": 0}, "", "vocab.json: vocab gives '!' and 'xx' the same id, 0"),
        (b"[]", "", "vocab.json: it holds []"),
    ],
)
def test_broken_vocabulary_and_merges(vocab, merges, words, tmp_path):
    put(tmp_path, "vocab.json", vocab)
    assert words in message(put(tmp_path, "merges.txt", merges))


@pytest.mark.parametrize("name", ["CLIPTokenizer", "BertTokenizer"])
def test_classes_whose_rules_are_not_known(name, tmp_path):
    put(tmp_path, "vocab.json", PIECES)
    put(tmp_path, "merges.txt", "t h\n")
    text = message(put(tmp_path, CONFIG, {"tokenizer_class": name}))
    assert f"{CONFIG}: tokenizer_class is {name!r}" in text
    assert "GPT2Tokenizer" in text


@pytest.mark.parametrize(
    "owner", [ByteBPETokenizer, WordPieceTokenizer], ids=lambda owner: owner.__name__
)
def test_a_folder_of_ours_that_has_lost_its_tokenizer_json(owner, tmp_path):
    owner.train(["the rain"], vocab_size=270).save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    text = message(tmp_path, FileNotFoundError)
    assert "has no tokenizer.json" in text and "put it there" in text


def test_nothing_to_read(tmp_path):
    assert "does not exist" in message(tmp_path / "none", FileNotFoundError)
    assert "has no tokenizer.json, no vocab.txt" in message(tmp_path, FileNotFoundError)
    put(tmp_path, "merges.txt", "")
    assert "has merges.txt but no vocab.json" in message(tmp_path, FileNotFoundError)
    put(tmp_path, "spiece.model", "")
    assert "is of SentencePiece, which is not supported" in message(tmp_path)
    assert "is a file; give the folder" in message(tmp_path / "spiece.model", FileNotFoundError)


def test_another_kind_than_the_class(tmp_path):
    put(tmp_path, "tokenizer.json", library_file(BPE))
    with pytest.raises(ValueError, match="holds a ByteBPETokenizer, not a CharTokenizer"):
        CharTokenizer.from_pretrained(tmp_path)


def test_what_cannot_be_saved(tmp_path):
    spaced = ByteBPETokenizer(PIECES, [], pattern="qwen2", add_prefix_space=True)
    with pytest.raises(ValueError, match="cannot hold add_prefix_space=True with the pattern"):
        save_folder(spaced, tmp_path / "a")
    with pytest.raises(ValueError, match="no token has the id 1, but 'b' has 2"):
        save_folder(CharTokenizer({"a": 0, "b": 2}), tmp_path / "a")
    assert not (tmp_path / "a").exists()
    put(tmp_path, "file", "")
    with pytest.raises(NotADirectoryError, match="is a file; give the name of a folder"):
        save_folder(CharTokenizer({"a": 0}), tmp_path / "file")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    save_folder(CharTokenizer({"a": 0}), tmp_path)
    before = (tmp_path / "tokenizer.json").read_bytes()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save_folder(CharTokenizer({"a": 0, "b": 1}), tmp_path)
    assert (tmp_path / "tokenizer.json").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2

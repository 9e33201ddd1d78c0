"""Older published folders: a vocabulary without tokenizer.json, and the companions beside it."""

import json
from pathlib import Path

import pytest

from tinygrad_llm.tokenizers import (
    AddedToken,
    ByteBPETokenizer,
    Template,
    Tokenizer,
    WordPieceTokenizer,
)
from tinygrad_llm.tokenizers.bytemap import ALPHABET
from tinygrad_llm.tokenizers.published import read_folder

FIGURES = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "tokenizer_files.json").read_text(encoding="utf8")
)
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
BYTES = {piece: id for id, piece in enumerate(ALPHABET)}
MERGES = [("t", "h"), ("th", "e")]
PIECES = {**BYTES, "th": 256, "the": 257}


def put(folder: Path, files: dict) -> Path:
    """Write files by name: texts as they are, anything else as JSON."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name).write_text(text, encoding="utf8")
    return folder


def test_wordpiece_from_a_vocabulary_alone(tmp_path):
    lines = "".join(f"{token}\n" for token in [*BERT, "a", "##b"])
    kind, arguments = read_folder(put(tmp_path / "a", {"vocab.txt": lines}))
    assert kind == "wordpiece"
    assert "lowercase" not in arguments
    assert arguments["template"] == Template.around("[CLS]", "[SEP]")
    assert arguments["model_input_names"] == ("input_ids", "token_type_ids", "attention_mask")
    assert [token.content for token in arguments["added_tokens"]] == BERT
    config = {"tokenizer_class": "DistilBertTokenizer", "strip_accents": False}
    put(tmp_path / "a", {"tokenizer_config.json": config})
    _, arguments = read_folder(tmp_path / "a")
    assert arguments["model_input_names"] == ("input_ids", "attention_mask")
    assert arguments["strip_accents"] is False
    assert WordPieceTokenizer(**arguments)("A")["input_ids"] == [2, 5, 3]
    put(tmp_path / "a", {"vocab.txt": "[UNK]\na\n"})
    assert read_folder(tmp_path / "a")[1]["template"] == Template.plain()


def test_bpe_from_a_vocabulary_and_merges(tmp_path):
    files = {"vocab.json": PIECES, "merges.txt": "#version: 0.2\nt h\nth e\n"}
    _, plain = read_folder(put(tmp_path / "a", files))
    assert plain["merges"] == MERGES
    assert (plain["pattern"], plain["normalization"], plain["trim_offsets"]) == (
        "gpt2",
        None,
        False,
    )
    _, windows = read_folder(put(tmp_path / "a", {"merges.txt": "t h\r\nth e\r\n"}))
    assert windows["merges"] == MERGES
    assert read_folder(put(tmp_path / "a", {"merges.txt": "#version: 0.2\n"}))[1]["merges"] == []
    assert read_folder(put(tmp_path / "a", {"merges.txt": ""}))[1]["merges"] == []
    config = {"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<end>", "pad_token": None}
    _, qwen2 = read_folder(put(tmp_path / "a", {"tokenizer_config.json": config}))
    assert (qwen2["pattern"], qwen2["normalization"]) == ("qwen2", "NFC")
    assert qwen2["added_tokens"] == [AddedToken("<end>", 258)]
    assert qwen2["special_tokens"] == {"eos_token": "<end>"}


def test_robertas_mask_takes_the_space_before_it(tmp_path):
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    vocab = {**PIECES, **{token: 258 + i for i, token in enumerate(special)}}
    files = {"vocab.json": vocab, "merges.txt": "t h\nth e\n"}
    _, arguments = read_folder(put(tmp_path / "a", files))
    assert arguments["trim_offsets"] is True
    assert arguments["added_tokens"][-1] == AddedToken("<mask>", 262, lstrip=True)
    tokenizer = ByteBPETokenizer(**arguments)
    assert tokenizer("the <mask>", "the")["input_ids"] == [258, 257, 262, 260, 260, 257, 260]
    assert tokenizer.cls_token == tokenizer.bos_token == "<s>"


def test_beginning_and_end_may_be_asked_for(tmp_path):
    config = {"tokenizer_class": "GPT2Tokenizer", "bos_token": "<b>", "eos_token": "<e>"}
    files = {"vocab.json": PIECES, "merges.txt": "t h\nth e\n"}
    put(tmp_path / "a", {**files, "tokenizer_config.json": {**config, "add_bos_token": True}})
    begin = Template(("<b>", "$A"), ("<b>", "$A", "<b>:1", "$B:1"))
    assert read_folder(tmp_path / "a")[1]["template"] == begin
    config |= {"add_bos_token": True, "add_eos_token": True}
    both = Template(("<b>", "$A", "<e>"), ("<b>", "$A", "<e>", "<b>:1", "$B:1", "<e>:1"))
    put(tmp_path / "a", {"tokenizer_config.json": config})
    assert read_folder(tmp_path / "a")[1]["template"] == both


def test_older_companions_count_where_the_configuration_lists_no_tokens(tmp_path):
    place = put(tmp_path, FIGURES["folders"]["gpt2"]["files"])
    put(place, {"special_tokens_map.json": {"pad_token": {"content": "[p]", "lstrip": True}}})
    put(place, {"added_tokens.json": {"[new]": 341, "[p]": 342}})
    _, arguments = read_folder(place)
    assert arguments["special_tokens"]["pad_token"] == "[p]"
    assert arguments["added_tokens"][1:] == [
        AddedToken("[new]", 341, special=False, normalized=True),
        AddedToken("[p]", 342),
    ]
    put(place, {"tokenizer_config.json": {"added_tokens_decoder": {"341": {"content": "x y"}}}})
    _, arguments = read_folder(place)
    assert "pad_token" not in arguments["special_tokens"]
    assert arguments["added_tokens"][1:] == [AddedToken("x y", 341, False, normalized=True)]


def test_a_vocabulary_may_leave_ids_out(tmp_path):
    vocab = {**PIECES, "they": 700}
    put(tmp_path / "a", {"vocab.json": vocab, "merges.txt": "t h\nth e\nthe y\n"})
    put(tmp_path / "a", {"tokenizer_config.json": {
        "tokenizer_class": "GPT2Tokenizer",
        "added_tokens_decoder": {"999999999": {"content": "<end>", "special": True}}}})  # fmt: skip
    tokenizer = Tokenizer.from_pretrained(tmp_path / "a")
    assert tokenizer.encode("they the<end>")[-4:] == [700, vocab["Ġ"], vocab["the"], 999999999]
    assert tokenizer.decode([700, 999999999]) == "they<end>"
    with pytest.raises(ValueError, match="no token has the id 258"):
        tokenizer.save_pretrained(tmp_path / "b")


@pytest.mark.parametrize("name", ["gpt2", "bert_uncased", "characters"])
def test_a_decoder_need_not_be_written(name, tmp_path):
    files = FIGURES["folders"][name]["files"]
    whole = Tokenizer.from_pretrained(put(tmp_path / "a", files))
    content = json.loads(files["tokenizer.json"])
    for without in ({**content, "decoder": None}, {**content}):
        if without["decoder"]:
            del without["decoder"]
        put(tmp_path / "b", {**files, "tokenizer.json": without})
        tokenizer = Tokenizer.from_pretrained(tmp_path / "b")
        ids = tokenizer.encode("the dog")
        assert ids == whole.encode("the dog") and tokenizer.decode(ids) == whole.decode(ids)

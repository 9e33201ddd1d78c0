"""Published folders: read as transformers reads them, written so that the same is read again."""

import json
from pathlib import Path

import pytest

from tinygrad_llm.tokenizers import (
    AddedToken,
    ByteBPETokenizer,
    CharTokenizer,
    Template,
    Tokenizer,
    WordPieceTokenizer,
)
from tinygrad_llm.tokenizers.bytemap import ALPHABET
from tinygrad_llm.tokenizers.patterns import LLAMA3
from tinygrad_llm.tokenizers.published import read_folder, save_folder

FIGURES = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "tokenizer_files.json").read_text(encoding="utf8")
)
FOLDERS = FIGURES["folders"]
NAMES = list(FOLDERS)
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


def library_file(name: str) -> dict:
    return json.loads(FOLDERS[name]["files"]["tokenizer.json"])


@pytest.fixture
def folder(tmp_path):
    """Makes the folder of a figure, with changes in its files: name -> content, None for none."""

    def make(name: str, **changes: object) -> Path:
        files = dict(FOLDERS[name]["files"])
        for key, content in changes.items():
            files[{"tokenizer": "tokenizer.json", "config": "tokenizer_config.json"}[key]] = content
        return put(tmp_path / name, {k: v for k, v in files.items() if v is not None})

    return make


@pytest.mark.parametrize("name", NAMES)
def test_ids_equal_the_librarys(name, folder):
    tokenizer = Tokenizer.from_pretrained(folder(name))
    figures = FOLDERS[name]
    assert len(FIGURES["strings"]) >= 39
    for text, ids, decoded in zip(FIGURES["strings"], figures["ids"], figures["decoded"]):
        assert tokenizer(text)["input_ids"] == ids, ascii(text)
        assert tokenizer.decode(ids, skip_special_tokens=True) == decoded, ascii(text)
    for pair, (ids, types) in zip(FIGURES["pairs"], figures["pairs"]):
        batch = tokenizer(*pair, return_token_type_ids=True)
        assert (batch["input_ids"], batch["token_type_ids"]) == (ids, types)


@pytest.mark.parametrize("name", NAMES)
def test_settings_equal_the_librarys(name, folder):
    tokenizer, figures = Tokenizer.from_pretrained(folder(name)), FOLDERS[name]
    assert {role: getattr(tokenizer, role) for role in figures["roles"]} == figures["roles"]
    assert len(tokenizer) == figures["size"]
    limit = figures["max_length"]
    assert tokenizer.model_max_length == (None if limit > 10**29 else limit)
    assert tokenizer.padding_side == figures["padding_side"]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_saved_is_read_again(name, folder, tmp_path):
    tokenizer = Tokenizer.from_pretrained(folder(name))
    tokenizer.save_pretrained(tmp_path / "one" / "two")
    again = Tokenizer.from_pretrained(tmp_path / "one" / "two")
    for text, ids in zip(FIGURES["strings"], FOLDERS[name]["ids"]):
        assert again(text)["input_ids"] == ids
    attributes = [
        "vocab", "added_tokens", "special_tokens", "template", "model_max_length", "padding_side",
        "truncation_side", "model_input_names", "merges", "pattern", "normalization",
        "add_prefix_space", "ignore_merges", "trim_offsets", "lowercase", "strip_accents",
        "tokenize_chinese_chars", "max_chars",
    ]  # fmt: skip
    for attribute in attributes:
        assert getattr(again, attribute, None) == getattr(tokenizer, attribute, None), attribute


@pytest.mark.parametrize("name", NAMES)
def test_the_same_tokenizer_gives_the_same_bytes(name, folder, tmp_path):
    Tokenizer.from_pretrained(folder(name)).save_pretrained(tmp_path / "a")
    Tokenizer.from_pretrained(tmp_path / "a").save_pretrained(tmp_path / "b")
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    vocabulary = {"bpe": ["merges.txt", "vocab.json"], "wordpiece": ["vocab.txt"], "char": []}
    kind, _ = read_folder(tmp_path / "a")
    assert files == sorted([*vocabulary[kind], "tokenizer.json", "tokenizer_config.json"])
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize("name", ["gpt2", "roberta", "bert_uncased", "llama3", "qwen2"])
def test_components_are_written_as_the_library_writes_them(name, folder, tmp_path):
    Tokenizer.from_pretrained(folder(name)).save_pretrained(tmp_path / "ours")
    ours = json.loads((tmp_path / "ours" / "tokenizer.json").read_text(encoding="utf8"))
    theirs = library_file(name)
    assert list(ours) == list(theirs)
    for key in ("version", "added_tokens", "normalizer", "pre_tokenizer", "decoder"):
        assert ours[key] == theirs[key], key
    assert ours["model"]["vocab"] == theirs["model"]["vocab"]
    assert list(ours["model"]["vocab"].values()) == sorted(ours["model"]["vocab"].values())
    if name != "roberta":
        assert list(ours["model"]) == list(theirs["model"])
    if name == "bert_uncased":
        assert ours["model"] == theirs["model"]
        assert ours["post_processor"] == theirs["post_processor"]
        assert (ours["truncation"], ours["padding"]) == (None, None)


def test_text_is_written_as_it_is(tmp_path):
    CharTokenizer({"é": 0, "今": 1}, special_tokens={}).save_pretrained(tmp_path)
    assert "今" in (tmp_path / "tokenizer.json").read_text(encoding="utf8")
    ByteBPETokenizer(BYTES, []).save_pretrained(tmp_path)
    assert '"é"' in (tmp_path / "vocab.json").read_text(encoding="utf8")


def test_truncation_and_padding_of_the_file_do_nothing(folder):
    assert library_file("bert_uncased")["truncation"]["max_length"] == 4
    tokenizer = Tokenizer.from_pretrained(folder("bert_uncased"))
    assert len(tokenizer("the tokens are tokenized.")["input_ids"]) not in (4, 128)


def test_merges_may_be_lists_or_texts(folder):
    content = library_file("gpt2")
    assert isinstance(content["model"]["merges"][0], list)
    _, lists = read_folder(folder("gpt2"))
    content["model"]["merges"] = [" ".join(merge) for merge in content["model"]["merges"]]
    _, texts = read_folder(folder("gpt2", tokenizer=content))
    assert lists == texts
    assert isinstance(texts["merges"][0], tuple)


def test_oldest_files_do_not_say_the_models_type(folder):
    for name, kind in (("gpt2", "bpe"), ("bert_uncased", "wordpiece"), ("characters", "char")):
        content = library_file(name)
        del content["model"]["type"]
        assert read_folder(folder(name, tokenizer=content))[0] == kind


@pytest.mark.parametrize(
    "class_name, lowercase",
    [("BertTokenizer", False), ("DistilBertTokenizerFast", False), (None, False),
     ("PreTrainedTokenizerFast", True), ("TokenizersBackend", True)],
)  # fmt: skip
def test_berts_configuration_counts_for_more_than_its_rules(class_name, lowercase, folder):
    config = {"do_lower_case": False, "tokenizer_class": class_name}
    _, arguments = read_folder(folder("bert_uncased", config=config))
    assert arguments["lowercase"] is lowercase
    assert arguments["strip_accents"] is None


def test_roberta_may_put_a_space_first(folder):
    for stated, expected in ((True, True), (None, False), (False, False)):
        config = {"add_prefix_space": stated, "tokenizer_class": "RobertaTokenizer"}
        assert read_folder(folder("roberta", config=config))[1]["add_prefix_space"] is expected


def test_patterns_are_known_by_name_or_kept(folder):
    assert read_folder(folder("gpt2"))[1]["pattern"] == "gpt2"
    assert read_folder(folder("qwen2"))[1]["pattern"] == "qwen2"
    assert read_folder(folder("llama3"))[1]["pattern"] == "llama3"
    content = library_file("llama3")
    split = content["pre_tokenizer"]["pretokenizers"][0]
    split["behavior"], split["invert"] = "Removed", True
    assert read_folder(folder("llama3", tokenizer=content))[1]["pattern"] == "llama3"
    split.update(pattern={"Regex": r"\p{Lu}|."}, behavior="Isolated", invert=False)
    assert read_folder(folder("llama3", tokenizer=content))[1]["pattern"] == r"\p{Lu}|."


def test_a_byte_level_may_leave_the_text_whole(folder):
    content = library_file("gpt2")
    content["pre_tokenizer"]["use_regex"] = False
    tokenizer = Tokenizer.from_pretrained(folder("gpt2", tokenizer=content))
    assert set(tokenizer.model.encode(" the\n  dog 1").words) == {0}


def test_post_processors_become_templates(folder):
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    bert = {"type": "BertProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0]}
    roberta = {**bert, "type": "RobertaProcessing", "trim_offsets": False}
    around = Template.around("<s>", "</s>")
    types = Template(("<s>", "$A", "</s>"), ("<s>", "$A", "</s>", "</s>", "$B", "</s>"))
    nested = {"type": "Sequence", "processors": [{"type": "Sequence", "processors": [byte_level]}]}
    both = {"type": "Sequence", "processors": [byte_level, roberta]}
    cases = [
        (both, types, True),
        (None, Template.plain(), False),
        (byte_level, Template.plain(), True),
        ({**byte_level, "trim_offsets": False}, Template.plain(), False),
        (bert, around, False),
        (roberta, types, False),
        (nested, Template.plain(), True),
        ({"type": "Sequence", "processors": [bert, byte_level]}, around, True),
    ]  # fmt: skip
    for processor, template, trim in cases:
        content = {**library_file("roberta"), "post_processor": processor}
        _, arguments = read_folder(folder("roberta", tokenizer=content))
        assert (arguments["template"], arguments["trim_offsets"]) == (template, trim)


def test_one_name_in_a_template_may_be_several_tokens(folder):
    content = library_file("roberta")
    text = {"Sequence": {"id": "A", "type_id": 0}}
    second = {"Sequence": {"id": "B", "type_id": 2}}
    content["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "start", "type_id": 1}}, text],
        "pair": [text, second],
        "special_tokens": {"start": {"id": "start", "ids": [0, 2], "tokens": ["<s>", "</s>"]}},
    }
    _, arguments = read_folder(folder("roberta", tokenizer=content))
    assert arguments["template"] == Template(("<s>:1", "</s>:1", "$A"), ("$A", "$B:2"))


@pytest.mark.parametrize(
    "written, length",
    [(10**30, None), (1e30, None), (None, None), (512, 512), (10**20, None)],
)
def test_a_huge_length_is_none(written, length, folder):
    _, arguments = read_folder(folder("gpt2", config={"model_max_length": written}))
    assert arguments["model_max_length"] == length


def test_roles_may_be_named_with_flags_or_be_nobodys(folder):
    config = {
        "tokenizer_class": "GPT2Tokenizer",
        "bos_token": None,
        "pad_token": {"__type": "AddedToken", "content": "[pad]", "rstrip": True},
        "additional_special_tokens": ["[one]", {"content": "[two]"}],
        "extra_special_tokens": {"image_token": "[one]"},
    }
    content = library_file("gpt2")
    content["added_tokens"][0]["special"] = False
    _, arguments = read_folder(folder("gpt2", config=config, tokenizer=content))
    end = "<|endoftext|>"
    assert arguments["special_tokens"] == {"unk_token": end, "eos_token": end, "pad_token": "[pad]"}
    assert arguments["added_tokens"] == [
        AddedToken(end, 0),
        AddedToken("[pad]", 341, rstrip=True),
        AddedToken("[one]", 342),
        AddedToken("[two]", 343),
    ]


def test_where_nothing_is_said_the_usual_tokens_have_roles(folder):
    for name in ("gpt2", "roberta", "bert_uncased", "characters"):
        tokenizer = Tokenizer.from_pretrained(folder(name, config=None))
        found = {role: getattr(tokenizer, role) for role in FOLDERS[name]["roles"]}
        assert found == FOLDERS[name]["roles"], name


def test_the_class_may_be_that_of_the_model(folder):
    cases = [
        ({"model_type": "distilbert"}, ("input_ids", "attention_mask")),
        ({"model_type": "vit"}, ("input_ids", "token_type_ids", "attention_mask")),
        ({"tokenizer_class": "DistilBertTokenizerFast"}, ("input_ids", "attention_mask")),
    ]
    for config, names in cases:
        place = put(folder("bert_uncased", config={}), {"config.json": config})
        assert read_folder(place)[1]["model_input_names"] == names


def test_a_characters_unknown_token_is_the_models(folder):
    config = {"tokenizer_class": "PreTrainedTokenizerFast"}
    _, arguments = read_folder(folder("characters", config=config))
    assert arguments["special_tokens"] == {"unk_token": "[UNK]"}
    content = library_file("characters")
    content["model"]["unk_token"] = "<unk>"
    _, arguments = read_folder(folder("characters", config=config, tokenizer=content))
    assert arguments["special_tokens"] == {}


def test_marks_before_json_are_left_out(folder):
    place = folder("gpt2")
    text = (place / "tokenizer.json").read_bytes()
    (place / "tokenizer.json").write_bytes(b"\xef\xbb\xbf" + text)
    assert read_folder(place)[0] == "bpe"


def test_every_argument_of_wordpiece_survives(tmp_path):
    vocab = {token: id for id, token in enumerate([*BERT, "a"])}
    rules = {
        "lowercase": False,
        "strip_accents": True,
        "tokenize_chinese_chars": False,
        "max_chars": 3,
    }
    save_folder(WordPieceTokenizer(vocab, template=Template.plain(), **rules), tmp_path)
    _, arguments = read_folder(tmp_path)
    assert {name: arguments[name] for name in rules} == rules
    assert arguments["template"] == Template.plain()


def test_every_argument_of_bpe_survives(tmp_path):
    tokenizer = ByteBPETokenizer(
        {**PIECES, "[s]": 258},
        MERGES,
        pattern=LLAMA3,
        normalization="NFC",
        ignore_merges=True,
        trim_offsets=True,
        added_tokens=[AddedToken("[w]", 259, False, True, True, True, True)],
        template=Template(("[s]:3", "$A:1"), ("$B", "[s]:2", "$A:1", "[s]")),
        special_tokens={"sep_token": "[s]"},
        model_max_length=7,
        padding_side="left",
        truncation_side="left",
        model_input_names=("input_ids",),
    )
    save_folder(tokenizer, tmp_path)
    kind, arguments = read_folder(str(tmp_path))
    assert kind == "bpe"
    assert ByteBPETokenizer(**arguments).merges == MERGES
    assert arguments["pattern"] == "llama3"
    for name, value in arguments.items():
        if name != "vocab":
            assert value == getattr(tokenizer, name), name
    assert arguments["vocab"] == {**PIECES, "[s]": 258}
    assert arguments["added_tokens"][1] == AddedToken("[w]", 259, False, True, True, True, True)

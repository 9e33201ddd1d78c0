"""Published folders damaged at random: they are read or refused in one line, never half read."""

import copy
import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_llm.tokenizers import AddedToken
from tinygrad_llm.tokenizers.base import KINDS
from tinygrad_llm.tokenizers.published import read_folder

FIGURES = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "tokenizer_files.json").read_text(encoding="utf8")
)
FOLDERS = {
    name: FIGURES["folders"][name]["files"]["tokenizer.json"]
    for name in ("bert_uncased", "characters")
}


def small_files() -> list[dict]:
    """tokenizer.json of WordPiece and of characters with few tokens, to be damaged."""
    files = []
    for name in FOLDERS:
        content = json.loads(FOLDERS[name])
        kept = {token.get("content") for token in content["added_tokens"]} | {"a", "b"}
        vocab = content["model"]["vocab"]
        order = sorted(kept & set(vocab), key=vocab.get)
        content["model"]["vocab"] = {token: id for id, token in enumerate(order)}
        content["truncation"] = content["padding"] = None
        files.append(content)
    return files


def places(value: object, trail: tuple = ()) -> list[tuple]:
    """The keys that lead to each value inside."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, child in inside:
        found.append((*trail, key))
        if isinstance(child, (dict, list)):
            found += places(child, (*trail, key))
    return found


DAMAGE = [(file, place) for file in small_files() for place in places(file)]
values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.floats() | st.sampled_from(["", "a", "A"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@settings(max_examples=150)
@given(st.sampled_from(DAMAGE), values, st.booleans())
def test_damaged_files_are_read_or_refused(tmp_path_factory, damage, value, delete):
    file, place = damage
    content = copy.deepcopy(file)
    inside = content
    for key in place[:-1]:
        inside = inside[key]
    if delete:
        del inside[place[-1]]
    else:
        inside[place[-1]] = value
    folder = tmp_path_factory.getbasetemp() / "damaged"
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf8")
    try:
        kind, arguments = read_folder(folder)
    except ValueError as error:
        assert str(folder) in str(error) and "\n" not in str(error)
    else:
        assert KINDS[kind](**arguments).kind == kind
        assert all(isinstance(token, AddedToken) for token in arguments["added_tokens"])

"""A configuration in a folder, without the weights beside it: what is written, read and refused."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from tests.models.common import bert
from tinygrad_llm import models
from tinygrad_llm.models import folders


def test_a_configuration_is_saved_and_read_without_weights(tmp_path):
    made = bert("BertForSequenceClassification", num_labels=3, id2label=dict(enumerate("abc")))
    made.save_config(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    for cls in (type(made), models.BertModel, folders.PretrainedModel):
        assert cls.config_of(tmp_path) == made.config
    assert made.config.id2label == {0: "a", 1: "b", 2: "c"}
    made.save_pretrained(tmp_path / "whole")
    both = [path / "config.json" for path in (tmp_path, tmp_path / "whole")]
    assert both[0].read_bytes() == both[1].read_bytes()


def test_a_configuration_of_any_size_takes_no_memory(tmp_path):
    bert("BertModel").save_config(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "num_hidden_layers": 10**9}))
    tracemalloc.start()
    assert models.BertModel.config_of(tmp_path).num_hidden_layers == 10**9
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ("{", ValueError, "is broken"),
        ({"num_labels": "3"}, ValueError, "num_labels must be an integer"),
        ({"strange": 3}, ValueError, "BertConfig has no field 'strange'; remove it"),
        ({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"}, ValueError, "GPT2LMHeadMo"),
        ({"architectures": None}, ValueError, "architectures is None"),
    ],
    ids=["json", "kind", "field", "family", "class"],
)
def test_what_is_wrong_with_a_configuration_is_one_line(change, kind, message, tmp_path):
    bert("BertModel").save_config(tmp_path)
    path = tmp_path / "config.json"
    whole = {} if isinstance(change, str) else {**json.loads(path.read_text()), **change}
    path.write_text(json.dumps(whole) if whole else change)
    with pytest.raises(kind) as caught:
        models.BertForSequenceClassification.config_of(tmp_path)
    said = str(caught.value)
    assert message in said and str(path) in said and "\n" not in said


def test_a_configuration_needs_its_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        models.BertModel.config_of(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"config\.json is missing"):
        models.BertModel.config_of(tmp_path)
    with pytest.raises(FileNotFoundError):
        bert("BertModel").save_config(tmp_path / "none")

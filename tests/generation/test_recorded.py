"""Texts and scores of Hugging Face, case for case: greedy and beams, with and without a cache."""

import numpy as np
import pytest

from tests.fixtures.make_generation import cut
from tests.generation.tables import FIGURES, recorded
from tinygrad_llm.generation import generate

CASES = FIGURES["cases"]


@pytest.mark.parametrize("cached", [False, True], ids=["full", "cached"])
@pytest.mark.parametrize("number", range(len(CASES)))
def test_texts_and_scores_are_those_of_hugging_face(number, cached):
    case = CASES[number]
    options = case["options"]
    model = recorded(case["model"], options, cached)
    ids = np.array(case["ids"])
    found = generate(
        model, ids, attention_mask=np.array(case["mask"]), return_scores=True, **options
    )
    begin = 1 if "decoder_start_token_id" in options else ids.shape[1]
    new = [cut(row, options.get("eos_token_id")) for row in found.sequences[:, begin:].tolist()]
    assert new == case["new"]
    assert found.scores == pytest.approx(case["scores"], rel=1e-6, abs=1e-5)

"""Generation on a GPU, through the strict stand-in for CuPy: it takes no host array."""

from __future__ import annotations

import numpy as np
import pytest

from tests.generation.test_transformers import START, WAYS, gpt2, padded, run, transformer
from tinygrad_llm.testing import strict_cupy


@pytest.fixture(autouse=True)
def cuda():
    with strict_cupy.installed():
        yield


@pytest.mark.parametrize("way", WAYS, ids=["greedy", "beams", "sampling"])
@pytest.mark.parametrize("make", [gpt2, transformer])
def test_a_model_on_the_gpu_writes_what_it_writes_on_the_cpu(make, way):
    options = padded("left" if make is gpt2 else "right")
    if make is transformer:
        options["decoder_start_token_id"] = START
    cpu, gpu = (run(make().to(device), way, **options) for device in ("cpu", "cuda"))
    assert type(gpu.sequences) is type(gpu.scores) is np.ndarray
    np.testing.assert_array_equal(cpu.sequences, gpu.sequences)
    np.testing.assert_allclose(cpu.scores, gpu.scores, rtol=1e-9)

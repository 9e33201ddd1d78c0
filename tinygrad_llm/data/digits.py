"""The 8×8 handwritten digits that come with the package."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import numpy as np

from tinygrad_llm.files import load_safetensors

FILE = Path(__file__).with_name("digits.safetensors")
"""Under "images" (1797, 64) whole numbers from 0 to 16, under "labels" (1797,), both uint8."""

_SHA256 = "53825d271021fe29b391c5e24f232276ea0a0597f592350270138afe0b9cd3bd"


def load_digits() -> tuple[np.ndarray, np.ndarray]:
    """Images (1797, 64) float32 in 0 to 1 and labels (1797,) int64; new arrays at each call.

    An image is 8 rows of 8 pixels, one row after the other, 0 for paper and 1 for ink. Images
    by one writer lie close together: shuffle before you split.
    Raises FileNotFoundError or ValueError where the package's file is missing or damaged.
    Source: E. Alpaydin and C. Kaynak 1998, CC BY 4.0, https://doi.org/10.24432/C50P49.
    """
    if not FILE.is_file():
        raise FileNotFoundError(f"{FILE} is missing; install tinygrad_llm again")
    if sha256(FILE.read_bytes()).hexdigest() != _SHA256:
        raise ValueError(f"{FILE} is damaged: its SHA-256 differs; install tinygrad_llm again")
    arrays, _ = load_safetensors(FILE)
    return arrays["images"].astype(np.float32) / 16, arrays["labels"].astype(np.int64)

"""Tasks that raw text sets by itself: masked words, next sentences, and blocks to continue.

Each label is a part of the text; nobody has written one (self-supervised learning).
"""

from tinygrad_llm.data.pretraining.masking import MaskedBatch, MaskedLanguageCollator, word_ids
from tinygrad_llm.data.pretraining.packing import PackedBlocks
from tinygrad_llm.data.pretraining.pairs import NextSentencePairs

__all__ = [
    "MaskedBatch",
    "MaskedLanguageCollator",
    "NextSentencePairs",
    "PackedBlocks",
    "word_ids",
]

"""Classical work on words, before there were learnt tokens: stop words, stems, and a
dictionary for Chinese."""

from tinygrad_llm.tokenizers.words.segmentation import (
    Segmenter,
    SpanScores,
    learn_counts,
    span_scores,
    spans,
)
from tinygrad_llm.tokenizers.words.stemming import stem
from tinygrad_llm.tokenizers.words.stopwords import STOP_WORDS, remove_stop_words

__all__ = [
    "STOP_WORDS",
    "Segmenter",
    "SpanScores",
    "learn_counts",
    "remove_stop_words",
    "span_scores",
    "spans",
    "stem",
]

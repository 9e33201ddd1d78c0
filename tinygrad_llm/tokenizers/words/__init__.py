"""Classical work on words, before there were learnt tokens: stop words, stems, and a
dictionary for Chinese."""

from tinygrad_llm.tokenizers.words.segmentation import (
    SpanScores,
    backward_segment,
    forward_segment,
    learn_counts,
    segment,
    span_scores,
    spans,
)
from tinygrad_llm.tokenizers.words.stemming import stem
from tinygrad_llm.tokenizers.words.stopwords import STOP_WORDS, remove_stop_words

__all__ = [
    "STOP_WORDS",
    "SpanScores",
    "backward_segment",
    "forward_segment",
    "learn_counts",
    "remove_stop_words",
    "segment",
    "span_scores",
    "spans",
    "stem",
]

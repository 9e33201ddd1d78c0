"""Corpora that need no network: Chinese texts written for this project and a dictionary of their
words, English texts from the standard library, and numbers and dates to translate."""

from tinygrad_llm.data.corpora import english, numerals
from tinygrad_llm.data.corpora.chinese import (
    names,
    paragraphs,
    questions,
    reviews,
    sentences,
    split,
    topics,
    words,
)
from tinygrad_llm.data.corpora.description import describe

__all__ = [
    "describe",
    "english",
    "names",
    "numerals",
    "paragraphs",
    "questions",
    "reviews",
    "sentences",
    "split",
    "topics",
    "words",
]

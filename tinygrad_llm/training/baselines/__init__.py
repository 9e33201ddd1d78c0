"""What a trained model has to beat: counts of words, learnt in seconds from the same text."""

from tinygrad_llm.training.baselines.bags import BagOfWords, BagOfWordsRegression, majority
from tinygrad_llm.training.baselines.neighbours import LeftNeighbour
from tinygrad_llm.training.baselines.ngrams import WittenBell
from tinygrad_llm.training.baselines.overlap import WordOverlap

__all__ = [
    "BagOfWords",
    "BagOfWordsRegression",
    "LeftNeighbour",
    "WittenBell",
    "WordOverlap",
    "majority",
]

"""What a pretrained model has to beat: counts of words, learnt in seconds from the same text."""

from tinygrad_llm.training.baselines.neighbours import LeftNeighbour
from tinygrad_llm.training.baselines.ngrams import WittenBell
from tinygrad_llm.training.baselines.overlap import WordOverlap

__all__ = ["LeftNeighbour", "WittenBell", "WordOverlap"]

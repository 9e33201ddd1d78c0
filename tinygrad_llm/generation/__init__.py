"""Floor 8: generation: a model continues texts by greedy choice, sampling or beam search."""

from tinygrad_llm.generation import processors
from tinygrad_llm.generation.configuration import GenerationConfig
from tinygrad_llm.generation.generate import Generation, generate
from tinygrad_llm.generation.rows import Cache

__all__ = ["Cache", "Generation", "GenerationConfig", "generate", "processors"]

"""Floor 9: pretraining from raw text to a model folder: GPT that continues, BERT that fills in."""

from tinygrad_llm.pretrain.causal import CausalTask
from tinygrad_llm.pretrain.masked import MaskedTask
from tinygrad_llm.pretrain.options import PretrainOptions
from tinygrad_llm.pretrain.run import Pretrained, pretrain
from tinygrad_llm.pretrain.texts import Document, read_documents, sentences, split_documents

__all__ = [
    "CausalTask",
    "Document",
    "MaskedTask",
    "PretrainOptions",
    "Pretrained",
    "pretrain",
    "read_documents",
    "sentences",
    "split_documents",
]

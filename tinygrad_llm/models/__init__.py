"""Floor 7: whole models."""

from tinygrad_llm.models.bert import BertConfig, BertModel
from tinygrad_llm.models.bert_heads import (
    BertForMaskedLM,
    BertForNextSentencePrediction,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)
from tinygrad_llm.models.folders import PretrainedModel, from_pretrained
from tinygrad_llm.models.gpt2 import GPT2Config, GPT2LMHeadModel
from tinygrad_llm.models.mlp import MLP
from tinygrad_llm.models.outputs import (
    ClassifierOutput,
    EncoderOutput,
    LanguageModelOutput,
    PretrainingOutput,
    QuestionAnsweringOutput,
)
from tinygrad_llm.models.transformer import Transformer, TransformerConfig

__all__ = [
    "MLP",
    "BertConfig",
    "BertForMaskedLM",
    "BertForNextSentencePrediction",
    "BertForPreTraining",
    "BertForQuestionAnswering",
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "BertModel",
    "ClassifierOutput",
    "EncoderOutput",
    "GPT2Config",
    "GPT2LMHeadModel",
    "LanguageModelOutput",
    "PretrainedModel",
    "PretrainingOutput",
    "QuestionAnsweringOutput",
    "Transformer",
    "TransformerConfig",
    "from_pretrained",
]

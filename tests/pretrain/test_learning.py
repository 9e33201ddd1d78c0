"""A small BERT learns more from English than counting pairs of tokens tells."""

from __future__ import annotations

import pytest

from tinygrad_llm import manual_seed
from tinygrad_llm.metrics import wilson_interval
from tinygrad_llm.pretrain import MaskedTask, read_documents, split_documents
from tinygrad_llm.tokenizers import WordPieceTokenizer
from tinygrad_llm.training import Trainer, TrainingArguments


@pytest.mark.slow
def test_a_bert_beats_the_table_of_left_neighbours():
    """After 4,000 steps its interval is above what the table has."""
    train, valid = split_documents(read_documents("english"))
    tokenizer = WordPieceTokenizer.train([d.text for d in train], 4000)
    task = MaskedTask(train, valid, tokenizer, max_length=64, next_sentence=False)
    plan = TrainingArguments(
        max_steps=4000, per_device_train_batch_size=16, per_device_eval_batch_size=64,
        learning_rate=1e-3, weight_decay=0.01, lr_scheduler_type="cosine", warmup_ratio=0.1,
        eval_strategy="no", quiet=True,
    )  # fmt: skip
    manual_seed(0)
    sizes = {"num_hidden_layers": 3, "intermediate_size": 256, "initializer_range": 0.05}
    sizes |= {"num_attention_heads": 4}
    still = dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), 0.0)
    model = task.new_model("tiny", **sizes, **still)
    trainer = Trainer(model, plan, **task.trainer_arguments())
    trainer.train()
    found, count = trainer.evaluate(), task.targets["mlm"]
    low, _ = wilson_interval(round(found["eval_mlm_accuracy"] * count), count)
    assert low > found["eval_left_neighbour_accuracy"] > 2 * found["eval_unigram_accuracy"]
    assert found["eval_mlm_loss"] < found["eval_unigram_loss"] - 1.0

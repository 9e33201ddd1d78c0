"""Tests of what a run refuses, before its first step or in the middle of it, by name."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.common import blobs, dataset, network, same, trainer, weights
from tinygrad_llm import data, nn, optim
from tinygrad_llm import functional as F
from tinygrad_llm.training import Callback, Trainer, TrainingArguments
from tinygrad_llm.training.checkpoints import checkpoints


class Named(nn.Module):
    def __init__(self):
        self.body = nn.Linear(4, 3)

    def forward(self, x):
        return self.body(x)


def test_columns_that_the_model_does_not_take():
    x, labels = blobs()
    rows = data.ArrayDataset(x=x, colour=labels, labels=labels)
    run = Trainer(Named(), TrainingArguments(quiet=True), rows)
    with pytest.raises(ValueError, match=r"columns colour, which Named\.forward\(x\) does"):
        run.train()


def test_no_data_and_empty_data():
    with pytest.raises(ValueError, match="no train_dataset"):
        Trainer(Named(), TrainingArguments(quiet=True)).train()
    x, labels = blobs()
    with pytest.raises(ValueError, match=r"empty|no rows"):
        trainer(train=(x[:0], labels[:0])).train()
    with pytest.raises(ValueError, match="no dataset to evaluate on"):
        Trainer(Named(), TrainingArguments(quiet=True)).evaluate()
    with pytest.raises(ValueError, match="no test_dataset"):
        trainer().test()


def test_rows_that_make_no_batch():
    run = trainer(per_device_train_batch_size=100, dataloader_drop_last=True)
    with pytest.raises(ValueError, match="batch"):
        run.train()


def test_best_weights_without_a_way_to_judge():
    with pytest.raises(ValueError, match="no eval_dataset"):
        trainer(held=False, load_best_model_at_end=True)
    best = {"load_best_model_at_end": True, "metric_for_best_model": "f1"}
    with pytest.raises(ValueError, match="eval_f1 needs compute_metrics or batch_metrics that"):
        trainer(**best)
    run = trainer(**best, compute_metrics=lambda said, true: {"f2": 0.5})
    with pytest.raises(
        ValueError, match=r"eval_f1 is not one of eval_loss, eval_accuracy, eval_f2"
    ):
        run.train()


def test_texts_that_were_not_turned_into_numbers():
    x, labels = blobs()
    with pytest.raises(TypeError, match="texts into numbers"):
        trainer(train=(x, labels.astype(str))).train()


def test_a_label_that_is_no_class_is_named():
    x, labels = blobs()
    labels[50] = 7
    with pytest.raises((ValueError, IndexError), match="7"):
        trainer(train=(x, labels)).train()


@pytest.mark.parametrize(
    ("compute_loss", "message"),
    [
        (lambda model, batch: 0.5, "not float"),
        (lambda model, batch: model(batch[0]), r"not a Tensor \(60, 3\)"),
        (lambda model, batch: (None, None), "not NoneType"),
    ],
)
def test_a_loss_that_is_none(compute_loss, message):
    with pytest.raises(TypeError, match=f"compute_loss: the loss is one number.*{message}"):
        trainer(compute_loss=compute_loss).train()


def test_a_loss_without_a_tape():
    def loss(model, batch):
        return F.cross_entropy(model(batch[0]), batch[1]).detach()

    with pytest.raises(RuntimeError, match="compute_loss: no gradient can come back from the loss"):
        trainer(compute_loss=loss, max_steps=2).train()


def test_a_model_of_which_nothing_learns():
    model = network()
    model.requires_grad_(False)
    with pytest.raises(ValueError, match=r"learn|frozen|no parameters"):
        trainer(model).train()


def poisoned(at, what):
    """A loss that plants something not finite in the step `at`."""
    calls = [0]

    def loss(model, batch):
        calls[0] += model.training
        x, labels = batch
        if calls[0] == at + 1:  # one batch was run to see that it can be
            if what == "weight":
                model.layers[2].weight.data[1, 2] = np.nan
            elif what == "slope":  # √0: a finite loss of infinite slope
                w = model.layers[0].weight
                return F.cross_entropy(model(x), labels) + F.sqrt(w - w.detach()).sum()
            else:
                return F.cross_entropy(model(x), labels) * what
        return F.cross_entropy(model(x), labels)

    return loss


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
@pytest.mark.parametrize(
    ("what", "message"),
    [
        (
            "weight",
            r"step 7: the loss is nan; the first bad one is the weight layers\.2\.weight: 1",
        ),
        (float("inf"), "step 7: the loss is inf; weights, gradients and inputs are finite"),
        (
            "slope",
            r"step 7: the norm of the gradient is inf; the first bad one is the gradient of",
        ),
    ],
    ids=["weight", "loss", "gradient"],
)
def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_first_bad(what, message):
    run = trainer(compute_loss=poisoned(7, what), eval_strategy="no", max_grad_norm=None)
    with pytest.raises(FloatingPointError, match=message):
        run.train()
    assert run.state.step == 6


def test_an_input_that_is_not_finite_is_named():
    x, labels = blobs()
    x[11, 2] = np.nan
    run = trainer(train=(x, labels), num_train_epochs=1)
    with pytest.raises(
        FloatingPointError, match=r"step \d: the loss is nan; the first bad one is the"
    ):
        run.train()
    assert all(np.isfinite(value).all() for value in weights(run.model).values())


def test_a_run_that_diverges_stops_and_its_checkpoint_is_good(tmp_path):
    run = trainer(
        output_dir=str(tmp_path),
        compute_loss=poisoned(9, "weight"),
        save_steps=4,
        eval_strategy="no",
    )
    with pytest.raises(FloatingPointError, match="step 9"):
        run.train()
    assert list(checkpoints(tmp_path)) == [4, 8]
    model = network(seed=5)
    again = trainer(model, output_dir=str(tmp_path), save_steps=4, eval_strategy="no")
    again.train(resume_from_checkpoint=True)
    assert again.state.step == 27


def test_a_warm_up_that_outlasts_the_run_is_told():
    with pytest.warns(UserWarning, match=r"warm"):
        trainer(max_steps=20, warmup_steps=500).train()


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "out").write_text("no folder")
    before = network()
    run = trainer(network(), output_dir=str(tmp_path / "out"), max_steps=2)
    with pytest.raises(OSError, match="out"):
        run.train()
    assert same(run.model, before)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train": blobs()[::-1]}, "linear"),
        ({"held": (blobs()[0], blobs()[1].astype(str))}, "texts into numbers"),
        ({"held": (blobs()[0][:, :2], blobs()[1])}, "matmul|linear|shape|inner"),
        ({"compute_metrics": lambda said, true: [1.0], "num_train_epochs": 1}, "dict of numbers"),
    ],
    ids=["exchanged", "texts", "widths", "metrics"],
)
def test_an_evaluation_that_cannot_work_is_known_before_the_first_step(settings, message):
    run = trainer(**settings)
    with pytest.raises((TypeError, ValueError), match=message):
        run.train()
    assert run.state.step == (9 if "compute_metrics" in settings else 0)


def test_callbacks_that_are_classes():
    with pytest.raises(TypeError, match=r"write MyCallback\(\), not MyCallback"):
        trainer(callbacks=[Callback])


def test_an_optimizer_of_another_model():
    run = trainer(network(), optimizer=optim.SGD(network(1).parameters()))
    with pytest.raises(ValueError, match="4 of the optimizer's 4 parameters are not of this model"):
        run.train()


def test_what_a_checkpoint_could_not_hold_is_known_before_the_first_step(tmp_path):
    model = network()
    own = optim.SGD(model.parameters(), lr=np.float32(0.1))
    run = trainer(model, optimizer=own, output_dir=tmp_path, lr_scheduler_type="constant")
    with pytest.raises(TypeError, match="a checkpoint cannot hold this"):
        run.train()
    assert not list(tmp_path.iterdir())


def test_a_batch_that_is_a_list():
    run = trainer(train=data.ListDataset([[1.0], [2.0]]), data_collator=list)
    with pytest.raises(TypeError, match="a batch is a tuple or a dict of arrays, not a list"):
        run.train()


def test_a_dict_without_labels_for_a_model_without_loss():
    rows = dataset()
    rows = data.ListDataset([{"x": rows[i]["x"]} for i in range(20)])
    with pytest.raises((TypeError, ValueError), match=r"labels|loss"):
        Trainer(Named(), TrainingArguments(quiet=True), rows).train()


@pytest.mark.parametrize("steps", [1, 2])
def test_weights_that_are_not_finite_are_not_saved(tmp_path, steps):
    """The update of the last step, or of one before a checkpoint, is seen by no other step."""
    run = trainer(
        learning_rate=1e39, max_steps=steps, save_steps=1, eval_strategy="no", output_dir=tmp_path
    )
    with pytest.raises(FloatingPointError, match=r"step 1: .*the weight .* begin again with a sma"):
        run.train()
    assert not list(tmp_path.glob("*.safetensors"))


def test_an_evaluation_that_overflows_ends_the_run(tmp_path):
    run = trainer(learning_rate=1e30, max_steps=1, output_dir=tmp_path)
    with pytest.raises(FloatingPointError, match=r"1: the loss of the evaluation is (nan|inf), "):
        run.train()
    assert not list(tmp_path.glob("*.safetensors"))

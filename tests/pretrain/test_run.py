"""pretrain: what is in the folder at the end, going on after a stop, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import signal

import numpy as np
import pytest

from tests.pretrain.common import digest, options, run, write_data
from tinygrad_llm import models, pretrain
from tinygrad_llm.pretrain import run as running
from tinygrad_llm.tokenizers import Tokenizer
from tinygrad_llm.training import Trainer
from tinygrad_llm.training.steps import Stepper


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with text and two whole runs."""
    folder = tmp_path_factory.mktemp("runs")
    write_data(folder)
    run(folder, "gpt")
    run(folder, "bert", model="bert")
    return folder


def here(home, tmp_path):
    """The same text at another place."""
    return shutil.copy(home / "data.txt", tmp_path / "data.txt")


def stop_at(monkeypatch, step, by):
    """Plant what happens before a step."""
    real = Stepper.step

    def planted(self, batches, number):
        if number == step:
            by()
        return real(self, batches, number)

    monkeypatch.setattr(Stepper, "step", planted)


class Die(Exception):
    """Stands for a kill, within one process."""


def die():
    raise Die


@pytest.mark.parametrize("kind", ["gpt", "bert"])
def test_the_folder_is_that_of_a_model_and_a_tokenizer(kind, home):
    folder = home / kind
    model, tokenizer = models.from_pretrained(folder), Tokenizer.from_pretrained(folder)
    ids = np.array([tokenizer.encode("今天天气很好。")])
    assert model(ids).logits.shape == (*ids.shape, len(tokenizer))
    saved = json.loads((folder / "options.json").read_text())["options"]
    assert saved["steps"] == 8 and saved["model"] == kind
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if row["kind"] == "eval"] == [4, 8]
    assert len([row for row in rows if row["kind"] == "train"]) == 8
    assert (folder / "curves.png").read_bytes()[:4] == b"\x89PNG"
    assert not list(folder.glob(".*"))


def test_the_result_says_what_the_model_in_the_folder_does(home, tmp_path):
    here(home, tmp_path)
    found = run(tmp_path)
    assert digest(found.folder) == digest(home / "gpt")  # the same twice
    tokenizer = Tokenizer.from_pretrained(found.folder)
    documents = pretrain.read_documents(tmp_path / "data.txt")
    task = pretrain.CausalTask(*pretrain.split_documents(documents, 0.2), tokenizer, 16)
    model = models.from_pretrained(found.folder)
    rows = task.eval_dataset.take(np.arange(len(task.eval_dataset)))
    assert found.metrics["eval_loss"] == pytest.approx(model(**rows).loss.item(), rel=1e-5)
    assert found.metrics["eval_perplexity"] == pytest.approx(np.exp(found.metrics["eval_loss"]))
    assert found.baselines == task.baselines
    assert found.seconds > 0


@pytest.mark.parametrize("kind", ["gpt", "bert"])
@pytest.mark.parametrize("step", [1, 5])
def test_a_run_that_dies_goes_on_to_the_same_bits(kind, step, home, tmp_path, monkeypatch):
    here(home, tmp_path)
    with monkeypatch.context() as patch:
        stop_at(patch, step, die)
        with pytest.raises(Die):
            run(tmp_path, model=kind)
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors is missing|config"):
        models.from_pretrained(tmp_path / "out")
    run(tmp_path, model=kind, resume=True)
    assert digest(tmp_path / "out") == digest(home / kind)


def test_what_a_kill_left_half_written_before_the_training_goes(home, tmp_path, monkeypatch):
    here(home, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train", lambda *_, **__: die())
        with pytest.raises(Die):
            run(tmp_path)
    half = tmp_path / "out" / f".{'0' * 32}.tmp"
    half.write_bytes(b"half of a file")
    run(tmp_path, resume=True)
    assert digest(tmp_path / "out") == digest(home / "gpt") and not half.exists()


def test_ctrl_c_saves_and_says_how_to_go_on(home, tmp_path, monkeypatch, capsys):
    here(home, tmp_path)
    with monkeypatch.context() as patch:
        stop_at(patch, 5, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            pretrain.pretrain(options(tmp_path))
    assert (tmp_path / "out" / "checkpoint-5.safetensors").exists()
    said = capsys.readouterr().out
    assert said.endswith("go on with\n  the same options and resume=True\n")
    assert "saved after step 5 of" in said and "train(resume" not in said
    run(tmp_path, resume=True)
    assert digest(tmp_path / "out") == digest(home / "gpt")


def stop_writing_at(monkeypatch, step, error):
    """Plant a full disk, or the like."""

    def fail():
        raise error

    stop_at(monkeypatch, step, fail)


@pytest.mark.parametrize("step", [2, 5])
def test_after_a_full_disk_it_is_said_how_to_go_on(step, home, tmp_path, monkeypatch, capsys):
    here(home, tmp_path)
    with monkeypatch.context() as patch:
        stop_writing_at(patch, step, OSError(28, "No space left on device"))
        with pytest.raises(OSError, match="No space"):
            pretrain.pretrain(options(tmp_path), resumed_by="these words")
    said = capsys.readouterr().out.endswith("go on with\n  these words\n")
    assert said == (step > 3)  # the first checkpoint is that of step 3
    run(tmp_path, resume=True)
    assert digest(tmp_path / "out") == digest(home / "gpt")


def test_what_goes_wrong_by_itself_would_go_wrong_again(home, tmp_path, monkeypatch, capsys):
    here(home, tmp_path)
    stop_writing_at(monkeypatch, 5, FloatingPointError("the loss is nan"))
    with pytest.raises(FloatingPointError):
        pretrain.pretrain(options(tmp_path))
    assert "go on" not in capsys.readouterr().out


def test_two_processes_do_not_train_in_one_folder(home, tmp_path, monkeypatch):
    here(home, tmp_path)
    said = []

    def second():
        said.append(refused(BlockingIOError, tmp_path, resume=True))

    with monkeypatch.context() as patch:
        stop_at(patch, 5, second)
        run(tmp_path)
    assert said == [f"a process is training in {tmp_path / 'out'}: wait for it, or end it"]
    assert not list((tmp_path / "out").glob(".*"))


def test_a_run_that_began_meanwhile_is_not_overwritten(home, tmp_path, monkeypatch):
    here(home, tmp_path)
    real = running.make_model

    def make_model(*given):
        shutil.copytree(home / "bert", tmp_path / "out")
        return real(*given)

    monkeypatch.setattr(running, "make_model", make_model)
    assert "has a run" in refused(FileExistsError, tmp_path)
    assert digest(tmp_path / "out") == digest(home / "bert")


@pytest.mark.parametrize("rows", [0, 3])
def test_a_run_whose_log_is_lost_ends_with_the_same_numbers(rows, home, tmp_path):
    here(home, tmp_path)
    whole = run(tmp_path)
    log = tmp_path / "out" / "log.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:rows]))
    with pytest.warns(UserWarning, match="rows of it are lost"):
        again = run(tmp_path, resume=True)
    assert again.metrics == pytest.approx(whole.metrics, rel=1e-6)


def test_a_damaged_checkpoint_can_be_gone_on_without(home, tmp_path):
    shutil.copytree(home / "gpt", tmp_path / "out")
    here(home, tmp_path)
    newest = tmp_path / "out" / "checkpoint-8.safetensors"
    newest.write_bytes(newest.read_bytes()[:-9])
    said = refused(ValueError, tmp_path, resume=True)
    mend = (
        "checkpoint-6.safetensors is whole: delete checkpoint-8.safetensors, and go on with resume"
    )
    assert said.endswith(mend)
    newest.unlink()
    run(tmp_path, resume=True)
    assert digest(tmp_path / "out") == digest(home / "gpt")


def test_a_whole_run_goes_on_to_itself(home, tmp_path):
    shutil.copytree(home / "gpt", tmp_path / "out")
    here(home, tmp_path)
    (tmp_path / "out" / "config.json").unlink()  # killed in its last moment
    again = run(tmp_path, resume=True)
    assert digest(tmp_path / "out") == digest(home / "gpt")
    assert again.metrics["eval_loss"] > 0


def refused(kind, tmp_path, **changes):
    with pytest.raises(kind) as caught:
        run(tmp_path, **changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_options_of_a_run_that_goes_on_must_agree(home, tmp_path):
    shutil.copytree(home / "gpt", tmp_path / "out")
    here(home, tmp_path)
    said = refused(ValueError, tmp_path, resume=True, steps=9, learning_rate=0.5)
    assert "steps was 8 and is 9" in said and "learning_rate was 0.001 and is 0.5" in said
    (tmp_path / "data.txt").write_text("另一个文本。\n\n两个。\n\n三个。" * 30, encoding="utf-8")
    assert "have changed" in refused(ValueError, tmp_path, resume=True)


def test_a_folder_that_is_not_free_is_refused(home, tmp_path):
    shutil.copytree(home / "gpt", tmp_path / "out")
    here(home, tmp_path)
    assert "has a run" in refused(FileExistsError, tmp_path)
    assert "no run" in refused(FileNotFoundError, tmp_path, name="none", resume=True)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.md").write_text("mine")
    assert "a.md" in refused(FileExistsError, tmp_path, name="notes")
    assert "is a file" in refused(NotADirectoryError, tmp_path, name="data.txt")
    (tmp_path / "out" / "options.json").write_text("{")
    assert "broken" in refused(ValueError, tmp_path, resume=True)
    (tmp_path / "texts").mkdir()
    inside = {"name": "texts/out", "data": tmp_path / "texts"}
    assert "lies in the data" in refused(ValueError, tmp_path, **inside)


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"data": "no/such.txt"}, "no such"),
        ({"tokenizer": "no/such", "vocab_size": None}, "such"),
        ({"init": "no/such", "vocab_size": None}, "such"),
        ({"block_size": 100_000}, "fewer than a block"),
        ({"device": "cuda"}, "cuda"),
        ({"model": "bert", "unit": "file"}, "next_sentence"),
    ],
)
def test_what_is_wrong_comes_out_before_the_folder_is_made(changes, said, home, tmp_path):
    here(home, tmp_path)
    if changes.get("device") and __import__("importlib").util.find_spec("cupy"):
        pytest.skip("there is CuPy")
    message = refused((OSError, ValueError, RuntimeError), tmp_path, **changes)
    assert said.split()[-1] in message
    assert not (tmp_path / "out").exists()


def test_init_goes_on_from_a_model_with_its_tokenizer(home, tmp_path):
    here(home, tmp_path)
    start = {"init": home / "gpt", "vocab_size": None, "block_size": None}
    found = run(tmp_path, steps=1, learning_rate=1e-12, **start)
    old, new = (models.from_pretrained(folder) for folder in (home / "gpt", found.folder))
    for (name, a), b in zip(old.named_parameters(), new.parameters()):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-8, err_msg=name)
    assert new.config == old.config
    assert (found.folder / "vocab.json").read_bytes() == (home / "gpt/vocab.json").read_bytes()
    said = refused(ValueError, tmp_path, name="b", **{**start, "block_size": 17})
    assert "16 positions" in said
    said = refused(ValueError, tmp_path, name="b", model="bert", **{**start, "tokenizer": None})
    assert "GPT2LMHeadModel" in said and said.endswith("give model=gpt, or another init")


@pytest.mark.parametrize("kind", ["gpt", "bert"])
def test_a_run_with_init_goes_on_without_that_folder(kind, home, tmp_path, monkeypatch):
    here(home, tmp_path)
    shutil.copytree(home / kind, tmp_path / "init")
    start = {"model": kind, "vocab_size": None, "block_size": None, "tokenizer": None}
    start |= {"dropout": 0.3, "init": tmp_path / "init"}
    run(tmp_path, "whole", **start)
    with monkeypatch.context() as patch:
        stop_at(patch, 5, die)
        with pytest.raises(Die):
            run(tmp_path, **start)
    shutil.rmtree(tmp_path / "init")
    run(tmp_path, resume=True, **{**start, "init": tmp_path / "nowhere"})
    assert digest(tmp_path / "out") == digest(tmp_path / "whole")


def test_as_long_as_there_is_no_checkpoint_init_must_be_what_it_was(home, tmp_path, monkeypatch):
    here(home, tmp_path)
    start = {"vocab_size": None, "block_size": None, "init": home / "gpt"}
    run(tmp_path, "whole", **start)
    with monkeypatch.context() as patch:
        stop_at(patch, 1, die)
        with pytest.raises(Die):
            run(tmp_path, **start)
    said = refused(FileNotFoundError, tmp_path, resume=True, **{**start, "init": "nowhere"})
    assert "nowhere" in said
    said = refused(ValueError, tmp_path, resume=True, **{**start, "init": tmp_path / "whole"})
    assert "not the model that the run" in said
    shutil.copytree(home / "gpt", tmp_path / "moved")
    run(tmp_path, resume=True, **{**start, "init": tmp_path / "moved"})
    assert digest(tmp_path / "out") == digest(tmp_path / "whole")


@pytest.mark.parametrize("next_sentence", [True, False])
def test_unknown_characters_end_no_run(next_sentence, home, tmp_path, capsys):
    here(home, tmp_path)
    settings = {"model": "bert", "next_sentence": next_sentence, "batch_size": 1}
    init = {"init": home / "bert", "tokenizer": None}
    path = tmp_path / "more.txt"
    strange = [f"{letter * 30}. {letter * 30}." for letter in "αβγδεζηθικλμνξοπ"]
    text = (home / "data.txt").read_text("utf-8")
    path.write_text("\n\n".join([text, *strange]), "utf-8")
    pretrain.pretrain(options(tmp_path, data=path, **settings, **init))
    said = capsys.readouterr().out
    assert "left out: " in said and " documents and " in said
    path.write_text("\n\n".join(strange), encoding="utf-8")
    message = refused(ValueError, tmp_path, name="none", data=path, **settings, **init)
    assert "has no tokens to hide" in message and not (tmp_path / "none").exists()


def test_a_tokenizer_of_a_folder_must_have_what_the_model_needs(home, tmp_path):
    here(home, tmp_path)
    wrong = {"tokenizer": home / "gpt", "vocab_size": None, "model": "bert"}
    said = refused(ValueError, tmp_path, **wrong)
    assert said.endswith(
        "has no cls_token, which a bert needs: give one of characters, bpe, wordpiece"
    )
    wrong = {"tokenizer": home / "bert", "vocab_size": None}
    assert "has no eos_token, which a gpt needs" in refused(ValueError, tmp_path, **wrong)


def test_a_file_that_is_too_small_is_told_what_fits(tmp_path):
    (tmp_path / "data.txt").write_text("To be, or not to be.\n\nThat is it.\n\nSo?")
    said = refused(ValueError, tmp_path, tokenizer="characters", vocab_size=None, block_size=128)
    fits = int(said.rpartition("block_size ")[2].removesuffix(" or less"))
    small = {"tokenizer": "characters", "vocab_size": None, "steps": 1}
    with pytest.raises(ValueError, match=f"have {fits} tokens"):
        run(tmp_path, block_size=fits + 1, **small)
    run(tmp_path, block_size=fits, **small)
    (tmp_path / "data.txt").write_text("To.\n\nBe.")
    said = refused(ValueError, tmp_path, name="b", block_size=8, **small)
    assert said.endswith(": give more text")


def test_init_of_a_bert_without_next_sentences(home, tmp_path):
    here(home, tmp_path)
    bert = {"model": "bert", "steps": 1}
    run(tmp_path, "words", next_sentence=False, **bert)
    bert |= {"tokenizer": None, "init": tmp_path / "words"}
    with pytest.warns(UserWarning) as caught:
        run(tmp_path, **bert)
    words = "next sentences are learnt from scratch: init has no weights for them"
    assert [str(each.message) for each in caught] == [words]


def test_init_with_changes(home, tmp_path):
    here(home, tmp_path)
    start = {"init": home / "bert", "vocab_size": None, "model": "bert", "tokenizer": None}
    found = run(tmp_path, steps=1, dropout=0.3, next_sentence=False, **start)
    model = models.from_pretrained(found.folder)
    assert isinstance(model, models.BertForMaskedLM)
    assert model.config.hidden_dropout_prob == 0.3


def test_all_kinds_of_runs_learn(tmp_path):
    """Loss falls with each option that changes how."""
    for i, changes in enumerate(
        [
            {"gradient_checkpointing": True, "gradient_accumulation_steps": 2, "dropout": 0.0},
            {"model": "bert", "whole_word": True, "next_sentence": False},
            {"tokenizer": "wordpiece", "preset": "tiny", "vocab_size": 800},
        ]
    ):
        found = run(tmp_path, str(i), steps=12, learning_rate=3e-3, **changes)
        rows = [json.loads(row) for row in (found.folder / "log.jsonl").read_text().splitlines()]
        losses = [row["eval_loss"] for row in rows if row["kind"] == "eval"]
        assert losses[-1] < losses[0] - 0.05, (changes, losses)

"""The commands that measure pretraining: their parts by hand, and runs of a few steps."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.learning import probe, recipes
from tinygrad_llm import manual_seed, models
from tinygrad_llm.tokenizers import WordPieceTokenizer
from tinygrad_llm.training.baselines import linear

ANIMALS, TOOLS = "猫狗牛羊马", "刀锯锤钳斧"


def titles(count: int, seed: int) -> list[tuple[str, str]]:
    """Texts of four characters that name animals or tools, and which of the two."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(2, size=count)
    rows = ["".join(rng.choice(list((ANIMALS, TOOLS)[k]), 4)) for k in classes]
    return [(row, ("animals", "tools")[k]) for row, k in zip(rows, classes)]


@pytest.fixture
def files(tmp_path):
    found = []
    for name, count, seed in (("train", 160, 1), ("test", 60, 2)):
        file = tmp_path / f"{name}.tsv"
        text = "".join(f"{row}\t{kind}\n" for row, kind in titles(count, seed))
        file.write_text(text, encoding="utf-8")
        found.append(str(file))
    return found


# The probe


@pytest.fixture
def bert(tmp_path):
    """The folder of a BERT with drawn weights; with a pooler where it is asked for."""

    def make(kind=models.BertForMaskedLM):
        tokenizer = WordPieceTokenizer.train([ANIMALS + TOOLS], 100)
        manual_seed(0)
        config = models.BertConfig(
            len(tokenizer), 16, 1, 2, 32, max_position_embeddings=8, hidden_dropout_prob=0.5
        )
        kind(config).save_pretrained(tmp_path / "bert")
        tokenizer.save_pretrained(tmp_path / "bert")
        return tmp_path / "bert"

    return make


def test_states_are_means_over_tokens_alone_and_in_the_order_of_the_texts(bert):
    model, tokenizer = probe.bert_in(bert(models.BertForPreTraining))
    texts = ["猫狗牛羊", "刀", "锯锤"]
    found = probe.states(model, tokenizer, texts, "")
    assert set(found) == {"mean", "[CLS]", "pooler"}
    for i, text in enumerate(texts):
        alone = model.bert(tokenizer([text], return_tensors="np")["input_ids"])
        states = alone.last_hidden_state.numpy()[0]
        assert found["mean"][i] == pytest.approx(states.mean(axis=0), abs=1e-5)
        assert found["[CLS]"][i] == pytest.approx(states[0], abs=1e-5)
        assert found["pooler"][i] == pytest.approx(alone.pooler_output.numpy()[0], abs=1e-5)


def test_the_pooler_stands_only_where_there_is_one(bert):
    model, tokenizer = probe.bert_in(bert())
    assert set(probe.states(model, tokenizer, ["猫"], "")) == {"mean", "[CLS]"}


def test_features_are_standardized_by_the_rows_that_are_learnt(monkeypatch):
    found = [{"mean": np.array([[1.0, 7.0], [3.0, 7.0]])}, {"mean": np.array([[5.0, 7.0]])}]
    monkeypatch.setattr(probe, "states", lambda *given: found.pop(0))
    (features,) = probe.of_bert("drawn", None, None, part(("a", 0), ("b", 1)), part(("c", 0)))
    assert features.name == "drawn, mean"
    assert features.learned.tolist() == [[-1.0, 0.0], [1.0, 0.0]]
    assert features.test.tolist() == [[3.0, 0.0]]


def part(*rows):
    return probe.Part([text for text, _ in rows], np.array([y for _, y in rows]))


def test_a_bag_weighs_rare_characters_more_and_has_rows_of_one_length():
    learned = part(("猫猫狗", 0), ("猫牛", 1), ("猫", 1))
    bag = probe.of_bag(learned, part(("狗羊", 0), ("羊", 0)))
    assert bag.learned.shape == (3, 3) and bag.test.shape == (2, 3)
    assert np.linalg.norm(bag.learned[:2], axis=1) == pytest.approx(probe.ROW_LENGTH)
    cat, dog = sorted(bag.learned[0][bag.learned[0] >= 0])[0], bag.learned[0].max()
    assert cat == 0.0 < dog  # a character of every text says nothing
    assert np.linalg.norm(bag.test, axis=1).tolist() == pytest.approx([probe.ROW_LENGTH, 0.0])


def test_the_majority_is_that_of_the_labels_that_are_drawn():
    learned = part(*[("a", 0)] * 2, *[("b", 1)] * 8)
    nothing = probe.Features("majority class", None, None)
    right = probe.probe(nothing, learned, part(("c", 1), ("c", 0)), 2, 3, 0)
    assert list(right) == [10] and right[10].tolist() == [[1.0, 0.0]]


def test_differences_are_of_the_same_draws_and_texts():
    said = {"pretrained, mean": "1110", "random weights, mean": "0110", "bag of characters": "1110"}
    right = {name: {100: np.array([list(row)]).astype(float)} for name, row in said.items()}
    *lines, note = probe.table(right, dict.fromkeys(said, 2.0)).splitlines()
    cells = [line.split()[-3:] for line in lines[-2:]]
    assert cells == [["25.0", "±", "49.0"], ["0.0", "±", "0.0"]]  # 49 = 100·1.96·0.5/√4
    assert lines[-3].split()[-4:] == ["75.0", "±", "49.0", "2"]
    assert "over 1 draws of labels" in note


def test_probe_pretrains_measures_and_goes_on(files, tmp_path, capsys, monkeypatch):
    small = {"batch_size": 8, "block_size": 8}
    monkeypatch.setattr(probe, "RECIPE", probe.RECIPE | small)
    monkeypatch.setattr(linear, "minimize", partial(linear.minimize, steps=20))
    words = [*files, "--model", str(tmp_path / "made"), "--seeds", "2", "--pretrain-steps", "3"]
    assert probe.main([*words, "--preset", "tiny"]) == 0
    out = capsys.readouterr().out
    assert "160 texts to learn from, 60 to test on" in out and "2 classes" in out
    assert "pretrained 3 steps of 8" in out and "left neighbour" in out and "unigram" in out
    lines = {line[2:42].strip(): line[42:] for line in out.splitlines() if "±" in line}
    assert float(lines["bag of characters"].split("±")[0]) > 95.0
    assert float(lines["majority class"].split("±")[0]) < 75.0
    assert "pretrained, mean − random weights, mean" in out and "100 labels" in out
    before = (tmp_path / "made" / "model.safetensors").read_bytes()
    texts = [row for row, _ in titles(160, 1)]
    assert "pretrained 3 steps" in probe.pretrained(tmp_path / "made", texts, "tiny", 3, 0)
    assert (tmp_path / "made" / "model.safetensors").read_bytes() == before


def test_only_the_training_texts_are_pretrained_on(files, tmp_path, monkeypatch):
    seen = []

    def stop(options):
        seen.append((options, Path(options.data).read_text(encoding="utf-8")))
        raise ValueError("enough")

    monkeypatch.setattr(probe, "pretrain", stop)
    with pytest.raises(SystemExit, match="enough"):
        probe.main([*files, "--model", str(tmp_path / "made"), "--pretrain-steps", "7"])
    (options, text), *_ = seen
    assert text == "".join(f"{row}\n" for row, _ in titles(160, 1))
    assert options.unit == "line" and options.steps == 7 and not options.next_sentence


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (None, "a\tx\n", "none"),
        ("a\tx\n" * 99, "a\tx\n", "99 texts are fewer than 100"),
        ("a\tx\n" * 100, "a\ty\n", "class 'y' is not in"),
        ("a\tx\n" * 100, "a\tx\n", "1 texts are fewer than 2"),
        ("a\n" * 100, "a\tx\n", "train.tsv"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, train, test, message):
    files = [tmp_path / "train.tsv", tmp_path / "test.tsv"]
    for file, text in zip(files, (train, test)):
        if text is not None:
            file.write_text(text, encoding="utf-8")
    first = files[0] if train is not None else tmp_path / "none"
    with pytest.raises(SystemExit, match=message):
        probe.main([str(first), str(files[1]), "--model", str(tmp_path)])


def test_a_folder_that_is_no_bert(files, tmp_path):
    with pytest.raises(SystemExit, match="json is missing"):
        probe.main([*files, "--model", str(tmp_path)])
    config = models.GPT2Config(vocab_size=20, n_embd=8, n_layer=1, n_head=1)
    models.GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt")
    WordPieceTokenizer.train([ANIMALS], 50).save_pretrained(tmp_path / "gpt")
    with pytest.raises(SystemExit, match="a GPT2LMHeadModel is no BERT"):
        probe.main([*files, "--model", str(tmp_path / "gpt")])


# The recipes


@pytest.fixture
def stories(tmp_path):
    rng = np.random.default_rng(0)
    words = ["the cat sat", "a dog ran", "the sun rose", "a bird sang"]
    texts = [
        " ".join(" ".join(rng.choice(words, 2)).capitalize() + "." for _ in range(4))
        for _ in range(30)
    ]
    file = tmp_path / "stories.txt"
    file.write_text("\n\n".join(texts), encoding="utf-8")
    return str(file)


def test_recipes_in_a_few_steps(stories, capsys):
    assert recipes.main(["--data", stories, "--steps", "2", "--seeds", "2"]) == 0
    out = capsys.readouterr().out
    for recipe in recipes.RECIPES[:-1]:
        assert out.count(recipe.name) == 3
    assert out.count(recipes.RECIPES[-1].name) == 6 and out.count(recipes.DRAWN.name) == 3
    assert "left neighbour" in out and "overlap of words" in out
    assert "dynamic − static masking: " in out and "with − without next sentences: " in out


def test_all_recipes_answer_for_the_same_words(stories):
    tasks = recipes.make_tasks(stories)
    for task in tasks:
        rows = [task.eval_dataset[i] for i in range(len(task.eval_dataset))]
        first, again = task.data_collator(rows), task.data_collator(rows)
        assert np.array_equal(first["labels"], again["labels"])
        assert (first["labels"] != -100).sum() == task.targets["mlm"]


def test_static_masks_are_drawn_once_and_dynamic_ones_in_each_epoch(stories, monkeypatch):
    tasks, made = recipes.make_tasks(stories), []

    class Watched:
        def __init__(self, model, plan, transform, data_collator, train_dataset):
            made.append((plan.seed, transform, data_collator.seed, train_dataset))

        def train(self):
            pass

    monkeypatch.setattr(recipes, "Trainer", Watched)
    for recipe in (*recipes.RECIPES, recipes.DRAWN):
        model = recipes.learned(tasks, recipe, 1, 5)
        rows = model.bert.embeddings.positions.weight.numpy()
        wave = 0.1 * np.sin(np.arange(len(rows)))
        assert (np.abs(rows[:, 0] - wave).max() < 1e-6) == recipe.sinusoids
        assert isinstance(model, models.BertForPreTraining) == recipe.pairs
        seed, transform, masks, rows = made[-1]
        assert seed == masks == 5 and (transform is not None) == recipe.dynamic
        assert rows is (tasks.pairs if recipe.pairs else tasks.single).train_dataset


def test_effects_by_hand():
    # static with, static without, dynamic with, dynamic without; two seeds
    right = [[0.1, 0.2], [0.2, 0.3], [0.3, 0.4], [0.6, 0.7], [0.2, 0.1]]
    runs = {
        recipe: [recipes.Run(share, 0.0, None) for share in shares]
        for recipe, shares in zip((*recipes.RECIPES, recipes.DRAWN), right)
    }
    dynamic, pairs, positions, _ = recipes.effects(runs).splitlines()
    assert dynamic == "dynamic − static masking: +30.00 ± 0.00 points"
    assert pairs == "with − without next sentences: -20.00 ± 0.00 points"
    assert positions.startswith("sinusoids − drawn positions: +50.00 ± ")


def test_shares_count_right_words_and_right_pairs(stories):
    tasks = recipes.make_tasks(stories)
    model = tasks.pairs.new_model("tiny")
    for parameter in model.parameters():
        parameter.data[...] = 0.0
    labels = np.concatenate(
        [tasks.pairs.data_collator([row])["labels"].reshape(-1) for row in rows_of(tasks.pairs)]
    )
    favourite = np.bincount(labels[labels >= 0]).argmax()
    model.predictions.bias.data[favourite] = 1.0
    words, follows = recipes.shares(model, tasks.pairs, True)
    assert words == pytest.approx((labels[labels >= 0] == favourite).mean())
    assert follows == pytest.approx(
        np.mean([row["next_sentence_label"] == 0 for row in rows_of(tasks.pairs)])
    )


def rows_of(task):
    return [task.eval_dataset[i] for i in range(len(task.eval_dataset))]


def test_recipes_refuse(tmp_path, capsys):
    with pytest.raises(SystemExit, match="there is no"):
        recipes.main(["--data", str(tmp_path / "none.txt")])
    with pytest.raises(SystemExit):
        recipes.main(["--seeds", "1"])
    assert "--seeds is at least 2" in capsys.readouterr().err

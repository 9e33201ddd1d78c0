"""Tests of GPT-2: no leak, padding, caches, labels, tying, lazy logits, counts, errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.common import same_bits
from tests.models.common import WORDS, close, count, gpt2, ids
from tests.nn.common import numbers
from tinygrad_llm import Tensor, grad, manual_seed, models, nn, no_grad, optim
from tinygrad_llm import functional as F
from tinygrad_llm.models.gpt2 import POSITIONS
from tinygrad_llm.models.outputs import Head
from tinygrad_llm.testing import strict_cupy
from tinygrad_llm.training import Trainer, TrainingArguments


@pytest.mark.parametrize("positions", POSITIONS)
def test_later_words_change_no_bit_of_earlier_scores(positions):
    model, words = gpt2(positions=positions), ids(3, 7)
    expected = model(words).logits
    for i in range(6):
        other = words.copy()
        other[:, i + 1 :] = ids(3, 7, seed=1)[:, i + 1 :]
        found = model(other).logits
        assert same_bits(found[:, : i + 1], expected[:, : i + 1])
        assert not same_bits(found, expected)


def test_no_gradient_reaches_a_later_word():
    model, words = gpt2(), ids(1, 6)
    rows = Tensor(model.tokens(words).data, requires_grad=True)
    model.tokens.register_forward_hook(lambda *_: rows)
    logits = model(words).logits
    for i in range(6):
        g = grad((logits[:, i] * numbers(WORDS).numpy()).sum(), rows, retain_graph=True).data
        assert not g[:, i + 1 :].any() and (np.abs(g[:, : i + 1]).max(axis=-1) > 0).all()


@pytest.mark.parametrize("positions", POSITIONS)
def test_padding_on_the_left_changes_nothing(positions):
    model, words = gpt2(positions=positions), ids(2, 5)
    padded = np.concatenate([np.zeros((2, 3), int), words], axis=1)
    mask = (np.arange(8) >= 3).astype(int) * np.ones((2, 1), int)
    places = np.where(mask, mask.cumsum(axis=1) - 1, 0)
    found = model(padded, mask, places).logits[:, 3:]
    close(found, model(words).logits, 1e-12)


def test_padding_on_the_right_changes_no_loss_and_no_gradient():
    model, words = gpt2(), ids(2, 5)
    padded = np.concatenate([words, np.zeros((2, 3), int)], axis=1)
    labels = np.concatenate([words, np.full((2, 3), -100)], axis=1)
    mask = np.arange(8) < np.full((2, 1), 5)
    alone, found = model(words, labels=words), model(padded, mask, labels=labels)
    close(found.loss, alone.loss, 1e-12)
    assert found.targets == alone.targets == 8
    parameters = list(model.parameters())
    for a, b in zip(grad(found.loss, parameters), grad(alone.loss, parameters)):
        close(a, b, 1e-12)


@given(
    st.sampled_from(POSITIONS),
    st.sampled_from([None, 1, 2]),
    st.lists(st.integers(1, 6), min_size=1, max_size=4),
    st.booleans(),
)
@settings(max_examples=40)
def test_a_cache_gives_what_a_full_pass_gives(positions, kv_heads, pieces, padded):
    model, words = gpt2(positions=positions, n_kv_head=kv_heads), ids(2, sum(pieces))
    mask, places = np.ones_like(words), None
    if padded:
        mask[0, : words.shape[1] // 2] = 0
        places = np.where(mask, mask.cumsum(axis=1) - 1, 0)
    with no_grad():
        expected = model(words, mask, places).logits.data
        cache, begin = model.new_cache(), 0
        for piece in pieces:
            here = slice(begin, begin + piece)
            where = None if places is None else places[:, here]
            found = model(words[:, here], mask[:, : here.stop], where, cache=cache).logits.data
            seen = mask[:, here] == 1
            np.testing.assert_allclose(found[seen], expected[:, here][seen], rtol=1e-10, atol=1e-10)
            begin += piece


def test_the_loss_is_the_cross_entropy_of_the_next_word():
    model, words = gpt2(), ids(3, 6)
    labels = words.copy()
    labels[0, 3], labels[2] = -100, -100
    output = model(words, labels=labels)
    scores = output.logits[:, :-1].reshape(-1, WORDS)
    close(output.loss, F.cross_entropy(scores, labels[:, 1:].reshape(-1)), 1e-13)
    assert output.targets == 4 + 5
    nothing = model(words, labels=np.full_like(words, -100))
    assert nothing.loss.item() == 0.0 and nothing.targets == 0


def test_logits_are_computed_when_they_are_asked_for(monkeypatch):
    model, words, calls = gpt2(), ids(2, 5), []
    scores = Head.scores
    monkeypatch.setattr(Head, "scores", lambda h, x: calls.append(x.shape) or scores(h, x))
    output = model(words, labels=words)
    output.loss.backward()
    assert not calls
    assert output.logits is output.logits and calls == [(2, 5, 8)]
    kept = model(words, logits_to_keep=2)
    assert kept.last_hidden_state.shape == (2, 5, 8)
    close(kept.logits, output.logits[:, -2:], 1e-13)
    assert calls[1:] == [(2, 2, 8)] and output.logits.shape == (2, 5, WORDS)


def test_logits_in_half_precision_may_be_asked_for_after_the_block():
    model, words = gpt2().astype("float32"), ids(2, 5)
    with nn.in_dtype(model, "float16"):
        output = model(words)
    assert output.logits.dtype == np.float16
    np.testing.assert_allclose(output.logits.data, model(words).logits.data, atol=0.05)


def test_the_gradient_of_the_shared_matrix_is_the_sum_of_both_uses():
    model, words = gpt2(), ids(2, 6)
    both = grad(model(words, labels=words).loss, model.tokens.weight)
    read, written = (Tensor(model.tokens.weight.data, requires_grad=True) for _ in range(2))
    model.tokens.register_forward_hook(lambda *_: F.embedding(words, read))
    x = model(words).last_hidden_state[:, :-1]
    loss = F.linear_cross_entropy(x, written, words[:, 1:], transposed=True)
    parts = grad(loss, [read, written])
    close(both, parts[0] + parts[1], 1e-12)
    assert all(np.abs(part.data).max() > 1e-3 for part in parts)


def test_attention_maps_where_asked_for():
    maps = gpt2()(ids(2, 5), output_attentions=True).attentions
    assert [each.shape for each in maps] == [(2, 4, 5, 5)] * 2
    assert gpt2()(ids(2, 5)).attentions is None


def test_states_where_asked_for():
    model, words = gpt2(), ids(2, 5)
    output = model(words, output_hidden_states=True)
    assert [each.shape for each in output.hidden_states] == [(2, 5, 8)] * 3
    assert output.hidden_states[-1] is output.last_hidden_state
    assert same_bits(output.hidden_states[0], model.positions(model.tokens(words), np.arange(5)))
    assert model(words).hidden_states is None


def parameters_of(c: models.GPT2Config) -> int:
    """Embeddings, L blocks of 12 D² + 13 D, and the last norm: the head is tied."""
    d = c.n_embd
    return (c.vocab_size + c.n_positions) * d + c.n_layer * (12 * d * d + 13 * d) + 2 * d


def test_numbers_of_parameters():
    assert parameters_of(models.GPT2Config()) == 124_439_808
    for options in ({}, {"n_embd": 16, "n_layer": 3, "n_positions": 7, "vocab_size": 5}):
        model = gpt2(**options)
        assert count(model) == parameters_of(model.config)
    # Without learned positions, and with five hidden units: 4 D² + 4 D, 10 D + 5 + D, 4 D a block.
    narrow = 13 * 8 + 2 * (288 + 93 + 32) + 16
    assert count(gpt2(positions="rotary", n_inner=5)) == narrow


def test_presets():
    assert parameters_of(models.GPT2Config.preset("base")) == 124_439_808
    assert models.GPT2Config.preset("base") == models.GPT2Config()
    mini = models.GPT2Config.preset("mini", vocab_size=50)
    assert (mini.n_layer, mini.n_embd, mini.n_head, mini.vocab_size) == (4, 256, 4, 50)
    tiny = models.GPT2Config.preset("tiny", n_layer=3)
    assert (tiny.n_layer, tiny.n_embd, tiny.n_head, tiny.vocab_size) == (3, 128, 2, 50257)
    with pytest.raises(ValueError, match="preset 'huge' is not one of tiny, mini, base"):
        models.GPT2Config.preset("huge")


def test_checkpoints_give_the_same_bits():
    found = []
    for on in (False, True):
        model, words = gpt2(gradient_checkpointing=on).train(), ids(2, 5)
        assert model.decoder.gradient_checkpointing is on
        manual_seed(1)
        output = model(words, labels=words)
        found.append([output.loss, *grad(output.loss, list(model.parameters()))])
    assert all(map(same_bits, *found))


def test_how_it_begins():
    """Normal weights of deviation 0.02, those into the sums divided by √(2L); norms 1 and 0."""
    manual_seed(0)
    config = models.GPT2Config(vocab_size=300, n_positions=50, n_embd=64, n_layer=8, n_head=4)
    model = models.GPT2LMHeadModel(config)
    for name, p in model.named_parameters():
        if p.ndim == 1:
            assert (p.data == float("norm.weight" in name)).all(), name
        else:
            small = name.endswith(("out.weight", "down.weight"))
            expected = 0.02 / 4 if small else 0.02
            assert p.data.std() == pytest.approx(expected, rel=0.05), name
    words = np.arange(100).reshape(2, 50)
    assert model.eval()(words, labels=words).loss.item() == pytest.approx(np.log(300), rel=0.01)


def test_dropout_is_off_in_eval():
    model, words = gpt2(), ids(2, 5)
    expected = model(words).logits
    model.train()
    assert not same_bits(model(words).logits, model(words).logits)
    model.eval()
    assert same_bits(model(words).logits, expected)


def test_settings_come_to_their_parts():
    shares = {"embd_pdrop": 0.25, "resid_pdrop": 0.5, "attn_pdrop": 0.75}
    model = gpt2(**shares, layer_norm_epsilon=0.125, n_inner=5, activation_function="relu")
    block = model.decoder.layers[0]
    assert model.dropout.p == 0.25 and block.attention.dropout == 0.75
    assert block.attention_sum.dropout.p == block.feed_forward_sum.dropout.p == 0.5
    assert block.feed_forward.dropout.p == 0.0
    assert model.decoder.norm.eps == block.attention_sum.norm.eps == 0.125
    assert block.feed_forward.up.out_features == 5 and block.feed_forward.activation == "relu"


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("relu", "relu"),
        ("gelu", "gelu"),
        ("gelu_new", "gelu_tanh"),
        ("gelu_pytorch_tanh", "gelu_tanh"),
    ],
)
def test_activations_have_the_names_of_hugging_face(name, ours):
    layers = gpt2(activation_function=name).decoder.layers
    assert [layer.feed_forward.activation for layer in layers] == [ours] * 2
    assert models.GPT2Config().activation_function == "gelu_new"


def test_learned_positions_alone_have_an_end():
    for positions in POSITIONS:
        model = gpt2(positions=positions)
        most = model.config.max_position_embeddings
        assert most == (24 if positions == "learned" else None)
        if most is None:
            assert model(ids(1, 25)).logits.shape == (1, 25, WORDS)


def test_dropout_of_all_embeddings_leaves_nothing_to_tell_words_apart():
    model = gpt2(embd_pdrop=1.0, resid_pdrop=0.0, attn_pdrop=0.0).train()
    assert same_bits(model(ids(2, 5)).logits, model(ids(2, 5, seed=1)).logits)


def test_it_learns_a_text_by_heart():
    manual_seed(0)
    sizes = {"vocab_size": WORDS, "n_positions": 8, "n_embd": 16, "n_layer": 2, "n_head": 2}
    model, words = models.GPT2LMHeadModel(models.GPT2Config(**sizes)).eval(), ids(2, 8)
    optimizer = optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        loss = model(words, labels=words).loss
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


def test_summary_and_weights_in_files(tmp_path):
    model, words = gpt2(), ids(2, 5)
    text = model.summary(words, labels=words)
    assert f"{count(model):,} parameters" in text and "activations" in text
    assert text.split("\n")[2].split()[:2] == ["GPT2LMHeadModel", "()"]  # the loss
    assert "(2, 5, 8)" in model.summary(words).split("\n")[2]
    assert any("up  Linear" in line and "(2, 5, 32)" in line for line in text.split("\n"))
    nn.save_weights(model, tmp_path / "weights")
    other = models.GPT2LMHeadModel(model.config).astype("float64").eval()
    nn.load_weights(other, tmp_path / "weights")
    assert same_bits(other(words).logits, model(words).logits)


def test_on_a_device_the_bits_are_those_of_the_cpu():
    model, words = gpt2(), ids(2, 5)
    here = model(words, labels=words)
    with strict_cupy.installed() as cupy:
        there = model.to("cuda")(cupy.asarray(words), labels=cupy.asarray(words))
        assert there.loss.device == "cuda:0" and there.targets == here.targets
        assert same_bits(there.loss.to("cpu"), here.loss)
        model.to("cpu")


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (
            {"input_ids": [1, 2]},
            ValueError,
            r"GPT2LMHeadModel: input_ids \(2,\), expected \(B, T\)",
        ),
        ({"input_ids": [[WORDS]]}, IndexError, "embedding: id 13 is outside 0 … 12"),
        ({"input_ids": [[0.5]]}, TypeError, "token ids are integers"),
        ({"input_ids": ids(1, 25)}, IndexError, "position 24 is outside 0 … 23: shorten the text"),
        ({"labels": ids(2, 4)}, ValueError, r"labels \(2, 4\) for input_ids \(2, 5\): give the"),
        ({"labels": [[13] * 5] * 2}, IndexError, "13"),
        ({"attention_mask": [[1] * 4] * 2}, ValueError, r"mask \(2, 4\) for 2 texts and 5 keys"),
        ({"position_ids": [[0] * 4] * 2}, ValueError, r"positions \(2, 4\) for x \(2, 5, 8\)"),
    ],
)
def test_what_does_not_fit(arguments, kind, message):
    with pytest.raises(kind, match=message):
        gpt2()(**{"input_ids": ids(2, 5), **arguments})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"positions": "relative"}, "GPT2Config: positions 'relative' is not one of learned, sin"),
        ({"n_head": 3}, "GPT2Config: n_head 3 does not divide n_embd 8"),
        ({"n_kv_head": 3}, "GPT2Config: n_kv_head 3 does not divide n_head 4"),
        ({"positions": "rotary", "n_head": 0}, "GPT2Config: n_head 0 is below 1"),
        ({"positions": "rotary", "n_head": 8}, "GPT2Config: n_embd / n_head 1 is below 2"),
        ({"activation_function": "swish"}, "activation_function 'swish' is not one of relu, gelu"),
        ({"n_layer": 0}, "GPT2Config: n_layer 0 is below 1"),
        ({"vocab_size": 0}, "GPT2Config: vocab_size 0 is below 1"),
        ({"n_positions": -1}, "GPT2Config: n_positions -1 is below 1"),
        ({"n_embd": 0}, "GPT2Config: n_embd 0 is below 1"),
        ({"n_inner": 0}, "GPT2Config: n_inner 0 is below 1"),
        ({"n_kv_head": 0}, "GPT2Config: n_kv_head 0 is below 1"),
        ({"resid_pdrop": 1.5}, "GPT2Config: resid_pdrop is a probability, not 1.5"),
        ({"embd_pdrop": -0.1}, "GPT2Config: embd_pdrop is a probability, not -0.1"),
        ({"attn_pdrop": float("nan")}, "GPT2Config: attn_pdrop is a probability, not nan"),
    ],
)
def test_sizes_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        gpt2(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attn_pdrop": None}, "GPT2Config: attn_pdrop is a probability, not None"),
        ({"resid_pdrop": True}, "GPT2Config: resid_pdrop is a probability, not True"),
        ({"vocab_size": None}, "GPT2Config: vocab_size must be an integer, not None"),
        ({"n_layer": True}, "GPT2Config: n_layer must be an integer, not True"),
        ({"n_head": 2.0}, r"GPT2Config: n_head must be an integer, not 2\.0"),
    ],
)
def test_settings_of_a_wrong_type(options, message):
    with pytest.raises(TypeError, match=message):
        models.GPT2Config(**options)


def test_a_cache_under_gradients_is_refused():
    model = gpt2()
    with pytest.raises(RuntimeError, match=r"call the model under no_grad\(\)"):
        model(ids(1, 2), cache=model.new_cache())


def test_the_trainer_never_computes_the_logits(monkeypatch):
    """Nor does it in evaluation, where the loss is that of the model."""
    model, words = gpt2(), ids(8, 6)
    monkeypatch.setattr(Head, "scores", lambda *_: pytest.fail("logits were computed"))
    rows = [{"input_ids": row, "labels": row} for row in words]
    how = {"max_steps": 2, "per_device_train_batch_size": 4, "quiet": True}
    trainer = Trainer(model, TrainingArguments(**how), rows, rows)
    trainer.train()
    model.eval()
    loss = model(words, labels=words).loss.item()
    assert trainer.evaluate()["eval_loss"] == pytest.approx(loss, rel=1e-12)

"""Tests of the encoder-decoder: masks, caches, labels, tying, what each side sees, errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.common import drawn, same_bits
from tests.models.common import WORDS, close, count, ids, translator
from tinygrad_llm import Tensor, grad, manual_seed, models, nn, no_grad, optim
from tinygrad_llm import functional as F
from tinygrad_llm.testing import strict_cupy


def test_the_decoder_reads_the_labels_shifted_by_one():
    """Fed with the target itself it would have to copy only (F39)."""
    model, source, labels = translator(), ids(2, 6), ids(2, 4)
    labels[1, 2:] = -100
    before = np.array([[1, *labels[0, :3]], [1, *labels[1, :2], 0]])
    found = model(source, labels=labels)
    expected = model(source, decoder_input_ids=before)
    assert same_bits(found.logits, expected.logits) and expected.loss is None
    scores = expected.logits.reshape(-1, WORDS)
    close(found.loss, F.cross_entropy(scores, labels.reshape(-1)), 1e-13)
    assert found.targets == 6


def test_the_decoder_sees_no_later_word_and_all_of_the_source():
    model, source, target = translator(), ids(2, 6), ids(2, 5)
    expected = model(source, decoder_input_ids=target).logits
    for i in range(4):
        other = target.copy()
        other[:, i + 1 :] = ids(2, 5, seed=1)[:, i + 1 :]
        assert same_bits(model(source, decoder_input_ids=other).logits[:, : i + 1],
                         expected[:, : i + 1])  # fmt: skip
    for j in range(6):
        other = source.copy()
        other[:, j] = 2 + (other[:, j] - 1) % (WORDS - 2)
        difference = np.abs((model(other, decoder_input_ids=target).logits - expected).data)
        assert (difference.max(axis=(0, 2)) > 1e-6).all()


@pytest.mark.parametrize("norm", ["post", "pre", "rezero"])
def test_padding_of_the_source_changes_nothing(norm):
    model, source, labels = translator(norm=norm), ids(2, 4), ids(2, 5)
    padded = np.concatenate([source, np.zeros((2, 3), int)], axis=1)
    mask = (padded != 0).astype(int)
    alone = model(source, labels=labels)
    for found in (model(padded, labels=labels), model(padded, mask, labels=labels)):
        close(found.logits, alone.logits, 1e-12)
        close(found.loss, alone.loss, 1e-12)
    close(model.encode(padded)[:, :4], model.encode(source), 1e-12)
    padded[:, 4:] = 5  # what stands there does not matter, if the mask says that it is padding
    close(model(padded, mask, labels=labels).logits, alone.logits, 1e-12)
    assert np.abs((model(padded, labels=labels).logits - alone.logits).data).max() > 1e-3


def test_the_order_of_inputs_is_that_of_hugging_face():
    model, source, before, labels = translator(), ids(2, 4), ids(2, 5), ids(2, 5, seed=1)
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0]])
    named = {"attention_mask": mask, "decoder_input_ids": before, "labels": labels}
    found, expected = model(source, mask, before, labels), model(source, **named)
    assert same_bits(found.loss, expected.loss) and same_bits(found.logits, expected.logits)
    with pytest.raises(TypeError, match="positional"):
        model(source, mask, before, labels, True)


def test_padding_of_the_target_changes_no_loss():
    model, source, labels = translator(), ids(2, 4), ids(2, 5)
    padded = np.concatenate([labels, np.full((2, 2), -100)], axis=1)
    close(model(source, labels=padded).loss, model(source, labels=labels).loss, 1e-12)


@given(
    st.sampled_from(["post", "pre"]),
    st.sampled_from(["sinusoidal", "learned"]),
    st.lists(st.integers(1, 5), min_size=1, max_size=4),
)
@settings(max_examples=20)
def test_a_cache_gives_what_a_full_pass_gives(norm, positions, pieces):
    model = translator(norm=norm, positions=positions, max_length=24)
    source, target = ids(2, 6), ids(2, sum(pieces))
    source[1, 4:] = 0
    mask = source != 0
    with no_grad():
        states = model.encode(source, mask)
        expected = model(source, decoder_input_ids=target).logits.data
        close(model.decode(target, states, mask).logits, Tensor(expected), 1e-12)
        cache, begin = model.new_cache(), 0
        for piece in pieces:
            here = slice(begin, begin + piece)
            found = model.decode(target[:, here], states, mask, cache=cache).logits.data
            np.testing.assert_allclose(found, expected[:, here], rtol=1e-10, atol=1e-10)
            begin += piece


def test_dropout_of_everything_leaves_nothing_to_tell_words_apart():
    model = translator(dropout=1.0, norm="pre").train()
    assert same_bits(model.encode(ids(2, 5)), model.encode(ids(2, 5, seed=1)))
    model.eval()
    assert not same_bits(model.encode(ids(2, 5)), model.encode(ids(2, 5, seed=1)))


def test_settings_come_to_their_parts():
    model = translator(dropout=0.25, dim_feedforward=5, activation="gelu", target_vocab_size=7)
    for block in (*model.encoder.layers, *model.decoder.layers):
        assert block.attention_sum.dropout.p == block.attention.dropout == 0.25
        assert block.feed_forward.up.out_features == 5 and block.feed_forward.activation == "gelu"
    assert model.source.padding_idx == model.target.padding_idx == 0


def test_learned_positions_alone_have_an_end():
    assert translator().config.max_position_embeddings is None
    config = translator(positions="learned", max_length=9).config
    assert config.max_position_embeddings == 9


def test_the_last_scores_alone():
    model, states = translator(), Tensor(drawn(2, 3, 8))
    output = model.decode(ids(2, 5), states, logits_to_keep=1)
    assert output.logits.shape == (2, 1, WORDS) and output.last_hidden_state.shape == (2, 5, 8)
    close(output.logits, model.decode(ids(2, 5), states).logits[:, -1:], 1e-13)


def test_one_matrix_serves_source_target_and_head():
    model, source, labels = translator(), ids(2, 5), ids(2, 4)
    assert model.source is model.target and model.head is None
    weight = model.source.weight
    both = grad(model(source, labels=labels).loss, weight)
    uses = [Tensor(weight.data, requires_grad=True) for _ in range(3)]
    before = np.concatenate([np.ones((2, 1), int), labels[:, :-1]], axis=1)
    rows = iter([F.embedding(source, uses[0]), F.embedding(before, uses[1])])
    model.source.register_forward_hook(lambda *_: next(rows))
    x = model(source, decoder_input_ids=before).last_hidden_state
    loss = F.linear_cross_entropy(x, uses[2], labels, transposed=True)
    parts = grad(loss, uses)
    close(both, parts[0] + parts[1] + parts[2], 1e-12)
    assert all(np.abs(part.data).max() > 1e-3 for part in parts)


def test_two_vocabularies_and_a_head_of_its_own():
    model = translator(target_vocab_size=7, tied=False)
    output = model(ids(2, 5), labels=ids(2, 3) % 5)
    assert output.logits.shape == (2, 3, 7) and model.head.weight.shape == (8, 7)
    scores = output.logits.reshape(-1, 7)
    close(output.loss, F.cross_entropy(scores, (ids(2, 3) % 5).reshape(-1)), 1e-13)
    tied = translator(target_vocab_size=7)
    assert count(model) - count(tied) == 8 * 7
    assert tied(ids(2, 5), labels=ids(2, 3) % 5).logits.shape == (2, 3, 7)


def test_numbers_of_parameters():
    """One embedding, encoder blocks of 12 D² + 13 D, decoder blocks of 16 D² + 19 D."""
    d = 8
    blocks = 2 * (12 * d * d + 13 * d) + 2 * (16 * d * d + 19 * d)
    assert count(translator()) == WORDS * d + blocks
    assert count(translator(norm="pre")) == WORDS * d + blocks + 2 * 2 * d
    assert count(translator(positions="learned", max_length=9)) == WORDS * d + blocks + 9 * d


def test_how_it_begins():
    manual_seed(0)
    config = models.TransformerConfig(500, d_model=64, nhead=4, positions="learned")
    model = models.Transformer(config)
    weight = model.source.weight.data
    assert not weight[0].any() and weight[1:].std() == pytest.approx(1 / 8, rel=0.02)
    for name, p in model.named_parameters():
        if name.endswith("bias"):
            assert not p.data.any()
        elif p.ndim == 2 and name != "source.weight":
            xavier = np.sqrt(2 / sum(p.shape))
            expected = 0.02 if name == "positions.weight" else xavier
            assert p.data.std() == pytest.approx(expected, rel=0.05), name


def test_attention_maps_where_asked_for():
    output = translator()(ids(2, 6), labels=ids(2, 4), output_attentions=True)
    assert [m.shape for m in output.attentions["encoder"]] == [(2, 2, 6, 6)] * 2
    assert [m.shape for m in output.attentions["decoder"]] == [(2, 2, 4, 4), (2, 2, 4, 6)] * 2
    assert translator()(ids(2, 6), labels=ids(2, 4)).attentions is None


def test_it_learns_to_turn_texts_round():
    """Three training pairs, by heart; and greedy choice gives them back word by word."""
    manual_seed(0)
    config = models.TransformerConfig(
        WORDS, d_model=16, nhead=2, encoder_layers=1, decoder_layers=1, dropout=0.0
    )
    model, source = models.Transformer(config), ids(3, 4)
    labels = source[:, ::-1].copy()
    optimizer = optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        loss = model(source, labels=labels).loss
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
    written = np.ones((3, 1), int)
    with no_grad():
        for _ in range(4):
            best = model(source, decoder_input_ids=written).logits.data[:, -1].argmax(axis=-1)
            written = np.concatenate([written, best[:, None]], axis=1)
    assert np.array_equal(written[:, 1:], labels)


def test_summary_and_weights_in_files(tmp_path):
    model, source, labels = translator(), ids(2, 5), ids(2, 4)
    text = model.summary(source, labels=labels)
    assert f"{count(model):,} parameters" in text and "activations" in text
    nn.save_weights(model, tmp_path / "weights")
    other = models.Transformer(model.config).astype("float64").eval()
    nn.load_weights(other, tmp_path / "weights")
    assert same_bits(other(source, labels=labels).loss, model(source, labels=labels).loss)


def test_on_a_device_the_bits_are_those_of_the_cpu():
    model, source, labels = translator(), ids(2, 5), ids(2, 4)
    source[1, 3:], labels[0, 2:] = 0, -100
    here = model(source, labels=labels)
    with strict_cupy.installed() as cupy:
        there = model.to("cuda")(cupy.asarray(source), labels=cupy.asarray(labels))
        assert there.loss.device == "cuda:0" and there.targets == here.targets
        assert same_bits(there.loss.to("cpu"), here.loss)
        model.to("cpu")


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({}, ValueError, "Transformer: give labels or decoder_input_ids"),
        ({"labels": [1, 2]}, ValueError, r"Transformer: labels \(2,\), expected \(B, T\)"),
        ({"labels": ids(3, 4)}, ValueError, "Transformer: 3 targets for 2 sources"),
        ({"labels": ids(2, 4), "input_ids": [2, 3]}, ValueError, r"input_ids \(2,\), expected"),
        ({"labels": ids(2, 4), "attention_mask": [[1] * 4] * 2}, ValueError, r"a mask \(2, 4\)"),
        ({"decoder_input_ids": ids(2, 3), "labels": ids(2, 4)}, ValueError, r"\(2, 4\)"),
    ],
)
def test_what_does_not_fit(arguments, kind, message):
    with pytest.raises(kind, match=message):
        translator()(**{"input_ids": ids(2, 5), **arguments})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"positions": "rotary"}, "TransformerConfig: positions 'rotary' is not one of sinusoidal"),
        ({"d_model": 9, "nhead": 3}, "TransformerConfig: d_model 9 is odd"),
        ({"nhead": 3}, "TransformerConfig: nhead 3 does not divide d_model 8"),
        ({"nhead": 0}, "TransformerConfig: nhead 0 is below 1"),
        ({"vocab_size": 0}, "TransformerConfig: vocab_size 0 is below 1"),
        ({"target_vocab_size": 0}, "TransformerConfig: target_vocab_size 0 is below 1"),
        ({"encoder_layers": 0}, "TransformerConfig: encoder_layers 0 is below 1"),
        ({"decoder_layers": 0}, "TransformerConfig: decoder_layers 0 is below 1"),
        ({"dim_feedforward": 0}, "TransformerConfig: dim_feedforward 0 is below 1"),
        ({"max_length": 0}, "TransformerConfig: max_length 0 is below 1"),
        ({"dropout": 1.5}, r"TransformerConfig: dropout is a probability, not 1\.5"),
        ({"norm": "first"}, "norm 'first' is not one of post, pre, rezero, bare"),
    ],
)
def test_sizes_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        translator(**options)

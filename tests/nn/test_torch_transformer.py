"""Attention, Transformer layers and whole models give PyTorch's recorded outputs and gradients: in
float64 to 1e-10, and in float32 to 1e-5 of the largest number."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.fixtures import make_torch_transformer as made
from tests.nn import torch_names
from tinygrad_llm import Tensor, grad, models, nn, no_grad, optim
from tinygrad_llm.files import load_safetensors

B, T, S, D, H, HIDDEN = made.B, made.T, made.S, made.D, made.H, made.HIDDEN
RECORDED = load_safetensors(made.FILE)[0]
TOLERANCE = {"float64": 1e-10, "float32": 1e-5}

pytestmark = pytest.mark.parametrize("dtype", ["float64", "float32"])


def of(case: str) -> dict[str, np.ndarray]:
    """What was recorded of a case."""
    return torch_names.under(f"{case}/", RECORDED)


def agree(ours: Tensor, theirs: np.ndarray) -> None:
    assert ours.shape == theirs.shape
    worst = np.abs(ours.numpy() - theirs).max()
    # Gradients of biases of keys are 0 but for rounding: so not of the largest number alone.
    assert worst <= TOLERANCE[ours.dtype.name] * max(np.abs(theirs).max(), 0.1)


def given(name: str, *shape: int, dtype: str) -> Tensor:
    return Tensor(made.numbers(name, shape).astype(dtype), requires_grad=True)


def gradients(case: str) -> dict[str, np.ndarray]:
    return torch_names.under("d ", of(case))


def filled(module: nn.Module, translate: Callable, names: dict, dtype: str) -> nn.Module:
    """The module with the weights that PyTorch's had, known by their names and shapes."""
    torch = {name: made.weight(name, array.shape) for name, array in names.items()}
    module.astype(dtype).load_state_dict(translate(torch))
    return module


def weighted(y: Tensor) -> Tensor:
    return (y * made.numbers("c", y.shape).astype(y.dtype)).sum()


def check(case: str, module: nn.Module, translate: Callable, inputs: dict, run: Callable) -> None:
    """Output, and the gradients of all inputs and all parameters."""
    found = of(case)
    theirs = {n: g for n, g in gradients(case).items() if n not in inputs}
    y = run(filled(module, translate, theirs, next(iter(inputs.values())).dtype), *inputs.values())
    agree(y, found["y"])
    parameters = dict(module.named_parameters())
    leaves = {**inputs, **parameters}
    ours = dict(zip(leaves, grad(weighted(y), list(leaves.values()))))
    expected = translate(theirs)
    assert set(expected) == set(parameters)
    for name, g in {**{n: found[f"d {n}"] for n in inputs}, **expected}.items():
        agree(ours[name], g)


def test_rms_norm(dtype):
    inputs = {"x": given("x", B, T, D, dtype=dtype)}
    check("rms norm", nn.RMSNorm(D), lambda torch: torch, inputs, lambda m, x: m(x))


@pytest.mark.parametrize("case", ["self", "padding", "causal", "both"])
def test_attention_of_a_text_to_itself(case, dtype):
    how = {"mask": made.PADDED if case in ("padding", "both") else None}
    how["is_causal"] = case in ("causal", "both")
    module, inputs = nn.MultiHeadAttention(D, H), {"x": given("x", B, S, D, dtype=dtype)}
    check(f"mha {case}", module, torch_names.attention, inputs, lambda m, x: m(x, **how))
    agree(module(*inputs.values(), return_weights=True, **how)[1], of(f"mha {case}")["map"])


def test_attention_to_a_memory_of_another_width(dtype):
    inputs = {
        "x": given("x", B, T, D, dtype=dtype),
        "memory": given("memory", B, S, 6, dtype=dtype),
    }
    module = nn.MultiHeadAttention(D, H, memory_width=6)
    run = lambda m, x, memory: m(x, memory, mask=made.PADDED == 1)  # noqa: E731
    check("mha cross", module, torch_names.attention, inputs, run)


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("case", ["layer relu", "layer gelu", "stack"])
@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_blocks(kind, case, norm, dtype):
    inputs = {"x": given("x", B, S if kind == "encoder" else T, D, dtype=dtype)}
    masks = {"mask" if kind == "encoder" else "memory_mask": made.PADDED}
    if kind == "decoder":
        inputs["memory"] = given("memory", B, S, D, dtype=dtype)
    if case == "stack":
        make = nn.TransformerEncoder if kind == "encoder" else nn.TransformerDecoder
        module = make(made.LAYERS, D, H, HIDDEN, norm=norm, cross=kind == "decoder")
        name, translate = f"{kind} {norm}", torch_names.stack
    else:
        cross = {"causal": True, "cross": True} if kind == "decoder" else {}
        act = case.split()[1]
        module = nn.TransformerLayer(D, H, HIDDEN, activation=act, norm=norm, **cross)
        name, translate = f"{kind} layer {norm} {act}", torch_names.layer
    check(name, module, translate, inputs, lambda m, *xs: m(*xs, **masks))


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_an_encoder_decoder_with_one_embedding(norm, dtype):
    model = models.Transformer(
        models.TransformerConfig(
            **{"vocab_size": made.VOCABULARY, "d_model": D, "nhead": H, "norm": norm},
            **{"encoder_layers": made.LAYERS, "decoder_layers": made.LAYERS},
            **{"dim_feedforward": HIDDEN, "dropout": 0.0},
        )
    )
    theirs = gradients(f"translation {norm}")
    filled(model, torch_names.translation, theirs, dtype)
    output = model(made.SOURCE, labels=made.TARGET)
    agree(output.loss, of(f"translation {norm}")["y"])
    agree(output.logits, of(f"translation {norm}")["logits"])
    compare_gradients(model, weighted(output.loss), torch_names.translation(theirs))


def compare_gradients(model: nn.Module, loss: Tensor, expected: dict[str, np.ndarray]) -> None:
    parameters = dict(model.named_parameters())
    assert set(expected) == set(parameters)
    for name, ours in zip(parameters, grad(loss, list(parameters.values()))):
        agree(ours, expected[name])


def gpt2(dtype: str) -> models.GPT2LMHeadModel:
    config = models.GPT2Config(
        **{"vocab_size": made.VOCABULARY, "n_positions": 8, "n_embd": D, "n_layer": made.LAYERS},
        **{"n_head": H, "n_inner": HIDDEN},
        **{"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0},
    )
    return filled(models.GPT2LMHeadModel(config), torch_names.gpt2, gradients("gpt2"), dtype)


def test_gpt2(dtype):
    model = gpt2(dtype)
    output = model(made.IDS, labels=made.LABELS)
    agree(output.loss, of("gpt2")["y"])
    agree(output.logits, of("gpt2")["logits"])
    assert output.targets == (made.LABELS[:, 1:] != -100).sum()
    compare_gradients(model, output.loss, torch_names.gpt2(gradients("gpt2")))


def test_gpt2_with_padding_on_the_left(dtype):
    with no_grad():
        found = gpt2(dtype)(made.IDS, made.LEFT, made.PLACES).logits
    real = made.LEFT == 1
    agree(found[real], of("gpt2 padded")["logits"][real])


def test_three_steps_of_gpt2(dtype):
    model, expected = gpt2(dtype), of("gpt2 trained")
    losses = expected.pop("losses")
    optimizer = optim.AdamW(model.parameters(), **made.STEPS)
    for theirs in losses:
        optimizer.zero_grad()
        loss = model(made.IDS, labels=made.LABELS).loss
        agree(loss, theirs)
        loss.backward()
        optimizer.step()
    expected = torch_names.gpt2(expected)
    for name, p in model.named_parameters():
        # A key's bias adds the same to all scores of a row: its gradient is rounding alone, and
        # Adam makes steps of it that in float32 are anybody's.
        if dtype == "float64" or not name.endswith("key.bias"):
            agree(p, expected[name])


@pytest.mark.parametrize("which", "qk")
def test_rotary(which, dtype):
    x = given(which, B, H, S, 6, dtype=dtype)
    y = nn.Rotary(6)(x, made.PLACES)
    agree(y, of(f"rotary {which}")["y"])
    agree(grad(weighted(y), x), of(f"rotary {which}")["d x"])

"""A map of the ideas of the course: what leads to what, and where in the package each one lives."""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import TopologicalSorter
from typing import Any, NamedTuple

from tinygrad_llm.plot.fonts import advice, all_shown
from tinygrad_llm.plot.layout import Layout, layered
from tinygrad_llm.plot.style import GREY, inches, look

THEMES = {
    "data": "#FBF3C4",
    "numbers": "#CFE8F7",
    "gradients": "#FCE3C5",
    "network": "#D9F0E7",
    "training": "#F6DDEB",
    "looking and checking": "#E9E9E9",
}
"""Theme -> the colour of its boxes."""


class Concept(NamedTuple):
    """One idea, in both languages."""

    english: str
    chinese: str
    module: str
    """What does it: a dotted name without "tinygrad_llm.", shared with no other concept."""
    theme: str
    leads_to: tuple[str, ...]
    """The English names of the ideas that build on this one."""


CONCEPTS = (
    Concept("handwritten digits", "手写数字", "data.load_digits", "data", ("data split",)),
    Concept("text file of labelled rows", "带标签的文本文件", "data.read_labelled", "data",
            ("cleaning",)),
    Concept("corpus", "语料库", "data.corpora", "data",
            ("cleaning", "dictionary segmentation", "byte-pair encoding", "WordPiece",
             "masked language modelling")),
    Concept("dictionary segmentation", "词典分词", "tokenizers.words", "data", ("tokenizer",)),
    Concept("byte-pair encoding", "字节对编码", "tokenizers.BPE", "data", ("tokenizer",)),
    Concept("WordPiece", "WordPiece 子词", "tokenizers.WordPiece", "data", ("tokenizer",)),
    Concept("tokenizer", "分词器", "tokenizers.Tokenizer", "data", ("embedding",)),
    Concept("cleaning", "数据清洗", "data.clean", "data", ("data split",)),
    Concept("data split", "划分数据集", "data.three_way_split", "data",
            ("normalization", "mini-batch", "test set")),
    Concept("normalization", "归一化", "data.MinMaxScaler", "data", ("mini-batch",)),
    Concept("mini-batch", "小批量", "data.DataLoader", "data", ("augmentation", "forward pass")),
    Concept("augmentation", "数据增强", "data.augment", "data", ("forward pass",)),
    Concept("weight file", "权重文件", "files.save_safetensors", "data", ("checkpoint",)),

    Concept("device", "设备", "backend.put", "numbers", ("tensor",)),
    Concept("random stream", "随机数流", "backend.stream", "numbers",
            ("initialization", "dropout", "data split")),
    Concept("tensor", "张量", "tensor.Tensor", "numbers", ("op",)),
    Concept("op", "算子", "ops", "numbers",
            ("function on tensors", "tape", "chain rule", "time by op")),
    Concept("function on tensors", "张量函数", "functional", "numbers",
            ("activation", "neuron", "softmax")),

    Concept("tape", "计算图", "graph", "gradients",
            ("backpropagation", "anomaly detection", "drawing of the tape")),
    Concept("chain rule", "链式法则", "autograd.vjp", "gradients", ("backpropagation",)),
    Concept("backpropagation", "反向传播", "tensor.Tensor.backward", "gradients",
            ("automatic differentiation", "gradient descent", "recomputation",
             "diagnosis by layer")),
    Concept("automatic differentiation", "自动微分", "autograd.grad", "gradients",
            ("second derivative", "gradient check")),
    Concept("second derivative", "二阶导数", "autograd.hessian", "gradients", ()),
    Concept("recomputation", "重计算", "checkpoint", "gradients", ()),

    Concept("neuron", "神经元", "formulas.neuron", "network", ("linear layer",)),
    Concept("activation", "激活函数", "functional.relu", "network", ("neuron",)),
    Concept("linear layer", "线性层", "nn.Linear", "network", ("module",)),
    Concept("embedding", "嵌入", "nn.Embedding", "network", ("module",)),
    Concept("dropout", "随机失活", "nn.Dropout", "network", ("module",)),
    Concept("module", "模块", "nn.Module", "network",
            ("multilayer perceptron", "multi-head attention", "layer normalization")),
    Concept("initialization", "初始化", "nn.init", "network", ("multilayer perceptron",)),
    Concept("multilayer perceptron", "多层感知机", "models.MLP", "network",
            ("forward pass", "weight file")),
    Concept("forward pass", "前向传播", "models.MLP.forward", "network",
            ("cross-entropy", "mean squared error", "precision and recall")),
    Concept("softmax", "归一化指数函数", "functional.softmax", "network",
            ("cross-entropy", "attention")),
    Concept("attention", "注意力", "functional.scaled_dot_product_attention", "network",
            ("multi-head attention", "position encoding")),
    Concept("position encoding", "位置编码", "nn.sinusoidal", "network", ("Transformer block",)),
    Concept("multi-head attention", "多头注意力", "nn.MultiHeadAttention", "network",
            ("Transformer block",)),
    Concept("layer normalization", "层归一化", "nn.LayerNorm", "network", ("Transformer block",)),
    Concept("Transformer block", "Transformer 块", "nn.TransformerLayer", "network",
            ("GPT-2", "BERT", "encoder and decoder")),
    Concept("GPT-2", "生成式预训练模型", "models.GPT2LMHeadModel", "network",
            ("key–value cache", "pretraining")),
    Concept("BERT", "双向编码器", "models.BertModel", "network", ("pretraining",)),
    Concept("encoder and decoder", "编码器与解码器", "models.Transformer", "network",
            ("key–value cache",)),
    Concept("key–value cache", "键值缓存", "nn.KeyValueCache", "network", ("text generation",)),
    Concept("text generation", "文本生成", "generation.generate", "network", ()),

    Concept("cross-entropy", "交叉熵", "functional.cross_entropy", "training",
            ("backpropagation", "loss surface")),
    Concept("mean squared error", "均方误差", "functional.mse_loss", "training",
            ("backpropagation",)),
    Concept("gradient descent", "梯度下降", "formulas.descent", "training",
            ("stochastic gradient descent", "loss surface")),
    Concept("stochastic gradient descent", "随机梯度下降", "optim.SGD", "training",
            ("RMSprop", "learning rate schedule", "gradient clipping", "weight decay")),
    Concept("RMSprop", "均方根传播", "optim.RMSprop", "training", ("Adam",)),
    Concept("Adam", "自适应矩估计", "optim.Adam", "training", ("AdamW", "loss scaling")),
    Concept("weight decay", "权重衰减", "optim.decay_groups", "training", ("AdamW",)),
    Concept("AdamW", "解耦权重衰减的 Adam", "optim.AdamW", "training", ("LAMB", "training loop")),
    Concept("LAMB", "大批量优化器", "optim.LAMB", "training", ()),
    Concept("learning rate schedule", "学习率调度", "optim.linear", "training",
            ("training loop",)),
    Concept("gradient clipping", "梯度裁剪", "optim.clip_grad_norm_", "training",
            ("training loop",)),
    Concept("loss scaling", "损失缩放", "optim.GradScaler", "training", ("training loop",)),
    Concept("training loop", "训练循环", "training.Trainer", "training",
            ("checkpoint", "early stopping", "training curve", "pretraining")),
    Concept("masked language modelling", "掩码语言模型", "data.pretraining", "training",
            ("pretraining",)),
    Concept("pretraining", "预训练", "pretrain.pretrain", "training", ("command", "fine-tuning")),
    Concept("fine-tuning", "微调", "finetune.finetune", "training", ("command",)),
    Concept("command", "命令行", "cli.main", "training", ()),
    Concept("checkpoint", "检查点", "training.load_checkpoint", "training", ()),
    Concept("early stopping", "早停", "training.TrainingArguments", "training",
            ("hyperparameter search",)),
    Concept("hyperparameter search", "超参数搜索", "training.search", "training", ("test set",)),
    Concept("Gaussian process", "高斯过程", "training.GaussianProcess", "training",
            ("hyperparameter search",)),

    Concept("formula of the documents", "文档中的公式", "formulas.CATALOGUE",
            "looking and checking", ("neuron",)),
    Concept("finite difference", "有限差分", "formulas.numeric_gradient", "looking and checking",
            ("gradient check",)),
    Concept("gradient check", "梯度检验", "testing.gradcheck", "looking and checking", ()),
    Concept("anomaly detection", "异常检测", "anomaly", "looking and checking", ()),
    Concept("diagnosis by layer", "逐层诊断", "diagnostics", "looking and checking", ()),
    Concept("time by op", "各算子耗时", "profile", "looking and checking", ()),
    Concept("drawing of the tape", "计算图绘制", "plot.graph", "looking and checking", ()),
    Concept("loss surface", "损失曲面", "plot.loss_surface", "looking and checking", ()),
    Concept("training curve", "训练曲线", "plot.training_curves", "looking and checking", ()),
    Concept("precision and recall", "精确率与召回率", "metrics.classification_report",
            "looking and checking", ("confusion matrix", "test set")),
    Concept("confusion matrix", "混淆矩阵", "plot.confusion_matrix", "looking and checking", ()),
    Concept("test set", "测试集", "training.Trainer.test", "looking and checking", ()),
)  # fmt: skip
"""Every idea of the map."""

FONT = 8.5
LINE, LAYER_HEIGHT, GAP, WIDEST, MARGIN = 0.14, 0.78, 0.26, 7.6, 0.2
"""Inches: of a line of text, from layer to layer, between boxes, of the widest layer, around."""


def concept_map() -> Any:
    """Draw the ideas of the course: an arrow leads from an idea to those that build on it.

    Each box says the idea in English and Chinese and what in `tinygrad_llm` does it; the colour is
    its theme. Where no font has the characters, the Chinese is left out and the figure says so.
    Returns the figure.
    """
    concepts = in_order(CONCEPTS)
    number = {concept.english: i for i, concept in enumerate(concepts)}
    parents: list[list[int]] = [[] for _ in concepts]
    for i, concept in enumerate(concepts):
        for led in concept.leads_to:
            parents[number[led]].append(i)
    with look():
        chinese = all_shown(*(concept.chinese for concept in concepts))
        texts = [_lines(concept, chinese) for concept in concepts]
        widths = [inches(*lines, size=FONT) + 0.16 for lines in texts]
        layout = layered(parents, widths, GAP, WIDEST)
        axes = _canvas(layout, widths)
        _draw_arrows(axes, layout, widths, _height(len(texts[0])))
        for i, concept in enumerate(concepts):
            place = (layout.x[i], layout.level[i] * LAYER_HEIGHT)
            _draw_box(axes, place, widths[i], texts[i], THEMES[concept.theme])
        _draw_legend(axes, "" if chinese else advice("中文"))
    return axes.figure


def in_order(concepts: Sequence[Concept]) -> list[Concept]:
    """The concepts with each one before those it leads to.

    Raises graphlib.CycleError for ideas that build on each other, KeyError for an unknown one.
    """
    known = {concept.english: concept for concept in concepts}
    sorter = TopologicalSorter(dict.fromkeys(known, ()))
    for concept in concepts:
        for led in concept.leads_to:
            sorter.add(known[led].english, concept.english)
    return [known[name] for name in sorter.static_order()]


def _lines(concept: Concept, chinese: bool) -> list[str]:
    lines = [concept.english, concept.chinese, concept.module]
    return lines if chinese else [concept.english, concept.module]


def _canvas(layout: Layout, widths: Sequence[float]) -> Any:
    """Axes whose unit is the inch."""
    import matplotlib.pyplot as plt

    right = max(x + width / 2 for x, width in zip(layout.x, widths))
    low, high = -1.05 - MARGIN, (max(layout.level) + 0.5) * LAYER_HEIGHT + MARGIN
    figure = plt.figure(figsize=(right + 2 * MARGIN, high - low))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-MARGIN, right + MARGIN), ylim=(low, high))
    axes.axis("off")
    return axes


def _draw_box(
    axes: Any, place: tuple[float, float], width: float, lines: Sequence[str], colour: str
) -> None:
    from matplotlib.patches import FancyBboxPatch

    (x, y), height = place, _height(len(lines))
    corner = (x - width / 2, y - height / 2)
    style: dict[str, Any] = {"boxstyle": "round,pad=0,rounding_size=0.05", "linewidth": 0.7}
    style |= {"facecolor": colour, "edgecolor": GREY, "zorder": 2}
    axes.add_patch(FancyBboxPatch(corner, width, height, **style))
    for i, line in enumerate(lines):
        is_module = i == len(lines) - 1
        text: dict[str, Any] = {"ha": "center", "va": "center", "zorder": 3}
        text |= {"fontsize": FONT - 1.5 * is_module, "color": GREY if is_module else "black"}
        axes.text(x, y + LINE * ((len(lines) - 1) / 2 - i), line, **text)


def _height(lines: int) -> float:
    return lines * LINE + 0.08


def _draw_arrows(axes: Any, layout: Layout, widths: Sequence[float], height: float) -> None:
    """A smooth curve for each route, straight where it passes a layer, an arrow at its end."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    arrow: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 8, "shrinkA": 0, "shrinkB": 0}
    arrow |= {"color": "#777777", "linewidth": 0.9, "zorder": 1}
    leave, enter = _ports(layout, widths, 0), _ports(layout, widths, -1)
    for key, route in layout.routes.items():
        y = [layout.level[point] * LAYER_HEIGHT for point in route]
        places = [leave[key], *(layout.x[point] for point in route[1:-1]), enter[key]]
        vertices, codes = [(places[0], y[0] - height / 2)], [Path.MOVETO]
        for i in range(1, len(route)):
            (x0, y0), (x1, y1) = vertices[-1], (places[i], y[i] + height / 2)
            vertices += [(x0, (y0 + y1) / 2), (x1, (y0 + y1) / 2), (x1, y1)]
            codes += [Path.CURVE4] * 3
            if i < len(route) - 1:
                vertices.append((x1, y[i] - height / 2))
                codes.append(Path.LINETO)
        axes.add_patch(FancyArrowPatch(path=Path(vertices, codes), **arrow))


def _ports(layout: Layout, widths: Sequence[float], end: int) -> dict[tuple[int, int], float]:
    """x where each route leaves its first box (end 0) or enters its last (-1), side by side."""
    places = {}
    for node, width in enumerate(widths):
        routes = {key: route for key, route in layout.routes.items() if route[end] == node}
        neighbour = 1 if end == 0 else -2
        keys = sorted(routes, key=lambda key: (layout.x[routes[key][neighbour]], key))
        for i, key in enumerate(keys):
            places[key] = layout.x[node] + 0.8 * width * ((i + 1) / (len(keys) + 1) - 0.5)
    return places


def _draw_legend(axes: Any, note: str) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=c, edgecolor=GREY, label=theme) for theme, c in THEMES.items()]
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, 0.02), "ncols": len(handles)}
    says = "An arrow leads to what builds on it. Small: where it is in tinygrad_llm."
    axes.legend(handles=handles, title=f"{says}\n{note}".strip(), fontsize=8, **place)

"""The catalogue: every formula id with its source, subject, verdict and place in the package.

F01-F90 are formulas that the five documents (000 to 004) print, describe in words or imply by
code. G01-G34 are formulas that the documents need and print nowhere, so their source is "-".
A mixed verdict is entered by the part that a reader would stumble over.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """What a finite difference, or a second look, says about the formula as printed."""

    OK = "OK"
    """True as printed."""
    INCOMPLETE = "INCOMPLETE"
    """True as far as it goes; something is left out that an implementation needs."""
    AMBIGUOUS = "AMBIGUOUS"
    """Two readings; one of them is wrong."""
    IMPRECISE = "IMPRECISE"
    """The formula holds; a claim made beside it in words does not."""
    WRONG = "WRONG"
    """False as printed."""
    MISSING = "MISSING"
    """Named in the documents, printed nowhere."""
    NEEDED = "NEEDED"
    """Not in the documents; what they describe cannot be built without it."""


@dataclass(frozen=True)
class Entry:
    """One line of the catalogue.

    `source` reads like "000 §3.1.1; 003 §4.1", or "-". `where` holds the dotted names, below
    `tinygrad_llm`, of the public functions and classes that use the formula; empty when none do.
    """

    id: str
    source: str
    subject: str
    verdict: Verdict
    where: tuple[str, ...]


_TABLE = """
F01 | 000 §3.1.1 | one neuron (神经元) | OK
F02 | 000 §3.1.2 | a network as layers of neurons (神经网络) | INCOMPLETE
F03 | 000 §4.1.1 | hidden pre-activation (隐藏层) | OK
F04 | 000 §4.1.1 | hidden activation (激活函数) | OK
F05 | 000 §4.1.1 | output pre-activation (输出层) | OK
F06 | 000 §4.1.1 | output map by task (输出函数) | INCOMPLETE
F07 | 000 §4.1.2 | error at the output (输出层误差) | WRONG
F08 | 000 §4.1.2 | error at the hidden layer (隐藏层误差) | WRONG
F09 | 000 §4.1.2 | update of the output weights (权重更新) | WRONG
F10 | 000 §4.1.2 | update of the hidden weights (权重更新) | WRONG
F11 | 000 §4.1.2 | update of the output bias (偏置更新) | INCOMPLETE
F12 | 000 §4.1.2 | update of the hidden bias (偏置更新) | INCOMPLETE
F13 | 000 §4.2.1 | stochastic gradient descent (随机梯度下降) | WRONG
F14 | 000 §4.2.1 | Adam, first moment (一阶矩) | WRONG
F15 | 000 §4.2.1 | Adam, second moment (二阶矩) | WRONG
F16 | 000 §4.2.1 | Adam, first bias correction (偏差修正) | OK
F17 | 000 §4.2.1 | Adam, second bias correction (偏差修正) | OK
F18 | 000 §4.2.1 | Adam, the step (参数更新) | OK
F19 | 000 §4.2.2 | L2 penalty (L2正则化) | INCOMPLETE
F20 | 000 §4.2.2 | penalised loss and its λ (正则化损失) | AMBIGUOUS
F21 | 001 §4.1 | fully connected network (全连接网络) | WRONG
F22 | 001 §4.1 | empirical risk (经验风险) | AMBIGUOUS
F23 | 001 §4.2 | binary cross-entropy, one sample (二分类交叉熵) | OK
F24 | 001 §4.2 | binary cross-entropy, mean (二分类交叉熵) | OK
F25 | 001 §4.2 | gradient of binary cross-entropy (梯度) | OK
F26 | 001 §4.2-4.3 | model with values in (0,1), optimum θ* (最优参数) | IMPRECISE
F27 | 002 §4 | binary cross-entropy to pretrain with (预训练损失) | WRONG
F28 | 003 §3.1.1 | scaled dot-product attention (自注意力) | OK
F29 | 003 §4.2.1 | scaled dot-product attention, again (自注意力) | OK
F30 | 003 §4.2.2 | heads concatenated and projected (多头注意力) | OK
F31 | 003 §4.2.2 | one head of several (注意力头) | WRONG
F32 | 003 §4.2.2 | position-wise feed-forward network (前馈神经网络) | OK
F33 | 003 §3.1.2; 003 §4.2.2 | order within a block (模块结构) | INCOMPLETE
F34 | 003 §4.3.1 | encoder input (输入嵌入) | INCOMPLETE
F35 | 003 §4.3.1 | encoder attention step (编码器注意力) | INCOMPLETE
F36 | 003 §4.3.1 | encoder feed-forward step (编码器前馈) | INCOMPLETE
F37 | 003 §4.3.1 | encoder output (编码器输出) | WRONG
F38 | 003 §4.3.2 | context is the encoder output (上下文) | OK
F39 | 003 §4.3.2 | decoder input (解码器输入) | WRONG
F40 | 003 §4.3.2 | decoder self-attention (解码器自注意力) | WRONG
F41 | 003 §4.3.2 | decoder cross-attention (交叉注意力) | WRONG
F42 | 003 §4.3.2 | decoder feed-forward step (解码器前馈) | INCOMPLETE
F43 | 003 §4.3.2 | output over the vocabulary (输出层) | INCOMPLETE
F44 | 004 §4.1 | multilayer perceptron (多层感知机) | WRONG
F45 | 004 §4.1 | scaled dot-product attention (自注意力) | OK
F46 | 004 §4.1 | mean squared error (均方误差) | OK
F47 | 004 §4.1 | cross-entropy (交叉熵损失) | INCOMPLETE
F48 | 004 §4.2 | gradient by back-propagation (反向传播) | INCOMPLETE
F49 | 004 §4.2 | weight decay (权重衰减) | AMBIGUOUS
F50 | 004 §4.2 | dropout as a factor (随机失活) | WRONG
F51 | 004 §4.2 | gradient descent (梯度下降) | AMBIGUOUS
F52 | 004 §4.2 | order of attention's steps (注意力步骤) | WRONG
F53 | 000 §3.2.1 | min-max scaling (归一化) | INCOMPLETE
F54 | 000 §3.2.2 | full-batch gradient (批量训练) | OK
F55 | 000 §3.2.2 | one-sample gradient (随机梯度) | OK
F56 | 000 §3.2.2 | mini-batch gradient (小批量) | OK
F57 | 000 §3.2.3 | accuracy (准确率) | OK
F58 | 000 §3.2.3 | precision (精确率) | OK
F59 | 000 §3.2.3 | recall (召回率) | OK
F60 | 000 §3.2.3 | F1 score (F1值) | INCOMPLETE
F61 | 000 §4.2.2 | dropout as a mask (随机失活) | INCOMPLETE
F62 | 000 §3.1.1-2; 003 §4.1; 004 §4.1 | activations by name (激活函数) | INCOMPLETE
F63 | 000 §3.3.3, §4.3; 001 §2.1, §3.2 | tuning the head alone (只训练输出层) | OK
F64 | 003 §4.1 | L1 penalty (L1正则化) | MISSING
F65 | 001 §2.1, §9 | adversarial samples (对抗训练) | MISSING
F66 | 001 §9 | gradient accumulation (梯度累积) | MISSING
F67 | 001 §9 | ensemble of models (多模型集成) | INCOMPLETE
F68 | 001 §5.2 | mean loss of an epoch (平均损失) | WRONG
F69 | 001 §5.2 | predicted class from two logits (预测类别) | WRONG
F70 | 002 §4; 001 §3.1 | step against the gradient (梯度下降) | OK
F71 | 003 §3.2.1; 004 §3.1.2 | masked language model (掩码语言模型) | INCOMPLETE
F72 | 003 §3.2.2 | next sentence prediction (下一句预测) | WRONG
F73 | 003 §3.1.2 | place of the feed-forward network (前馈网络的位置) | WRONG
F74 | 003 §3.4.5, §5.2.3 | warm-up of 500 steps (学习率预热) | WRONG
F75 | 004 §3.1.2, §3.2.2 | BERT's two directions (双向编码器) | WRONG
F76 | 004 §3.2.1 | residual and layer norm (残差连接与层归一化) | OK
F77 | 004 §3.2.1 | number of feed-forward networks (前馈网络) | WRONG
F78 | 004 §3.2.1 | positional encoding (位置编码) | MISSING
F79 | 004 §5.2 | attention mask of a padded batch (注意力掩码) | WRONG
F80 | 004 §5.2 | accuracy in percent (准确率) | OK
F81 | 001 §9 | quantization (量化) | MISSING
F82 | 001 §5.2 | one-hot labels and their loss (独热标签) | WRONG
F83 | 004 §2.1 | language model as a product (语言模型) | OK
F84 | 000 §9.2 | size of the learning rate (学习率) | IMPRECISE
F85 | 003 §3.1.1 | what attention sums (加权求和) | WRONG
F86 | 003 §3.1.2 | what the heads split (多头划分) | WRONG
F87 | 003 §3.2 | MLM and NSP together (联合损失) | WRONG
F88 | 004 §3.2.1 | which decoder states are read (解码器状态) | AMBIGUOUS
F89 | 000 §9.2 | batch size and gradient noise (批次大小) | INCOMPLETE
F90 | 004 §3.3 | cost of attention (计算复杂度) | INCOMPLETE
G01 | - | derivatives of sigmoid, tanh, ReLU (激活函数导数) | NEEDED
G02 | - | softmax, alone and with cross-entropy (softmax梯度) | NEEDED
G03 | - | gradients of a linear layer (线性层梯度) | NEEDED
G04 | - | gradient of an embedding (嵌入梯度) | NEEDED
G05 | - | gradients of attention (注意力梯度) | NEEDED
G06 | - | attention masks (注意力掩码) | NEEDED
G07 | - | layer norm and its gradient (层归一化) | NEEDED
G08 | - | GELU, exact and by tanh (GELU激活) | NEEDED
G09 | - | sine and learned positions (位置编码) | NEEDED
G10 | - | LSTM and its gradient (长短期记忆) | NEEDED
G11 | - | language model loss, perplexity (困惑度) | NEEDED
G12 | - | BERT's joint loss, tied weights (联合损失) | NEEDED
G13 | - | RMSprop (均方根传播) | NEEDED
G14 | - | LAMB (层自适应学习率) | NEEDED
G15 | - | warm-up and linear decay (学习率预热) | NEEDED
G16 | - | gradient clipping, initialization (梯度裁剪与初始化) | NEEDED
G17 | - | LoRA (低秩适配) | NEEDED
G18 | - | adapter (适配器) | NEEDED
G19 | - | prefix and prompt tuning (前缀微调与提示微调) | NEEDED
G20 | - | FGSM and FGM (快速梯度法) | NEEDED
G21 | - | distillation (知识蒸馏) | NEEDED
G22 | - | magnitude pruning, sparse storage (剪枝) | NEEDED
G23 | - | loss scaling (损失缩放) | NEEDED
G24 | - | InfoNCE (对比学习) | NEEDED
G25 | - | elastic weight consolidation, replay (持续学习) | NEEDED
G26 | - | differentially private SGD (差分隐私) | NEEDED
G27 | - | federated averaging (联邦平均) | NEEDED
G28 | - | LIME and Shapley values (可解释性) | NEEDED
G29 | - | convolution and pooling (卷积与池化) | NEEDED
G30 | - | GAN losses (生成对抗网络) | NEEDED
G31 | - | IoU, NMS, average precision (目标检测) | NEEDED
G32 | - | BLEU, ROUGE-L, error rates, span F1 (评估指标) | NEEDED
G33 | - | CTC (连接时序分类) | NEEDED
G34 | - | matrix factorization, sampling, user-kNN (推荐与采样) | NEEDED
"""


_PLACES = {
    "functional.matmul": "F01 F03 F05 F09 F10 G03",
    "functional.add": "F11 F12",
    "functional.sigmoid": "F06 F62 G01",
    "functional.tanh": "F04 F62 G01",
    "functional.relu": "F62 G01",
    "functional.softmax": "F06 F62 G02",
    "functional.mean": "F22 F54",
    "functional.mse_loss": "F46",
    "functional.binary_cross_entropy_with_logits": "F23 F24 F25 F27",
    "functional.cross_entropy": "F47 F71 F82 G02 G11",
    "functional.embedding": "G04",
    "functional.gelu": "G08",
    "functional.scaled_dot_product_attention": "F28 F29 F40 F45 F52 F79 F85 G05 G06",
    "functional.layer_norm": "G07",
    "functional.add_layer_norm": "F76 G07",
    "functional.linear_cross_entropy": "F43 F47 F71 G12",
    "functional.dropout": "F50 F61",
    "Tensor.backward": "F07 F08 F48",
    "nn.init.xavier_uniform_": "G16",
    "nn.init.xavier_normal_": "G16",
    "nn.init.kaiming_uniform_": "G16",
    "nn.init.kaiming_normal_": "G16",
    "nn.MultiHeadAttention": "F30 F31 F86 F90",
    "nn.FeedForward": "F32 F73 F77",
    "nn.TransformerLayer": "F33 F35 F36 F41 F42 F73",
    "nn.TransformerEncoder": "F37 F75",
    "nn.sinusoidal": "F34 F78 G09",
    "nn.LearnedPositions": "G09",
    "models.Transformer": "F34 F38 F39 F43 F88",
    "models.GPT2LMHeadModel": "F83 G11",
    "models.BertModel": "F75 G09",
    "models.BertForPreTraining": "F71 F72 F87 G12",
    "optim.SGD": "F13 F20 F51 F64 F70 F84",
    "optim.Adam": "F14 F15 F16 F17 F18 F20",
    "optim.AdamW": "F49",
    "optim.RMSprop": "G13",
    "optim.LAMB": "G14",
    "optim.decay_groups": "F19",
    "optim.linear": "F74 G15",
    "optim.clip_grad_norm_": "G16",
    "optim.GradScaler": "G23",
    "data.MinMaxScaler": "F53",
    "data.one_hot": "F82",
    "data.minibatches": "F55 F56",
    "data.DataLoader": "F55 F56 F89",
    "data.pretraining.MaskedLanguageCollator": "F71",
    "data.pretraining.NextSentencePairs": "F72",
    "metrics.accuracy_score": "F57 F80",
    "metrics.precision_score": "F58",
    "metrics.recall_score": "F59",
    "metrics.f1_score": "F60",
    "metrics.perplexity": "G11",
    "training.Trainer": "F66 F68 F69",
    "finetune.LoRALinear": "G17",
    "finetune.freezing.head_only": "F63",
    "finetune.ensembles.mean_probabilities": "F67",
    "models.MLP": "F02 F21 F26 F44",
}
"""Which public name, below `tinygrad_llm`, uses which formulas."""


def _entry(line: str) -> Entry:
    identifier, source, subject, verdict = (part.strip() for part in line.split("|"))
    where = tuple(place for place, ids in _PLACES.items() if identifier in ids.split())
    return Entry(identifier, source, subject, Verdict(verdict), where)


CATALOGUE: dict[str, Entry] = {
    entry.id: entry for entry in map(_entry, _TABLE.strip().splitlines())
}

import numpy as np
import tinygrad_llm as tg
from tinygrad_llm import nn, functional as F
print(tg.__file__)
from tinygrad_llm.nn.attention import MultiHeadAttention
from tinygrad_llm.nn.positions import *

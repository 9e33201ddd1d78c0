"""Floor 6: data to learn from, and how it is split and cut into mini-batches, as NumPy arrays."""

from tinygrad_llm.data import augment, corpora, pretraining
from tinygrad_llm.data.batches import minibatches
from tinygrad_llm.data.cleaning import Cleaned, CleaningReport, clean
from tinygrad_llm.data.datasets import ArrayDataset, Dataset, ListDataset, Subset
from tinygrad_llm.data.digits import load_digits
from tinygrad_llm.data.hashing import row_hash
from tinygrad_llm.data.labels import LabelEncoder, one_hot
from tinygrad_llm.data.loader import DataLoader
from tinygrad_llm.data.manifest import check_manifest, manifest, write_manifest
from tinygrad_llm.data.padding import Padding
from tinygrad_llm.data.readers import (
    Rows,
    Sentence,
    read_conll,
    read_jsonl,
    read_labelled,
    read_text,
)
from tinygrad_llm.data.scaling import MinMaxScaler, StandardScaler
from tinygrad_llm.data.splits import Split, check_disjoint, stratified_split, three_way_split

__all__ = [
    "ArrayDataset",
    "Cleaned",
    "CleaningReport",
    "DataLoader",
    "Dataset",
    "LabelEncoder",
    "ListDataset",
    "MinMaxScaler",
    "Padding",
    "Rows",
    "Sentence",
    "Split",
    "StandardScaler",
    "Subset",
    "augment",
    "check_disjoint",
    "check_manifest",
    "clean",
    "corpora",
    "load_digits",
    "manifest",
    "minibatches",
    "one_hot",
    "pretraining",
    "read_conll",
    "read_jsonl",
    "read_labelled",
    "read_text",
    "row_hash",
    "stratified_split",
    "three_way_split",
    "write_manifest",
]

"""Guesses what a file that is not safetensors is, so that an error can say so."""

from __future__ import annotations

import codecs
import re

_SIGNATURES = (
    (
        b"PK\x03\x04",
        "a zip archive, perhaps a PyTorch .bin; open it with the loader for .bin files",
    ),
    (b"version https://git-lfs", "a Git LFS pointer without the weights; run `git lfs pull`"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"\x89HDF", "an HDF5 file (Keras or TensorFlow); convert it to safetensors first"),
    (b"GGUF", "a GGUF file; convert it to safetensors first"),
    (b"\x93NUMPY", "a NumPy .npy file; open it with numpy.load"),
)


def describe_foreign_file(beginning: bytes) -> str | None:
    """Name the kind of file that starts with `beginning` and the mend, or None if unknown.

    beginning: the first bytes of the file; 256 are enough. Ask only when the file has failed as
    safetensors: a header of 640 bytes makes a good file begin like a pickle.
    """
    if beginning[4:9] == b"\0\0\0\0{":  # a header shorter than 4 GiB: damaged safetensors
        return None
    for signature, description in _SIGNATURES:
        if beginning.startswith(signature):
            return description
    if re.match(rb"\x80[\x02-\x05]", beginning):  # the opcode PROTO and the protocol
        return "a pickle, perhaps a PyTorch .bin; open it with the loader for .bin files"
    return _describe_text(beginning)


def _describe_text(beginning: bytes) -> str | None:
    """Name the kind of text, or None where the bytes are no text."""
    try:
        # Incremental, because the last character may be cut.
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(beginning).strip()
    except UnicodeDecodeError:
        return None
    # Fewer than four characters may be the first bytes of a cut binary file.
    if len(text) < 4 or not all(c.isprintable() or c.isspace() for c in text):
        return None
    if text.lower().startswith(("<!doctype html", "<html")):
        return "an HTML page; check the address and your login, and download the file again"
    if text.startswith(("{", "[")):
        return "a JSON text; give the path of the .safetensors file itself"
    return "a text file; give the path of the .safetensors file itself"

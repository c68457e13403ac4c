"""CIFAR's Python batches, read without running what a pickle can make Python run.

A pickle names the functions that rebuild its objects. Here every name is refused but those of
numpy's arrays, and even these become inert records: no numpy object is made by the pickle.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.data.formats.folders import one_line
from bench.errors import BenchError

_CODES = frozenset({"u1", "i4", "i8"})
"""Types that pixels and labels have."""


class _DType:
    """What `numpy.dtype(code, align, copy)` would be."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code = code

    def __setstate__(self, state: Any) -> None:
        """Byte order and the like: nothing that bytes and little-endian labels need."""


class _Array:
    """What `numpy.ndarray` would be."""

    def __init__(self, *_: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _from_buffer(raw: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    array = _Array()
    array.state = (1, shape, dtype, order == "F", raw)
    return array


def _encode(text: Any, encoding: Any) -> bytes:
    # how Python 3 writes bytes in protocol 2
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"bytes in the encoding {encoding!r}")
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it wants to call {module}.{name}") from None


def read_batch(data: bytes, name: str) -> dict[str, Any]:
    """Return the dictionary of one batch; its arrays are numpy arrays.

    Args:
        data: the pickle, of Python 2 or 3.
        name: what to call the file in an error.

    Raises:
        BenchError: it is no such pickle, or asks for anything but numpy arrays.
    """
    broken = (
        pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError, KeyError,
        TypeError, ValueError, MemoryError, OverflowError, RecursionError, struct.error,
    )  # fmt: skip
    try:
        batch = _Unpickler(io.BytesIO(data), encoding="latin1").load()
        if not isinstance(batch, dict):
            raise pickle.UnpicklingError(f"it holds a {type(batch).__name__}, not a dict")
        return {_text(key): _array(value) for key, value in batch.items()}
    except broken as error:
        raise BenchError(
            f"expected a CIFAR Python batch, got a pickle that is refused ({one_line(error)}), "
            f"in {name}; download it again from its homepage"
        ) from None


def _text(key: Any) -> str:
    return key.decode("latin1") if isinstance(key, bytes) else str(key)


def _array(value: Any) -> Any:
    if not isinstance(value, _Array):
        return value
    _, shape, dtype, fortran, raw = value.state
    code = _text(dtype.code)
    if code not in _CODES:
        raise ValueError(f"an array of type {code}")
    raw = raw.encode("latin1") if isinstance(raw, str) else bytes(raw)
    kind: npt.DTypeLike = np.dtype(f"<{code}")
    if len(raw) != math.prod(shape) * np.dtype(kind).itemsize:
        raise ValueError(f"{len(raw)} bytes for an array of {shape}")
    return np.frombuffer(raw, dtype=kind).reshape(shape, order="F" if fortran else "C")

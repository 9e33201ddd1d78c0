"""The `cupy.cuda` of the stand-in: one device, streams that have nothing to wait for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tinygrad_llm.testing.strict_cupy._sync import synchronize

DEVICE_MEMORY = 16 << 30


class CUDARuntimeError(RuntimeError):
    """What the CUDA runtime answers when it cannot do as asked."""


@dataclass(frozen=True)
class Device:
    """A device by number; usable as a context manager. Only number 0 exists."""

    id: int = 0

    def use(self) -> None:
        """Make this the current device; CUDARuntimeError unless it is number 0."""
        if self.id != 0:
            raise CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")

    def synchronize(self) -> None:
        """Wait for all work on the device."""
        synchronize("Device.synchronize")

    @property
    def compute_capability(self) -> str:
        """The capability of an H100 or H200."""
        return "90"

    @property
    def mem_info(self) -> tuple[int, int]:
        """(free, total) bytes."""
        return Runtime.memGetInfo()

    def __enter__(self) -> Device:
        self.use()
        return self

    def __exit__(self, *error: Any) -> None:
        return None

    def __int__(self) -> int:
        return self.id


@dataclass(frozen=True)
class MemoryPointer:
    """An address on a device."""

    ptr: int
    device: Device

    @property
    def device_id(self) -> int:
        """The number of the device."""
        return self.device.id


class Stream:
    """A queue of work; usable as a context manager. Everything in it is already done."""

    null: Stream
    _current: Stream

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False):
        self.ptr = 0 if null else id(self)

    @property
    def done(self) -> bool:
        """True when no work is left, which is always."""
        return True

    def synchronize(self) -> None:
        """Wait for the stream's work."""
        synchronize("Stream.synchronize")

    def use(self) -> Stream:
        """Make this the current stream."""
        Stream._current = self
        return self

    def __enter__(self) -> Stream:
        self._before = Stream._current
        return self.use()

    def __exit__(self, *error: Any) -> None:
        Stream._current = self._before


Stream.null = Stream._current = Stream(null=True)


class Runtime:
    """`cupy.cuda.runtime`: the few questions that are asked of the driver."""

    CUDARuntimeError = CUDARuntimeError

    @staticmethod
    def getDeviceCount() -> int:
        """How many devices there are: 1."""
        return 1

    @staticmethod
    def getDevice() -> int:
        """The number of the current device."""
        return 0

    @staticmethod
    def setDevice(device: int) -> None:
        """Make device number `device` the current one."""
        Device(device).use()

    @staticmethod
    def getDeviceProperties(device: int) -> dict[str, Any]:
        """The properties that the driver reports; names are bytes, as in CuPy."""
        Device(device).use()
        return {
            "name": b"strict stand-in for CuPy",
            "major": 9,
            "minor": 0,
            "totalGlobalMem": DEVICE_MEMORY,
            "multiProcessorCount": 132,
            "warpSize": 32,
        }

    @staticmethod
    def memGetInfo() -> tuple[int, int]:
        """(free, total) bytes of device memory."""
        return DEVICE_MEMORY, DEVICE_MEMORY

    @staticmethod
    def deviceSynchronize() -> None:
        """Wait for all work on the current device."""
        synchronize("deviceSynchronize")

    @staticmethod
    def runtimeGetVersion() -> int:
        """The version of the CUDA runtime: 13.0."""
        return 13000


def get_current_stream() -> Stream:
    """The stream that new work goes to."""
    return Stream._current


def is_available() -> bool:
    """True: there is a device."""
    return True


CUDA = (Device, MemoryPointer, Stream, get_current_stream, is_available)
"""What `cupy.cuda` holds."""

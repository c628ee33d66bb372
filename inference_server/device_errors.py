"""Which errors of a model are about the device: out of memory, which passes, and a lost device, which does not.

After an illegal access, a failed launch or a failed device-side assertion every later call into CUDA fails too,
in this process, for as long as it lives. Neither kind has a type of its own in every version of torch, so both
are told by type and by words.
"""

from collections.abc import Iterator
from typing import Final

from inference_server.scheduler import Closed

# Words of cudaGetErrorString, and of cuBLAS and cuDNN, which report another's error as their own failure.
_STICKY: Final = (
    "illegal memory access",
    "illegal instruction",
    "device-side assert",
    "unspecified launch failure",
    "launch failure",
    "launch timed out",
    "misaligned address",
    "invalid program counter",
    "hardware stack error",
    "uncorrectable ECC error",
    "CUDA error: unknown error",
    "CUBLAS_STATUS_EXECUTION_FAILED",
    "CUDNN_STATUS_EXECUTION_FAILED",
)
_NO_MEMORY: Final = ("DefaultCPUAllocator", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


class DeviceLost(Closed):
    """The device answers nothing any more; a new process may find it well."""

    exit_code = 70
    retry_after_s = 30

    def __init__(self, words: str) -> None:
        super().__init__(
            f"the device failed ({words}) and this process cannot use it any more; the supervisor starts another, "
            f"come back in {self.retry_after_s} s"
        )
        self.words = words


def lost_device(error: BaseException) -> str | None:
    """The words by which `error`, or what it was raised from, means that the device is lost; else None."""
    for one in _chain(error):
        # A ValueError may quote anything; torch speaks of its device in RuntimeErrors.
        if isinstance(one, RuntimeError):
            for words in _STICKY:
                if words in str(one):
                    return words
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Python's own, torch's OutOfMemoryError, and the RuntimeErrors of its allocators."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY))
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__

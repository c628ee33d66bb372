import pytest
import torch

from inference_server.device_errors import DeviceLost, is_out_of_memory, lost_device

# As cudaGetErrorString and torch put them.
LOST = [
    "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be asynchronously reported",
    "CUDA error: device-side assert triggered",
    "CUDA error: unspecified launch failure",
    "CUDA error: the launch timed out and was terminated",
    "CUDA error: misaligned address",
    "CUDA error: uncorrectable ECC error encountered",
    "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(...)`",
]


@pytest.mark.parametrize("kind", [RuntimeError, torch.AcceleratorError])
@pytest.mark.parametrize("message", LOST)
def test_what_every_later_call_would_meet_too_means_that_the_device_is_lost(
    kind: type[RuntimeError], message: str
) -> None:
    assert lost_device(kind(message)) is not None
    assert not is_out_of_memory(kind(message))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        torch.AcceleratorError("CUDA error: out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        MemoryError(),
    ],
)
def test_memory_that_ran_out_is_no_lost_device(error: Exception) -> None:
    assert is_out_of_memory(error)
    assert lost_device(error) is None


@pytest.mark.parametrize(
    "error",
    [
        ValueError("device-side assert"),  # quoted by something that is no error of torch's
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (3x4 and 5x6)"),
        RuntimeError("CUDA error: invalid argument"),
    ],
)
def test_an_ordinary_mistake_of_a_model_is_neither(error: Exception) -> None:
    assert lost_device(error) is None
    assert not is_out_of_memory(error)


def test_a_lost_device_is_recognised_behind_the_error_that_was_made_of_it() -> None:
    error = ValueError("the rollout failed")
    error.__cause__ = RuntimeError(LOST[0])

    assert lost_device(error) == "illegal memory access"


def test_a_lost_device_asks_the_supervisor_for_another_process() -> None:
    lost = DeviceLost("illegal memory access")

    assert lost.exit_code == 70
    assert "illegal memory access" in str(lost)

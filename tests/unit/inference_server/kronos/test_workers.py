import pytest
import torch

from inference_server.kronos import workers


@pytest.mark.parametrize("n_cores", [3, 5, 7])  # sizes that nothing else has started a pool for
def test_a_worker_computes_with_one_thread_however_many_the_caller_has(n_cores: int) -> None:
    torch.set_num_threads(n_cores)

    assert workers.gather([torch.get_num_threads] * 20) == [1] * 20
    assert torch.get_num_threads() == n_cores

"""A layer's matrix product, the same for a row whichever other rows are there.

On a CPU the weights are packed once for oneDNN, which reads them in the order in which it multiplies: 1.1 to 2.3
times as fast as unpacked ones, most with few rows. Libraries choose another order of summation for one to three rows
(a matrix times a vector), so there are never fewer than four; a test holds the machine that it runs on to the rest.
"""

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

LEAST_ROWS: Final = 4
"""With fewer rows a product is summed in another order: MKL below 4, oneDNN below 2 (AVX2 and AVX-512, measured)."""


class Linear:
    """x Wᵀ + b of float32 rows [R, in], float32 again; W and the product are in `dtype`."""

    __slots__ = ("_bias", "_packed", "_weight", "dtype", "n_in")

    def __init__(self, weight: Tensor, bias: Tensor | None = None, dtype: torch.dtype = torch.float32) -> None:
        self.dtype, self.n_in = dtype, weight.shape[1]
        # Copies: the parameters that they come from may change in place.
        weight = weight.detach().to(dtype, copy=True).contiguous()
        self._bias = None if bias is None else bias.detach().to(dtype, copy=True)
        on_cpu = weight.device.type == "cpu"
        self._packed = on_cpu and dtype == torch.float32 and bool(torch._C._has_mkldnn)
        self._weight: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, None) if self._packed else weight

    @property
    def device(self) -> torch.device:
        return self._weight.device

    def rows_are_alone(self) -> bool:
        """Whether a row comes out the same bit for bit in batches of several sizes: tried, since no library says."""
        rows = torch.randn(67, self.n_in, generator=torch.Generator().manual_seed(0)).to(self.device)
        whole = self(rows)
        return all(torch.equal(self(rows[:n]), whole[:n]) for n in (1, 4, 5, 12, 46))

    def __call__(self, x: Tensor) -> Tensor:
        """[R, out]."""
        n_rows = len(x)
        if n_rows < LEAST_ROWS and x.device.type == "cpu":
            x = functional.pad(x, (0, 0, 0, LEAST_ROWS - n_rows))
        if self._packed:
            y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, "none", [], "")
        else:
            y = functional.linear(x.to(self.dtype), self._weight, self._bias).float()
        return y[:n_rows]

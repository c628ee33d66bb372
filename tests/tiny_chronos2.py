"""A Chronos-2 of 67 thousand random weights, saved and loaded as the published one is."""

from pathlib import Path

from candlecast.forecasts import LEVELS

CONTEXT, PATCH, N_PATCHES = 512, 16, 8  # bars of lookback that it reads; it reaches 8 patches of 16 bars
REACH = PATCH * N_PATCHES
TRAINED_LEVELS = (0.01, *(round(0.05 * k, 2) for k in range(1, 20)), 0.99)
assert set(LEVELS) <= set(TRAINED_LEVELS)


def save_tiny_chronos2(folder: Path, seed: int = 0) -> Path:
    """`folder` with config.json and model.safetensors of the architecture's own shape, at its smallest."""
    import torch
    from chronos import Chronos2Model
    from chronos.chronos2.config import Chronos2CoreConfig
    from transformers.utils import logging

    logging.disable_progress_bar()
    config = Chronos2CoreConfig(
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        initializer_factor=0.05,
        chronos_config={
            "context_length": CONTEXT,
            "input_patch_size": PATCH,
            "input_patch_stride": PATCH,
            "max_output_patches": N_PATCHES,
            "output_patch_size": PATCH,
            "quantiles": list(TRAINED_LEVELS),
            "time_encoding_scale": CONTEXT,
            "use_arcsinh": True,
            "use_reg_token": True,
        },
        architectures=["Chronos2Model"],
        chronos_pipeline_class="Chronos2Pipeline",
        reg_token_id=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        Chronos2Model(config).save_pretrained(folder)
    return folder

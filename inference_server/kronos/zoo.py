"""The published models: which tokenizer belongs to which predictor, and how many bars it was trained to see.

Neither file of a model says so, and a wrong pair or a wrong context fails silently (ARCHITECTURE §7.1).
"""

from dataclasses import dataclass

from inference_server.kronos.config import PredictorConfig

DEFAULT_CONTEXT = 512


@dataclass(frozen=True, slots=True)
class Published:
    name: str
    model: str
    tokenizer: str
    max_context: int
    shape: tuple[int, int, int, int]
    """n_layers, d_model, n_heads, ff_dim."""


ZOO = (
    Published("kronos-mini", "NeoQuasar/Kronos-mini", "NeoQuasar/Kronos-Tokenizer-2k", 2048, (4, 256, 4, 512)),
    Published("kronos-small", "NeoQuasar/Kronos-small", "NeoQuasar/Kronos-Tokenizer-base", 512, (8, 512, 8, 1024)),
    Published("kronos-base", "NeoQuasar/Kronos-base", "NeoQuasar/Kronos-Tokenizer-base", 512, (12, 832, 16, 2048)),
)


def by_hub_id(model: str) -> Published | None:
    """The published model with this hub id."""
    return next((entry for entry in ZOO if entry.model.lower() == model.lower()), None)


def context_of(config: PredictorConfig) -> int:
    """The context of the published model of this shape, else 512."""
    shape = (config.n_layers, config.d_model, config.n_heads, config.ff_dim)
    return next((entry.max_context for entry in ZOO if entry.shape == shape), DEFAULT_CONTEXT)

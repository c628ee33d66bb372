"""What is trained, on what, and for how long: everything that decides a checkpoint, in one place."""

from dataclasses import dataclass, field

import numpy as np

from inference_server.kronos.config import PredictorConfig, TokenizerConfig
from inference_server.pretraining.training import Course

TRAIN_UNTIL = np.datetime64("2025-01-01", "s")
"""Gradients see only bars that open strictly before this."""
HELD_OUT_UNTIL = np.datetime64("2025-07-01", "s")
"""Early stopping, the choice of bits and space, and the spread look at bars from TRAIN_UNTIL to here."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A shape and its training.

    context : bars that the model sees at once
    everywhere_until : share of the predictor's steps that learn from all bars of a window (see objectives.py)
    """

    tokenizer: TokenizerConfig
    predictor: PredictorConfig
    context: int = 384
    shards: int = 4
    move_weight: float = 1.0
    everywhere_until: float = 0.4
    seed: int = 20250101
    tokenizer_course: Course = field(default_factory=lambda: Course(steps=2400, batch=12, lr=3e-3))
    predictor_course: Course = field(default_factory=lambda: Course(steps=2400, batch=8, lr=2e-3))


WIDTHS = {8: (120, 200), 9: (112, 200), 10: (96, 160)}
"""d_model and ff_dim of the predictor by bits per id, such that all have about a million parameters."""


def nano(bits: int = 10) -> Recipe:
    """`kronos-nano`: about a million parameters in all, under 4 MB as float32; `bits` for each of s1 and s2."""
    d_model, ff_dim = WIDTHS[bits]
    return Recipe(
        TokenizerConfig(
            d_in=6,
            d_model=64,
            n_heads=2,
            ff_dim=160,
            n_enc_layers=3,
            n_dec_layers=3,
            ffn_dropout_p=0.0,
            attn_dropout_p=0.0,
            resid_dropout_p=0.0,
            s1_bits=bits,
            s2_bits=bits,
            beta=0.05,
            gamma0=1.0,
            gamma=1.1,
            zeta=0.05,
            group_size=bits,
        ),
        PredictorConfig(
            s1_bits=bits,
            s2_bits=bits,
            n_layers=4,
            d_model=d_model,
            n_heads=2,
            ff_dim=ff_dim,
            ffn_dropout_p=0.0,
            attn_dropout_p=0.0,
            resid_dropout_p=0.0,
            token_dropout_p=0.0,
            learn_te=True,
        ),
    )

"""Scores: rules fixed before any forecast was issued, losses, and what one pair or one set of paths was worth."""

from candlecast.scoring.losses import fair_crps, fair_energy_score, fair_variogram_score, interval_loss, pinball_loss
from candlecast.scoring.pairs import Pairs, Scores, score_pairs
from candlecast.scoring.path_sets import PathScores, PathSets, score_path_sets
from candlecast.scoring.ranks import uniforms
from candlecast.scoring.rules import (
    OVERLAP_PER_STEP,
    SCORE_VERSION,
    SCORED_STEPS,
    VOID_AFTER,
    VOID_REASONS,
    effective_sample,
    longest_span,
)

__all__ = [
    "OVERLAP_PER_STEP",
    "SCORED_STEPS",
    "SCORE_VERSION",
    "VOID_AFTER",
    "VOID_REASONS",
    "Pairs",
    "PathScores",
    "PathSets",
    "Scores",
    "effective_sample",
    "fair_crps",
    "fair_energy_score",
    "fair_variogram_score",
    "interval_loss",
    "longest_span",
    "pinball_loss",
    "score_pairs",
    "score_path_sets",
    "uniforms",
]

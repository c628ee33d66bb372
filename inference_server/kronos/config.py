"""The constructor arguments of both modules, as their `config.json` holds them.

The context length is in neither file: a caller has to know it (see `zoo.py`).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from inference_server.kronos.errors import WeightsError

CROSS_HEADS = 4
"""The dependency-aware layer has four heads whatever `n_heads` says."""


@dataclass(frozen=True, slots=True)
class _Config:
    @classmethod
    def of(cls, values: Mapping[str, Any], where: str = "config") -> Self:
        """The configuration held by a flat JSON object; keys that it does not know are left alone.

        Raises
        ------
        WeightsError : a key is missing, has the wrong type, or the shape cannot be built.
        """
        missing = sorted(field.name for field in fields(cls) if field.name not in values)
        if missing:
            raise WeightsError(f"{where}: {', '.join(missing)} missing; is this a {cls.__name__} file?")
        chosen: dict[str, Any] = {}
        for field in fields(cls):
            value = values[field.name]
            kind = {"int": int, "bool": bool}.get(str(getattr(field.type, "__name__", field.type)), float)
            if not isinstance(value, bool if kind is bool else (int, float)) or (kind is int and value != int(value)):
                raise WeightsError(f"{where}: {field.name} is {value!r}, expected {kind.__name__}")
            chosen[field.name] = kind(value)
        config = cls(**chosen)
        config._check(where)
        return config

    def _check(self, where: str) -> None:
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """The same flat object, keys sorted."""
        return dict(sorted(asdict(self).items()))


def _check_width(where: str, d_model: int, n_heads: int) -> None:
    if n_heads < 1 or d_model < 1 or d_model % n_heads or (d_model // n_heads) % 2:
        raise WeightsError(
            f"{where}: d_model {d_model} over {n_heads} heads gives no even head width, which the rotary tables need"
        )


def _check_bits(where: str, s1_bits: int, s2_bits: int) -> None:
    if not (1 <= s1_bits <= 20 and 1 <= s2_bits <= 20):
        raise WeightsError(f"{where}: {s1_bits} + {s2_bits} bits; each of s1_bits and s2_bits must lie in 1 to 20")


@dataclass(frozen=True, slots=True)
class TokenizerConfig(_Config):
    """`n_enc_layers` and `n_dec_layers` count one more than the blocks that exist; `group_size` changes no number."""

    d_in: int
    d_model: int
    n_heads: int
    ff_dim: int
    n_enc_layers: int
    n_dec_layers: int
    ffn_dropout_p: float
    attn_dropout_p: float
    resid_dropout_p: float
    s1_bits: int
    s2_bits: int
    beta: float
    gamma0: float
    gamma: float
    zeta: float
    group_size: int

    @property
    def n_bits(self) -> int:
        return self.s1_bits + self.s2_bits

    def _check(self, where: str) -> None:
        _check_width(where, self.d_model, self.n_heads)
        _check_bits(where, self.s1_bits, self.s2_bits)
        if self.n_enc_layers < 1 or self.n_dec_layers < 1:
            raise WeightsError(f"{where}: n_enc_layers and n_dec_layers count one more than the blocks, so at least 1")
        if self.group_size < 1 or self.n_bits % self.group_size:
            raise WeightsError(f"{where}: group_size {self.group_size} does not divide {self.n_bits} bits")


@dataclass(frozen=True, slots=True)
class PredictorConfig(_Config):
    s1_bits: int
    s2_bits: int
    n_layers: int
    d_model: int
    n_heads: int
    ff_dim: int
    ffn_dropout_p: float
    attn_dropout_p: float
    resid_dropout_p: float
    token_dropout_p: float
    learn_te: bool

    def _check(self, where: str) -> None:
        _check_width(where, self.d_model, self.n_heads)
        _check_width(where, self.d_model, CROSS_HEADS)
        _check_bits(where, self.s1_bits, self.s2_bits)

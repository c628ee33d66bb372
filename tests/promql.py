"""Enough of PromQL to hold alert rules to what they say: parsed by its grammar, evaluated on scraped pages.

Known: selectors with matchers and ranges, comparison, arithmetic, `and`, `or`, `unless`, the aggregations sum, min,
max, avg and count with `by`, and the functions of `FUNCTIONS`. Anything else is an error, not a guess. `rate` takes the
first and the last sample of its range as they are; Prometheus extrapolates to the ends, which changes no alert here.
"""

import math
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]
Vector = dict[Labels, float]
Value = float | Vector

TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?(?![\w.]))|(?P<duration>\d+[smhdw])|(?P<name>[a-zA-Z_:][\w:]*)"
    r"|(?P<text>\"(?:[^\"\\]|\\.)*\")|(?P<sign>=~|!~|==|!=|>=|<=|[-+*/(){}\[\],<>=]))"
)
SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
AGGREGATIONS: Final[dict[str, Callable[[list[float]], float]]] = {
    "sum": math.fsum,
    "min": min,
    "max": max,
    "count": lambda values: float(len(values)),
    "avg": lambda values: math.fsum(values) / len(values),
}
FUNCTIONS: Final = ("time", "rate", "increase", "absent", "histogram_quantile", "topk")
COMPARISONS: Final[dict[str, Callable[[float, float], bool]]] = {
    "==": operator.eq, "!=": operator.ne, ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le,
}  # fmt: skip
MATCHERS: Final[dict[str, Callable[[str, str], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "=~": lambda value, wanted: re.fullmatch(wanted, value) is not None,
    "!~": lambda value, wanted: re.fullmatch(wanted, value) is None,
}
LOOK_BACK_S: Final = 300.0  # a sample that is older is not there


class NotPromQL(ValueError):
    """Not an expression that is known here."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """What a server said at a moment, in seconds since 1970."""

    at: float
    samples: dict[str, Vector]

    @classmethod
    def of(cls, at: float, *pages: str) -> "Scrape":
        samples: dict[str, Vector] = {}
        for page in pages:
            for family in text_string_to_metric_families(page):
                for sample in family.samples:
                    samples.setdefault(sample.name, {})[frozenset(sample.labels.items())] = float(sample.value)
        return cls(at, samples)


@dataclass(frozen=True, slots=True)
class Node:
    """A piece of an expression: `kind` says how `parts` are to be read."""

    kind: str
    parts: tuple[Any, ...]


@dataclass(slots=True)
class _Tokens:
    text: str
    tokens: list[tuple[str, str]] = field(default_factory=list)
    place: int = 0

    def __post_init__(self) -> None:
        at = 0
        while self.text[at:].strip():
            found = TOKEN.match(self.text, at)
            if found is None:
                raise NotPromQL(f"{self.text[at : at + 20]!r} in {self.text!r}")
            self.tokens.append((str(found.lastgroup), found.group(str(found.lastgroup))))
            at = found.end()

    def peek(self) -> str:
        return self.tokens[self.place][1] if self.place < len(self.tokens) else ""

    def take(self, *expected: str) -> str:
        kind, text = self.tokens[self.place] if self.place < len(self.tokens) else ("end", "")
        if expected and text not in expected and kind not in expected:
            raise NotPromQL(f"{text or 'the end'!r} where {' or '.join(expected)} was expected, in {self.text!r}")
        self.place += 1
        return text


def parse(text: str) -> Node:
    """The expression as a tree.

    Raises
    ------
    NotPromQL : it is none, or uses more than is known here.
    """
    tokens = _Tokens(text)
    node = _binary(tokens, 0)
    if tokens.peek():
        raise NotPromQL(f"{tokens.peek()!r} after the end of {text!r}")
    return node


def selectors(node: Node) -> Iterator[str]:
    """The metrics that an expression reads."""
    if node.kind == "selector":
        yield node.parts[0]
    for part in node.parts:
        if isinstance(part, Node):
            yield from selectors(part)


LEVELS: Final[tuple[tuple[str, ...], ...]] = (("or",), ("and", "unless"), tuple(COMPARISONS), ("+", "-"), ("*", "/"))


def _binary(tokens: _Tokens, level: int) -> Node:
    if level == len(LEVELS):
        return _primary(tokens)
    node = _binary(tokens, level + 1)
    while tokens.peek() in LEVELS[level]:
        sign = tokens.take()
        node = Node("binary", (sign, node, _binary(tokens, level + 1)))
    return node


def _primary(tokens: _Tokens) -> Node:
    if tokens.peek() == "(":
        tokens.take("(")
        node = _binary(tokens, 0)
        tokens.take(")")
        return node
    if tokens.tokens[tokens.place : tokens.place + 1] and tokens.tokens[tokens.place][0] == "number":
        return Node("number", (float(tokens.take()),))
    name = tokens.take("name")
    if name in AGGREGATIONS:
        by = _by(tokens) if tokens.peek() == "by" else ()
        inner = _arguments(tokens)
        by = _by(tokens) if tokens.peek() == "by" else by
        return Node("aggregation", (name, by, *inner))
    if tokens.peek() == "(":
        if name not in FUNCTIONS:
            raise NotPromQL(f"the function {name} is not known here")
        return Node("function", (name, *_arguments(tokens)))
    return _selector(tokens, name)


def _by(tokens: _Tokens) -> tuple[str, ...]:
    tokens.take("by")
    tokens.take("(")
    names = [tokens.take("name")]
    while tokens.peek() == ",":
        tokens.take(",")
        names.append(tokens.take("name"))
    tokens.take(")")
    return tuple(names)


def _arguments(tokens: _Tokens) -> list[Node]:
    tokens.take("(")
    found: list[Node] = []
    while tokens.peek() != ")":
        found.append(_binary(tokens, 0))
        if tokens.peek() == ",":
            tokens.take(",")
    tokens.take(")")
    return found


def _selector(tokens: _Tokens, name: str) -> Node:
    matchers: list[tuple[str, str, str]] = []
    if tokens.peek() == "{":
        tokens.take("{")
        while tokens.peek() != "}":
            label, sign = tokens.take("name"), tokens.take("=", "!=", "=~", "!~")
            matchers.append((label, sign, tokens.take("text")[1:-1]))
            if tokens.peek() == ",":
                tokens.take(",")
        tokens.take("}")
    span = None
    if tokens.peek() == "[":
        tokens.take("[")
        span = seconds_of(tokens.take("duration"))
        tokens.take("]")
    return Node("selector", (name, tuple(matchers), span))


def seconds_of(duration: str) -> float:
    """`30m` in seconds."""
    return float(duration[:-1]) * SECONDS[duration[-1]]


def evaluate(node: Node, scrapes: Sequence[Scrape], at: float) -> Value:
    """The value of an expression at a moment, from what was scraped by then."""
    match node.kind:
        case "number":
            value: Value = node.parts[0]
        case "selector":
            name, matchers, _ = node.parts
            value = _instant(scrapes, at, name, matchers)
        case "aggregation":
            name, by, inner = node.parts
            value = _aggregated(name, by, _vector(evaluate(inner, scrapes, at)))
        case "function":
            value = _function(node, scrapes, at)
        case _:
            sign, left, right = node.parts
            value = _combined(sign, evaluate(left, scrapes, at), evaluate(right, scrapes, at))
    return value


def _matches(labels: Labels, matchers: Sequence[tuple[str, str, str]]) -> bool:
    there = dict(labels)
    return all(MATCHERS[sign](there.get(label, ""), wanted) for label, sign, wanted in matchers)


def _instant(scrapes: Sequence[Scrape], at: float, name: str, matchers: Sequence[tuple[str, str, str]]) -> Vector:
    newest = max((one for one in scrapes if at - LOOK_BACK_S < one.at <= at), key=lambda one: one.at, default=None)
    if newest is None:
        return {}
    return {labels: value for labels, value in newest.samples.get(name, {}).items() if _matches(labels, matchers)}


def _increase(scrapes: Sequence[Scrape], at: float, node: Node, *, per_second: bool) -> Vector:
    name, matchers, span = node.parts
    if span is None:
        raise NotPromQL(f"rate and increase need a range behind {name}")
    seen: dict[Labels, list[tuple[float, float]]] = {}
    for scrape in sorted(scrapes, key=lambda one: one.at):
        if at - span < scrape.at <= at:
            for labels, value in _instant([scrape], scrape.at, name, matchers).items():
                seen.setdefault(labels, []).append((scrape.at, value))
    found: Vector = {}
    for labels, points in seen.items():
        if len(points) > 1:
            steps = [(b if b < a else b - a) for (_, a), (_, b) in pairwise(points)]
            length = points[-1][0] - points[0][0]
            found[labels] = math.fsum(steps) / length if per_second else math.fsum(steps)
    return found


def _function(node: Node, scrapes: Sequence[Scrape], at: float) -> Value:
    name, *arguments = node.parts
    match name:
        case "time":
            return at
        case "rate" | "increase":
            return _increase(scrapes, at, arguments[0], per_second=name == "rate")
        case "absent":
            return {} if _vector(evaluate(arguments[0], scrapes, at)) else {_equalities(arguments[0]): 1.0}
        case "topk":
            n, vector = evaluate(arguments[0], scrapes, at), _vector(evaluate(arguments[1], scrapes, at))
            return dict(sorted(vector.items(), key=lambda one: -one[1])[: int(_number(n))])
        case _:
            level = _number(evaluate(arguments[0], scrapes, at))
            return _quantiles(level, _vector(evaluate(arguments[1], scrapes, at)))


def _equalities(node: Node) -> Labels:
    """What `absent` knows of what is missing: the labels that a selector asks for by name."""
    if node.kind != "selector":
        return frozenset()
    return frozenset((label, wanted) for label, sign, wanted in node.parts[1] if sign == "=")


def _quantiles(level: float, buckets: Vector) -> Vector:
    """Linear within the bucket, as Prometheus does; the lower bound of the last one where it lies beyond all."""
    by_rest: dict[Labels, list[tuple[float, float]]] = {}
    for labels, n in buckets.items():
        le = dict(labels)["le"]
        by_rest.setdefault(frozenset(one for one in labels if one[0] != "le"), []).append((float(le), n))
    found: Vector = {}
    for rest, points in by_rest.items():
        points.sort()
        rank = level * points[-1][1]
        if not rank > 0.0:
            continue
        low, below = 0.0, 0.0
        for bound, n in points:
            if n >= rank:
                found[rest] = low if math.isinf(bound) else low + (bound - low) * (rank - below) / (n - below)
                break
            low, below = bound, n
    return found


def _aggregated(name: str, by: Sequence[str], vector: Vector) -> Vector:
    grouped: dict[Labels, list[float]] = {}
    for labels, value in vector.items():
        grouped.setdefault(frozenset(one for one in labels if one[0] in by), []).append(value)
    return {labels: AGGREGATIONS[name](values) for labels, values in grouped.items()}


def _combined(sign: str, left: Value, right: Value) -> Value:
    if sign in ("and", "unless", "or"):
        mine, theirs = _vector(left), _vector(right)
        if sign == "or":
            return theirs | mine
        return {labels: value for labels, value in mine.items() if (labels in theirs) == (sign == "and")}
    if sign in COMPARISONS:
        holds = COMPARISONS[sign]
        if isinstance(left, float):
            return {k: v for k, v in _vector(right).items() if holds(left, v)}
        pairs = ((k, v, right if isinstance(right, float) else right.get(k)) for k, v in left.items())
        return {k: v for k, v, other in pairs if other is not None and holds(v, other)}
    return _calculated({"+": operator.add, "-": operator.sub, "*": operator.mul, "/": _divided}[sign], left, right)


def _calculated(work: Callable[[float, float], float], left: Value, right: Value) -> Value:
    if isinstance(left, float) and isinstance(right, float):
        return work(left, right)
    if isinstance(left, float):
        return {k: work(left, v) for k, v in _vector(right).items()}
    if isinstance(right, float):
        return {k: work(v, right) for k, v in left.items()}
    return {k: work(v, right[k]) for k, v in left.items() if k in right}


def _divided(a: float, b: float) -> float:
    return a / b if b else math.nan


def _vector(value: Value) -> Vector:
    if isinstance(value, float):
        raise NotPromQL(f"a number ({value}) where a vector was expected")
    return value


def _number(value: Value) -> float:
    if not isinstance(value, float):
        raise NotPromQL("a vector where a number was expected")
    return value

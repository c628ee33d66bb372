"""The page `/api`: what a program may ask, drawn from the OpenAPI document, so that it cannot say anything else."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from gateway.pages.shell import draw

Document = Mapping[str, Any]

# The tags in the order in which a reader meets them.
GROUPS: Final = {
    "showcase": ("Open", "Nobody needs a key for these, and pages of any origin may read them."),
    "keyed": ("With a key", "Send the key as the header X-API-Key; `candlecast keys create` makes one."),
    "operations": ("Operations", "For whoever runs it."),
}
EXAMPLES: Final = {"symbol": "BTCUSDT", "interval": "1h", "model_name": "baseline-rw"}


def draw_reference(document: Document) -> bytes:
    """The page of an OpenAPI document."""
    routes = list(_routes(document))
    names = {route["tag"] for route in routes}
    titles = {name: GROUPS.get(name, (name.capitalize(), "")) for name in [*GROUPS, *sorted(names - set(GROUPS))]}
    groups = [
        {"name": name, "title": title, "about": about, "routes": [route for route in routes if route["tag"] == name]}
        for name, (title, about) in titles.items()
        if name in names
    ]
    shapes = [
        {"name": name, "about": _first_line(shape), "fields": list(_fields(shape))}
        for name, shape in document.get("components", {}).get("schemas", {}).items()
        if shape.get("properties")
    ]
    return draw("reference.html", place="/api", groups=groups, shapes=shapes)


def _routes(document: Document) -> Iterator[dict[str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parameters = [_parameter(one) for one in operation.get("parameters", [])]
            answers = operation.get("responses", {})
            yield {
                "tag": (operation.get("tags") or ["other"])[0],
                "id": f"{method}{re.sub(r'[^a-z0-9]+', '-', path.lower())}".strip("-"),
                "method": method.upper(),
                "path": path,
                "summary": operation.get("summary", ""),
                "about": " ".join(operation.get("description", "").split()),
                "parameters": parameters,
                "answers": [
                    {"status": status, "about": answer["description"], "shape": _shape(answer)}
                    for status, answer in sorted(answers.items())
                ],
                "example": _example(path, parameters),
            }


def _parameter(parameter: Document) -> dict[str, Any]:
    schema = parameter.get("schema", {})
    return {
        "name": parameter["name"],
        "where": parameter["in"],
        "required": parameter.get("required", False),
        "type": _type(schema),
        "default": schema.get("default"),
        "about": parameter.get("description", ""),
    }


def _fields(shape: Document) -> Iterator[dict[str, Any]]:
    for name, schema in shape["properties"].items():
        yield {"name": name, "type": _type(schema), "about": schema.get("description", "")}


def _type(schema: Document) -> str:
    """A JSON schema in a few words: `string or null`, `list of number`, `one of 1h, 1d`, a shape's name."""
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(_type(one) for one in schema[several]))
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("format", kind))


def _shape(answer: Document) -> str | None:
    for content in answer.get("content", {}).values():
        reference = content.get("schema", {}).get("$ref")
        if reference:
            return str(reference).rsplit("/", 1)[-1]
    return None


def _first_line(shape: Document) -> str:
    return str(shape.get("description", "")).split("\n\n")[0].replace("\n", " ")


def _example(path: str, parameters: list[dict[str, Any]]) -> str | None:
    """An address to try, where every part that has to be named is known."""
    missing = [name for name in re.findall(r"\{(\w+)", path) if name not in EXAMPLES]
    if missing:
        return None
    for name, value in EXAMPLES.items():
        path = path.replace(f"{{{name}}}", value)
    asked = {one["name"] for one in parameters if one["where"] == "query"} & {"interval"}
    return f"{path}?{urlencode({name: EXAMPLES[name] for name in asked})}" if asked else path

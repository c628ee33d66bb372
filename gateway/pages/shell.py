"""Drawing a page: a template inside the layout that all pages share. Text is escaped, and there is no inline code."""

from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from gateway.pages.assets import ASSETS, VERSION

TEMPLATES: Final = Environment(
    loader=PackageLoader("gateway.pages"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,  # a misspelt name is a defect, not an empty place
    trim_blocks=True,
    lstrip_blocks=True,
)
# `assets`: the address below which static/ is served. `charts`: whether set-up could fetch the chart library.
TEMPLATES.globals.update(assets=f"/assets/{VERSION}", charts="vendor/uplot.js" in ASSETS)


def draw(template: str, *, place: str | None, **context: Any) -> bytes:
    """The page of `templates/{template}`, UTF-8; `place` is what the navigation marks as current, if anything."""
    return TEMPLATES.get_template(template).render(place=place, **context).encode()

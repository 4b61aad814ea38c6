"""The report's charts, as SVG that takes its colours from the page: drawn by Vega when the report is built, so that the page needs no script."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import vl_convert

from cdp_pipelines.config import KINDS
from cdp_pipelines.report.figures import Figure, Figures

Spec = dict[str, Any]  # in Vega-Lite's words: https://vega.github.io/vega-lite/docs/
MONTHS = 24
# Pixels: where there is room, and on a phone. Each chart is drawn for both, and the page shows one, since shrinking makes its letters too small.
WIDE, NARROW = 620, 330
# Stand-ins that Vega draws with, and the page's own colours that take their place.
_COLOURS = {
    "ink": "#010101", "quiet": "#020202", "line": "#030303", "accent": "#040404", "faint": "#050505",
    **{kind: f"#0a0a0{n}" for n, kind in enumerate(KINDS)},
}  # fmt: skip
_CRM_COLOURS = {"domain": list(KINDS), "range": [_COLOURS[kind] for kind in KINDS]}
_CONFIG: Spec = {
    "aria": False,  # the page names each chart as a whole, and has its numbers as a table
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    # The reader's font may be wider than the one that Vega measures with.
    "padding": {"left": 32, "right": 16, "top": 5, "bottom": 5},
    "axis": {
        "labelColor": _COLOURS["ink"], "titleColor": _COLOURS["quiet"], "gridColor": _COLOURS["line"], "domainColor": _COLOURS["line"],
        "tickColor": _COLOURS["line"], "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal",
    },
    "legend": {"labelColor": _COLOURS["ink"], "labelFontSize": 12, "title": None, "orient": "top"},
    "bar": {"color": _COLOURS["accent"], "cornerRadiusEnd": 2},
    "text": {"color": _COLOURS["ink"], "fontSize": 12},
}  # fmt: skip


@dataclass(frozen=True)
class Chart:
    """The same chart as SVG for a wide page and for a narrow one."""

    wide: str
    narrow: str


def charts_of(found: Figures) -> dict[str, Chart]:
    """A chart for each figure that has one and rows to draw."""
    return {
        name: Chart(*(_svg(_DRAWN[name](figure, width), width) for width in (WIDE, NARROW)))
        for name, figure in found.figures.items()
        if name in _DRAWN and figure.rows
    }


def bars(numbers: Sequence[tuple[str, Any]], title: str) -> str:
    """An SVG with a bar for each pair of label and number, in their order, for a page that sets `--ink`, `--quiet`, `--line` and `--accent`."""
    figure = Figure("", title, "", ["label", "number"], list(numbers))
    return _svg(_bars(figure, "label", "number", WIDE, ordered=True, title=title), WIDE)


def _svg(spec: Spec, width: int) -> str:
    axis = _CONFIG["axis"] | {"labelLimit": 240 if width == WIDE else 120}
    svg = vl_convert.vegalite_to_svg(spec | {"config": _CONFIG | {"axis": axis}})
    for name, stand_in in _COLOURS.items():
        svg = svg.replace(f'"{stand_in}"', f'"var(--{name})"')
    return svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)


def _values(records: Sequence[dict[str, Any]]) -> Spec:
    return {"values": [{name: float(v) if isinstance(v, Decimal) else v for name, v in one.items()} for one in records]}


def _of(field: str, type_: str, **more: Any) -> Spec:
    """A channel of an encoding. A comma or a dot in a heading would be read as a path."""
    return {"field": field.replace(".", "\\."), "type": type_, **more}


def _number(field: str, **more: Any) -> Spec:
    return _of(field, "quantitative", **({"title": field, "axis": {"format": "~s", "tickCount": 5}} | more))


def _bars(figure: Figure, label: str, number: str, width: int, *, ordered: bool = False, title: str | None = None) -> Spec:
    """Bars from the left, longest first or in the order of the rows, each with its number."""
    rows = figure.records()
    sort = [row[label] for row in rows] if ordered else "-x"
    return {
        "width": width - 200,
        "data": _values(rows),
        "encoding": {"x": _number(number, title=title or number), "y": _of(label, "nominal", sort=sort, title=None)},
        "layer": [{"mark": "bar"}, _numbers_right(number)],
    }


def _columns(figure: Figure, label: str, number: str, width: int) -> Spec:
    """Bars that stand, in the order of the rows, each with its number."""
    x = _of(label, "ordinal", sort=None, title=label, axis={"labelAngle": 0})
    return {
        "width": width,
        "height": 220,
        "data": _values(figure.records()),
        "encoding": {"x": x, "y": _number(number)},
        "layer": [{"mark": "bar"}, _numbers_above(number)],
    }


def _numbers_right(number: str) -> Spec:
    return {"mark": {"type": "text", "align": "left", "dx": 4}, "encoding": {"text": _of(number, "quantitative", format=",")}}


def _numbers_above(number: str) -> Spec:
    return {"mark": {"type": "text", "dy": -8}, "encoding": {"text": _of(number, "quantitative", format=",")}}


def _upset(figure: Figure, width: int) -> Spec:
    """An UpSet plot: a bar for each set of CRMs, and below it which CRMs are meant."""
    rows = figure.records()
    members = {row["CRMs"]: row["CRMs"].split(", ") for row in rows}
    crms = sorted({crm for some in members.values() for crm in some})
    dots = [{"CRMs": name, "CRM": crm, "in": crm in some} for name, some in members.items() for crm in crms]
    x = _of("CRMs", "nominal", sort=list(members), axis=None)
    y = _of("CRM", "nominal", sort=crms, title=None, axis={"domain": False, "ticks": False, "labelFontSize": 13})
    inside = {"condition": {"test": "datum.in", "value": _COLOURS["accent"]}, "value": _COLOURS["faint"]}
    bars = {
        "width": width - 60,
        "height": 200,
        "data": _values(rows),
        "encoding": {"x": x, "y": _number("customers")},
        "layer": [{"mark": "bar"}, _numbers_above("customers")],
    }
    matrix = {
        "width": width - 60,
        "height": 32 * len(crms),
        "data": _values(dots),
        "encoding": {"x": x, "y": y},
        "layer": [
            {
                "transform": [{"filter": "datum.in"}],
                "mark": {"type": "line", "strokeWidth": 3, "color": _COLOURS["accent"]},
                "encoding": {"detail": _of("CRMs", "nominal")},
            },
            {"mark": {"type": "circle", "size": 180, "opacity": 1}, "encoding": {"color": inside}},
        ],
    }
    return {"vconcat": [bars, matrix], "spacing": 6, "resolve": {"scale": {"x": "shared"}}}


def _duplicates(figure: Figure, width: int) -> Spec:
    return {
        "width": width - 140,
        "height": 110,
        "data": _values(figure.records()),
        "encoding": {"x": _number("duplicates"), "y": _of("CRM", "nominal", title=None)},
        "layer": [
            {"mark": "bar", "encoding": {"color": _of("CRM", "nominal", scale=_CRM_COLOURS, legend=None)}},
            _numbers_right("duplicates"),
        ],
    }


def _main_currency(figure: Figure) -> list[dict[str, Any]]:
    """The rows of the currency with the most deals: values of several are not added up."""
    rows = figure.records()
    deals = Counter[str]()
    for row in rows:
        deals[row["currency"]] += row["deals"]
    known = Counter({currency: number for currency, number in deals.items() if currency != "not said"}) or deals
    ((most, _),) = known.most_common(1)
    return [row for row in rows if row["currency"] == most]


def _pipeline(figure: Figure, width: int) -> Spec:
    rows = _main_currency(figure)
    title = f"value and weighted value, {rows[0]['currency']}"
    return {
        "width": width - 220,
        "data": _values(rows),
        "encoding": {"y": _of("stage", "nominal", sort=[row["stage"] for row in rows], title=None)},
        "layer": [
            {"mark": {"type": "bar", "color": _COLOURS["faint"]}, "encoding": {"x": _number("value", title=title)}},
            {"mark": {"type": "bar", "height": {"band": 0.5}}, "encoding": {"x": _number("weighted value", title=title)}},
        ],
    }


def _months(figure: Figure, width: int) -> Spec:
    rows = _main_currency(figure)[-MONTHS:]
    title = f"value and weighted value, {rows[0]['currency']}"
    return {
        "width": width,
        "height": 220,
        "data": _values(rows),
        "encoding": {"x": _of("month", "ordinal", title="month", axis={"labelAngle": -60})},
        "layer": [
            {"mark": {"type": "bar", "color": _COLOURS["faint"]}, "encoding": {"y": _number("value", title=title)}},
            {"mark": {"type": "bar", "width": {"band": 0.5}}, "encoding": {"y": _number("weighted value", title=title)}},
        ],
    }


def _filled(figure: Figure, width: int) -> Spec:
    """Bars of the CRMs side by side for each field."""
    rows = figure.records()
    return {
        "width": width - 160,
        "height": 26 * len({row["field"] for row in rows}),
        "data": _values(rows),
        "mark": "bar",
        "encoding": {
            "x": _number("filled in, %", scale={"domain": [0, 100]}),
            "y": _of("field", "nominal", title=None),
            "yOffset": _of("CRM", "nominal", sort=list(KINDS)),
            "color": _of("CRM", "nominal", scale=_CRM_COLOURS),
        },
    }


_DRAWN: dict[str, Callable[[Figure, int], Spec]] = {
    "overlap": _upset,
    "records": lambda figure, width: _columns(figure, "records", "customers", width),
    "duplicates": _duplicates,
    "evidence": lambda figure, width: _bars(figure, "evidence", "records", width),
    "scores": lambda figure, width: _columns(figure, "score from", "customers", width),
    "agreement": lambda figure, width: _bars(figure, "field", "disagreeing, %", width),
    "stages": lambda figure, width: _bars(figure, "stage", "this far or further", width, ordered=True),
    "pipeline": _pipeline,
    "months": _months,
    "filled": _filled,
}

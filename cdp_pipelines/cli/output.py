"""How commands print: tables for people, JSON and CSV for scripts. What a CRM says is never read as markup or terminal codes."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from cdp_pipelines.query import Rows

# Wide enough for the sync report where nobody sees a terminal's edge.
FILE_WIDTH = 160


def console(*, stderr: bool = False) -> Console:
    """Where to print for people."""
    from rich.console import Console

    made = Console(stderr=stderr, highlight=False, soft_wrap=True)
    if not made.is_terminal:
        made.width = FILE_WIDTH
    return made


def table(*columns: str, title: str | None = None) -> Table:
    """An empty table; columns whose name begins with `#` hold numbers."""
    from rich import box
    from rich.table import Table

    made = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        made.add_column(name.removeprefix("#"), justify="right" if name.startswith("#") else "left", overflow="fold")
    return made


def cell(value: Any, style: str = "") -> Text:
    """A value as a table shows it."""
    from rich.text import Text

    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else plain(value)
    return Text("".join(c if c.isprintable() else " " for c in text), style=style)


def plain(value: Any) -> str:
    """A value as CSV holds it: nothing for null, ISO 8601 with `Z` for times, `true` and `false`."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, list | dict):
        return to_json(value).decode()
    return str(value)


def to_json(value: Any, *, indent: bool = False) -> bytes:
    """JSON with exact decimals and times in ISO 8601 with `Z`."""
    return orjson.dumps(
        value, default=_for_json, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS | (orjson.OPT_INDENT_2 if indent else 0)
    )


def print_json(value: Any) -> None:
    """A value as indented JSON on stdout."""
    print(to_json(value, indent=True).decode())


def write_csv(rows: Rows) -> None:
    """All rows on stdout as CSV with a header."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(rows.columns)
    writer.writerows(map(plain, row) for row in rows)


def write_json(rows: Rows) -> None:
    """All rows on stdout as a JSON array with one object a line."""
    separator = "[\n"
    for row in rows.dicts():
        sys.stdout.write(separator + to_json(row).decode())
        separator = ",\n"
    sys.stdout.write("[]\n" if separator == "[\n" else "\n]\n")


def show_rows(rows: Rows, columns: Iterable[str] | None, limit: int) -> None:
    """The first `limit` rows as a table on stdout, with a note on stderr when there are more."""
    shown = [name for name in columns if name in rows.columns] if columns else rows.columns
    numbers = [rows.columns.index(name) for name in shown]
    found = list(islice(rows, limit + 1))
    made = table(*(f"#{name}" if _all_numbers(found, i) else name for name, i in zip(shown, numbers, strict=True)))
    for row in found[:limit]:
        made.add_row(*(cell(row[i]) for i in numbers))
    console().print(made)
    if len(found) > limit:
        console(stderr=True).print(f"The first {limit:,} rows; more match. Use --limit, or --format csv or json for all of them.")


def moment(value: datetime | None) -> str:
    """A time to the second."""
    return f"{value:%Y-%m-%d %H:%M:%S}Z" if value else ""


def duration(seconds: float | None) -> str:
    """A length of time in its two largest units, such as `2 h 5 min`."""
    if seconds is None:
        return ""
    left, parts = round(seconds), []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def mark(ok: bool, yes: str = "ok", no: str = "FAILED") -> Text:
    """A word in green or red."""
    return cell(yes, "green") if ok else cell(no, "bold red")


def _all_numbers(rows: list[tuple[Any, ...]], column: int) -> bool:
    values = [row[column] for row in rows if row[column] is not None]
    return bool(values) and all(isinstance(value, int | float | Decimal) and not isinstance(value, bool) for value in values)


def _for_json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value)) if value.is_finite() else None
    if isinstance(value, Mapping):
        return dict(value)
    return value.isoformat() if isinstance(value, date) else str(value)

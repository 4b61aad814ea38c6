"""Which of a table's fields are new, gone, of another type or under another name since it was last read.

Raw columns are text and are never dropped, so that no such change ends a read; each is told once. A field that came since the table was
last read whole has values in records whose stamp did not move (an administrator made it visible, or renamed it): the next reconcile
looks at it in all records.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from cdp_pipelines.crm_integrations.base_crm import FieldInfo

# Field -> its type and label, as JSON keeps them.
Fields = dict[str, list[str]]


def fields_of(described: Iterable[FieldInfo]) -> Fields:
    """What is remembered of each field."""
    return {info.name: [info.type, info.label] for info in described}


@dataclass(frozen=True)
class FieldChange:
    """One change, for the history: `change` is new, gone, renamed or retyped; `detail` is the new name or the types before and after."""

    change: str
    field: str
    detail: str = ""


@dataclass
class Drift:
    """What changed. A renamed field is in `renamed` (old name -> new name) and not in `gone`, its new name is in `new` too."""

    new: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)
    retyped: dict[str, tuple[str, str]] = field(default_factory=dict)

    def changes(self) -> Iterator[FieldChange]:
        """Each change; a renamed field is one."""
        yield from (FieldChange("renamed", old, now) for old, now in self.renamed.items())
        yield from (FieldChange("gone", name) for name in self.gone)
        yield from (FieldChange("retyped", name, f"{before} -> {now}") for name, (before, now) in self.retyped.items())
        yield from (FieldChange("new", name) for name in self.plainly_new)

    @property
    def plainly_new(self) -> list[str]:
        """The new fields that are none under another name."""
        return sorted(set(self.new) - set(self.renamed.values()))

    def told(self, connection: str, table: str, columns: Mapping[str, str]) -> Iterator[str]:
        """A sentence for each change that a person should know of; `columns` is the raw column of each field."""
        where = f"{connection}: {table}"
        for old, now in self.renamed.items():
            yield (
                f"{where}.{old} is now called {now}, it seems; {columns.get(old, old)} gets no more values, {columns.get(now, now)} has them. "
                "Map the new name (cdp mapping check)."
            )
        for name in self.gone:
            yield (
                f"{where}.{name} is gone or hidden from the API user; {columns.get(name, name)} gets no more values, and a full read empties it. "
                "If it should be there, give the API user the permission to see it."
            )
        for name, (before, now) in self.retyped.items():
            yield f"{where}.{name} was {before} and is {now}; what does not fit its standardized column is null there and kept in raw."
        if self.plainly_new:
            yield f"{where} has new fields: {', '.join(self.plainly_new)}."


def drift(before: Fields | None, now: Fields) -> Drift:
    """What changed since `before`; nothing where that is not known, or where the CRM described nothing."""
    if not before or not now:
        return Drift()
    new, gone = [name for name in now if name not in before], [name for name in before if name not in now]
    renamed = {}
    for name in gone:
        alike = [other for other in new if now[other] == before[name] and other not in renamed.values()]
        # A label that several new fields share says nothing.
        if before[name][1] and len(alike) == 1:
            renamed[name] = alike[0]
    retyped = {name: (before[name][0], now[name][0]) for name in now if name in before and before[name][0] != now[name][0]}
    return Drift(new, [name for name in gone if name not in renamed], renamed, retyped)

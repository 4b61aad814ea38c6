"""The SQL of the staging and standardized models: plain selects, with macros only where engines differ."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

from cdp_pipelines.config import Kind
from cdp_pipelines.mapping import BOOKKEEPING, REFERENCE, Feed, FieldSource, Lookup, Mapping, StandardField, references

BASE = "records"
TYPES = {"text": "{{ dbt.type_string() }}", "integer": "{{ dbt.type_bigint() }}", "timestamp": "{{ dbt.type_timestamp() }}"}
# What the checks read beside the staging models; see failed_casts and row_counts.
FAILED_CASTS, ROW_COUNTS = "failed_casts", "row_counts"


def model_name(kind: str, model: str) -> str:
    """Name of a feed's staging model."""
    return f"stg_{kind}__{model}"


def staging(spec: Mapping, kind: Kind, entity: str, feed: Feed) -> str:
    """The staging model of one feed."""
    sql = _FeedSql(spec, kind, feed)
    return sql.select(f"{sql.column(field, feed.fields.get(name))} as {name}" for name, field in spec.entities[entity].fields.items())


def standardized(spec: Mapping, entity: str) -> str:
    """The standardized model of an entity: its feeds, one under the other."""
    columns = listed(spec.entities[entity].fields)
    return "union all\n".join(
        f"select\n{columns}\nfrom {{{{ ref('{model_name(kind, model)}') }}}}\n" for kind, _, model, _ in spec.feeds(entity)
    )


def failed_casts(spec: Mapping) -> str:
    """A view with, for each connection and typed field, how many values raw holds and how many of them did not cast."""
    feeds, counts = [], []
    for kind, entity, model, feed in spec.feeds():
        sql, relation, columns = _FeedSql(spec, kind, feed), f"{kind}__{model}", []
        for name, field in spec.entities[entity].fields.items():
            source = feed.fields.get(name)
            if field.type == "text" or source is None or not source.references:
                continue
            given = f"coalesce({', '.join(sql.clean(r) for r in source.references)}, '') <> ''"
            columns += [
                f"count(case when {given} then 1 end) as {name}__given",
                f"count(case when {given} and {sql.column(field, source)} is null then 1 end) as {name}__failed",
            ]
            labels = {
                "source_system": kind,
                "raw_table": feed.table,
                "raw_field": ", ".join(source.references),
                "entity": entity,
                "field": name,
            }
            constants = [f"'{value}' as {label}" for label, value in labels.items()]
            counts.append(
                f"select\n{listed(['connection', *constants, f'{name}__given as given_values', f'{name}__failed as failed_values'])}\n"
                f"from {relation}\n"
            )
        if columns:
            select = sql.select([f"{BASE}.connection as connection", *columns]) + f"group by {BASE}.connection\n"
            feeds.append(f"{relation} as (\n{indented(select)})")
    return f"with {', '.join(feeds)}\n" + "union all\n".join(counts)


def row_counts(spec: Mapping) -> str:
    """A view with, for each connection and feed, how many rows raw has for the entity, counted without the staging models."""
    counts = []
    for kind, entity, _, feed in spec.feeds():
        sql, table = _FeedSql(spec, kind, feed), spec.raw[kind][feed.table]
        relation = (
            f"(\n{indented(sql.latest(feed.table, table.key))}) as {BASE}" if table.replace_by else f"{sql.source(feed.table)} as {BASE}"
        )
        distinct = [f"{BASE}.connection", *(sql.reference(f) for f in feed.newest_by or table.key)]
        conditions = [*([sql.expression(feed.where)] if feed.where else []), *map(sql.exists, feed.requires)]
        where = f"where {' and '.join(conditions)}\n" if conditions else ""
        inner = f"select distinct\n{listed(distinct)}\nfrom {relation}\n{where}"
        labels = [f"'{kind}' as source_system", f"'{feed.table}' as raw_table", f"'{entity}' as entity"]
        counts.append(
            f"select\n{listed(['connection', *labels, 'count(*) as raw_rows'])}\nfrom (\n{indented(inner)}) as counted\ngroup by connection\n"
        )
    return "union all\n".join(counts)


class _FeedSql:
    """Turns the vendor's names in one feed into SQL."""

    def __init__(self, spec: Mapping, kind: Kind, feed: Feed):
        self.spec, self.kind, self.feed = spec, kind, feed

    def select(self, columns: Iterable[str]) -> str:
        """A select of these columns from the feed's rows and lookups."""
        ctes = ",\n\n".join(f"{name} as (\n{indented(body)})" for name, body in self._ctes())
        return f"with {ctes}\n\nselect\n{listed(columns)}\nfrom {BASE}\n{self._joins()}"

    def column(self, field: StandardField, source: FieldSource | None) -> str:
        """The expression of a standardized field, without a name."""
        match field.bookkeeping:
            case "source_system":
                return f"'{self.kind}'"
            case "_deleted":
                return f"coalesce({BASE}._deleted, 'false') = 'true'"
            case "_synced_at":
                return f"{{{{ to_timestamp_utc('{BASE}._synced_at') }}}}"
            case None:
                pass
            case name:
                return f"{BASE}.{name}"
        assert source is not None  # the spec is complete
        if source.constant is not None:
            return f"'{source.constant}'"
        if source.sql is not None:
            return f"cast({self.expression(source.sql)} as {TYPES.get(field.type, field.type)})"
        if not source.references:
            return f"cast(null as {TYPES.get(field.type, field.type)})"
        if len(source.references) == 1:
            return _cast(field, f"'{self.reference(source.references[0])}'")
        filled = f"first_filled({_quoted(map(self.reference, source.references))})"
        return f"{{{{ {filled} }}}}" if field.type == "text" and not field.clean else _cast(field, filled)

    def expression(self, sql: str, base: str = BASE) -> str:
        """SQL with raw columns in place of `$Field` and `$lookup.Field`."""
        return REFERENCE.sub(lambda match: self.reference(match[1], base), sql)

    def reference(self, reference: str, base: str = BASE) -> str:
        """The raw column of `Field` or `lookup.Field`; `base` is the relation that plain fields belong to."""
        table, field = self.feed.table_of(reference)
        return f"{reference.rpartition('.')[0] or base}.{self.spec.column(self.kind, table, field)}"

    def exists(self, name: str) -> str:
        """Whether a lookup finds a row, as a condition on the feed's own rows."""
        lookup = self.feed.lookups[name]
        rows = self.latest(lookup.table, lookup.fields)
        matches = [f"{name}.{self.spec.column(self.kind, lookup.table, f)} = {self.reference(r)}" for f, r in lookup.match.items()]
        narrowed = (
            [REFERENCE.sub(lambda m: f"{name}.{self.spec.column(self.kind, lookup.table, m[1])}", lookup.where)] if lookup.where else []
        )
        conditions = " and ".join([f"{name}.connection = {BASE}.connection", *matches, *narrowed])
        return f"exists (\n{indented(f'select 1 from ({chr(10)}{indented(rows)}) as {name} where {conditions}')})"

    def clean(self, reference: str) -> str:
        """The trimmed text of a field."""
        return f"{{{{ clean_text('{self.reference(reference)}') }}}}"

    def source(self, table: str) -> str:
        """The raw table."""
        return f"{{{{ source('raw_{self.kind}', '{table}') }}}}"

    def latest(self, table: str, fields: Iterable[str]) -> str:
        """The newest version of the raw table's rows, with these fields' columns."""
        raw = self.spec.raw[self.kind][table]

        def columns(names: Iterable[str]) -> list[str]:
            return [self.spec.column(self.kind, table, f) for f in dict.fromkeys(names)]

        arguments = {"key": columns(raw.key), "columns": [c for c in columns([*raw.key, *fields]) if c not in BOOKKEEPING]}
        if raw.replace_by:
            arguments["replaced_by"] = columns(raw.replace_by)
        lists = [f"{name}={_quoted(names)}" for name, names in sorted(arguments.items(), reverse=True)]
        macro = "latest_set" if raw.replace_by else "latest"
        call = ", ".join([f"{macro}(source('raw_{self.kind}', '{table}')", *lists])
        return "\n    ".join(textwrap.wrap(f"{{{{ {call}) }}}}", 130, break_long_words=False, break_on_hyphens=False)) + "\n"

    def _ctes(self) -> list[tuple[str, str]]:
        """Name and body: the feed's own rows, then one row of each lookup's table for each value that it is looked up by."""
        wanted: dict[str, dict[str, None]] = {BASE: {}, **{name: {} for name in self.feed.lookups}}
        for reference in self._all_references():
            lookup, _, field = reference.rpartition(".")
            wanted[lookup or BASE][field] = None
        ctes = self._base(wanted[BASE])
        for name, lookup in self.feed.lookups.items():
            ctes += self._lookup(name, lookup, wanted[name])
        return ctes

    def _base(self, fields: Iterable[str]) -> list[tuple[str, str]]:
        """The feed's own rows: the newest versions, narrowed by `where` and `newest_by`."""
        feed, latest = self.feed, self.latest(self.feed.table, fields)
        if not feed.where and not feed.newest_by:
            return [(BASE, latest)]
        name = f"{feed.table}_rows"
        columns = [*BOOKKEEPING, *(self.spec.column(self.kind, feed.table, f) for f in fields)]
        by = [f"{name}.{c}" for c in ("connection", *(self.spec.column(self.kind, feed.table, f) for f in feed.newest_by))]
        return [(name, latest), (BASE, self._narrowed(name, columns, feed.where, by if feed.newest_by else [], feed.order_by))]

    def _lookup(self, name: str, lookup: Lookup, fields: Iterable[str]) -> list[tuple[str, str]]:
        """The rows of a lookup's table, reduced to one for each value that it is looked up by."""
        latest = self.latest(lookup.table, [*lookup.fields, *fields])
        if not lookup.where and not lookup.order_by:
            return [(name, latest)]
        rows = f"{name}_rows"
        columns = ["connection", *(self.spec.column(self.kind, lookup.table, f) for f in dict.fromkeys([*lookup.match, *fields]))]
        by = [f"{rows}.{c}" for c in ("connection", *(self.spec.column(self.kind, lookup.table, f) for f in lookup.match))]
        return [(rows, latest), (name, self._narrowed(rows, columns, lookup.where, by, lookup.order_by, lookup.table))]

    def _narrowed(
        self, rows: str, columns: list[str], where: str | None, by: list[str], order_by: Iterable[str], table: str | None = None
    ) -> str:
        """Rows that pass `where`; with `by`, the first of each group."""

        def expression(sql: str) -> str:
            return REFERENCE.sub(lambda m: f"{rows}.{self.spec.column(self.kind, table or self.feed.table, m[1])}", sql)

        condition = f"where {expression(where)}\n" if where else ""
        if not by:
            return f"select\n{listed(f'{rows}.{c} as {c}' for c in columns)}\nfrom {rows}\n{condition}"
        order = [o if re.search(r" nulls (first|last)$", o) else f"{o} nulls last" for o in map(expression, order_by)]
        partition = f"partition by {', '.join(by)}"
        place = f"row_number() over (\n        {partition}\n        order by {', '.join(order)}\n    ) as place"
        inner = f"select\n{listed([*(f'{rows}.{c} as {c}' for c in columns), place])}\nfrom {rows}\n{condition}"
        return f"select\n{listed(columns)}\nfrom (\n{indented(inner)}) as ranked\nwhere place = 1\n"

    def _joins(self) -> str:
        joins = ""
        for name, lookup in self.feed.lookups.items():
            kind = "join" if name in self.feed.requires else "left join"
            joins += f"{kind} {name}\n    on {name}.connection = {BASE}.connection\n"
            for field, reference in lookup.match.items():
                joins += f"    and {name}.{self.spec.column(self.kind, lookup.table, field)} = {self.reference(reference)}\n"
        return joins

    def _all_references(self) -> list[str]:
        feed = self.feed
        found = [*references(feed.where or "", *feed.order_by), *feed.newest_by]
        for lookup in feed.lookups.values():
            found += lookup.match.values()
        for source in feed.fields.values():
            found += source.references
        return [r for r in dict.fromkeys(found) if r not in BOOKKEEPING]


def _cast(field: StandardField, argument: str) -> str:
    """The macro call that turns a raw text (a quoted SQL expression or a macro call that gives one) into the field's type."""
    if match := re.fullmatch(r"decimal\((\d+),(\d+)\)", field.type):
        return f"{{{{ to_decimal({argument}, {match[1]}, {match[2]}) }}}}"
    macros = {"integer": "to_integer", "boolean": "to_boolean", "date": "to_date_utc", "timestamp": "to_timestamp_utc"}
    macro = macros.get(field.type) or f"clean_{field.clean or 'text'}"
    return f"{{{{ {macro}({argument}) }}}}"


def _quoted(names: Iterable[str]) -> str:
    """A Jinja list of texts."""
    return "[" + ", ".join(f"'{name}'" for name in names) + "]"


def listed(items: Iterable[str]) -> str:
    """Items of a select, one a line."""
    return ",\n".join(f"    {item}" for item in items)


def indented(text: str) -> str:
    """Text, each line four blanks further in."""
    return "".join(f"    {line}\n" if line else "\n" for line in text.splitlines())

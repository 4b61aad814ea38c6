"""The SQL of the unified tables whose values come from records, and of the tables that say which record won."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cdp_pipelines.generate.sql import TYPES, indented, listed
from cdp_pipelines.identity import tables as identity
from cdp_pipelines.mapping import Mapping
from cdp_pipelines.survivorship import LINKS, SurvivingField, Unified

RECENCY = "recency"


def type_of(spec: Mapping, table: Unified, name: str) -> str:
    """A field's type, in the spec's words."""
    field = table.fields[name]
    return field.type or spec.entities[table.records].fields[field.value or name].type


def provenance(spec: Mapping, table: Unified) -> str:
    """For each unified row and field: the record that won, by which rule, and the records that it beat."""
    fields, key = table.fields, table.key
    columns = [f"{LINKS}.{key}", "records.connection", "records.source_system", "records.created_date", f"records.{table.id} as record_id"]
    columns += [f"{_source(name, field)} as {name}" for name, field in fields.items() if name not in ("created_date",)]
    recency = f"""row_number() over (
        partition by {LINKS}.{key}
        order by records.last_updated desc nulls last, records.created_date desc nulls last, records.connection, records.{table.id}
    ) as {RECENCY}"""
    counted = [f"count(*) over (partition by {key}, {_alike(table, name)}) as {name}_times" for name in _counted(table)]
    kept = [key, "connection", "source_system", "created_date", "record_id", RECENCY, *(n for n in fields if n != "created_date")]
    ctes = {
        "records": f"select\n{listed([*columns, recency])}\n{_from(table)}{_speaking(table)}",
        **({"weighed": f"select\n{listed([*kept, *counted])}\nfrom records\n"} if counted else {}),
    }
    relation = list(ctes)[-1]
    ctes["candidates"] = "union all\n".join(_candidates(table, name, relation) for name in fields)
    ctes["judged"] = f"""select
    {key},
    field,
    rule,
    connection,
    record_id,
    place,
    case when value = first_value(value) over (
        partition by {key}, field order by place rows between unbounded preceding and current row
    ) then 1 else 0 end as agrees
from candidates
"""
    beaten = "{{ joined_texts(\"case when agrees = 0 then connection || ':' || record_id end\", ', ', 'place') }}"
    final = [
        key, "field", "max(case when place = 1 then connection end) as connection",
        f"max(case when place = 1 then record_id end) as {table.id}", "rule", "count(*) as record_count", "count(case when agrees = 1 then 1 end) as agreeing_count",
        f"{beaten} as beaten",
    ]  # fmt: skip
    return f"with {_ctes(ctes)}\nselect\n{listed(final)}\nfrom judged\ngroup by {key}, field, rule\n"


def survivors(spec: Mapping, table: Unified) -> str:
    """The unified table: the winners' values, how many records there are, and what `totals` adds."""
    key, fields = table.key, table.fields
    winners = [f"winners.{key}", *(f"{_won(spec, table, name)} as {name}" for name in fields)]
    ctes = {
        "known": f"select distinct {key}\nfrom {{{{ {links_of(table.links)} }}}}\n",
        "speaking": f"select\n{listed([f'{LINKS}.{key}', f'count(*) as {table.count}', '{{ source_systems() }} as source_systems'])}\n"
        f"from {{{{ {links_of(table.links)} }}}} as {LINKS}\n{_speaking(table)}group by {LINKS}.{key}\n",
        "bests": f"select\n{listed(winners)}\nfrom {{{{ ref('{table.provenance}') }}}} as winners\n"
        f"inner join {{{{ ref('{table.records}') }}}} as records\n    on records.connection = winners.connection\n"
        f"    and records.{table.id} = winners.{table.id}\n{_joins(table)}group by winners.{key}\n",
    }
    columns = [f"known.{key}", *(_shown(spec, table, name) for name in fields), f"coalesce(speaking.{table.count}, 0) as {table.count}"]
    columns.append("speaking.source_systems")
    joins = "".join(f"left join {name} on {name}.{key} = known.{key}\n" for name in ("bests", "speaking"))
    if table.totals:
        columns += [
            f"totals.{name}"
            if total.missing is None
            else f"{_typed(total.type, f'case when totals.{key} is null then {total.missing} else totals.{name} end')} as {name}"
            for name, total in table.totals.fields.items()
        ]
        joins += f"left join {{{{ ref('{table.totals.table}') }}}} as totals on totals.{key} = known.{key}\n"
    columns.append(f"speaking.{key} is null as is_deleted")
    named = f"{{{{ config(post_hook='{{{{ second_name(this, \"{table.also_named}\") }}}}') }}}}\n\n" if table.also_named else ""
    return f"{named}with {_ctes(ctes)}\nselect\n{listed(columns)}\nfrom known\n{joins}"


def _from(table: Unified) -> str:
    return (
        f"from {{{{ {links_of(table.links)} }}}} as {LINKS}\n"
        f"inner join {{{{ ref('{table.records}') }}}} as records\n    on records.connection = {LINKS}.connection\n"
        f"    and records.{table.id} = {LINKS}.{table.record_key}\n{_joins(table, links=False)}"
    )


def links_of(name: str) -> str:
    """The table that says which records are which, as dbt calls it: a model, or what the identity step wrote."""
    return f"source('identity', '{name}')" if name in identity.TABLES else f"ref('{name}')"


def _joins(table: Unified, *, links: bool = True) -> str:
    """The lookups, and the links too where a field comes from them."""
    joins = ""
    if links and any(_relation(name, field) == LINKS for name, field in table.fields.items()):
        joins = f"inner join {{{{ {links_of(table.links)} }}}} as {LINKS}\n    on {LINKS}.connection = records.connection\n"
        joins += f"    and {LINKS}.{table.record_key} = records.{table.id}\n"
    for name, lookup in table.lookups.items():
        joins += f"left join {{{{ ref('{lookup.table}') }}}} as {name}\n    on {name}.connection = records.connection\n"
        joins += "".join(f"    and {name}.{theirs} = records.{ours}\n" for theirs, ours in lookup.match.items())
    return joins


def _speaking(table: Unified) -> str:
    """The condition that a link's record may say something: it is current, and nothing excludes it."""
    return f"where {LINKS}.is_current\n" + "".join(
        f"    and not exists (\n        select 1 from {{{{ ref('{name}') }}}} as {name}\n"
        f"        where {name}.connection = {LINKS}.connection and {name}.{table.id} = {LINKS}.{table.record_key}\n    )\n"
        for name in table.excluded_by
    )


def _candidates(table: Unified, name: str, relation: str) -> str:
    """The records that have a value of a field, the winner first."""
    group, field = table.group_of(name), table.fields[name]
    order = ",\n            ".join([*_preference(table, name), RECENCY])
    text = " || '|' || ".join(f"coalesce({_text(n)}, '')" for n in group) if len(group) > 1 else _text(name)
    filled = " or ".join(f"{n} is not null" for n in group)
    return f"""select
    {table.key},
    '{name}' as field,
    '{field.by}' as rule,
    connection,
    record_id,
    {text} as value,
    row_number() over (
        partition by {table.key}
        order by
            {order}
    ) as place
from {relation}
where {filled}
"""


def _preference(table: Unified, name: str) -> Iterator[str]:
    """What a strategy orders by, before recency."""
    group, field = table.group_of(name), table.fields[name]
    match field.by:
        case "source_order":
            places = [f"when '{kind}' then {place}" for place, kind in enumerate(table.order_of(field), start=1)]
            yield f"case source_system {' '.join(places)} end"
        case "oldest":
            yield "created_date nulls last"
        case "most_complete":
            if len(group) > 1:
                yield " + ".join(f"case when {n} is not null then 1 else 0 end" for n in group) + " desc"
            yield " + ".join(f"length(coalesce({_text(n)}, ''))" for n in group) + " desc"
        case "most_frequent":
            yield f"{group[0]}_times desc"
        case "highest":
            yield f"{name} desc"
        case "lowest":
            yield name


def _counted(table: Unified) -> list[str]:
    """The first field of each group that is won by the most frequent value."""
    return [name for name, field in table.fields.items() if field.by == "most_frequent" and table.group_of(name)[0] == name]


def _alike(table: Unified, name: str) -> str:
    return ", ".join(f"{{{{ lower_case('cast({n} as ' ~ dbt.type_string() ~ ')') }}}}" for n in table.group_of(name))


def _text(name: str) -> str:
    return f"cast({name} as {TYPES['text']})"


def _relation(name: str, field: SurvivingField) -> str:
    return (field.value or name).rpartition(".")[0] or "records"


def _source(name: str, field: SurvivingField) -> str:
    return f"{_relation(name, field)}.{(field.value or name).rpartition('.')[2]}"


def _won(spec: Mapping, table: Unified, name: str) -> str:
    """The winner's value. There is one winner, so that any aggregate gives its value; booleans have no greatest everywhere."""
    source = _source(name, table.fields[name])
    if type_of(spec, table, name) == "boolean":
        return f"max(case when winners.field = '{name}' then case when {source} then 1 else 0 end end)"
    return _typed(type_of(spec, table, name), f"max(case when winners.field = '{name}' then {source} end)")


def _typed(kind: str, expression: str) -> str:
    """A decimal with its digits: Postgres forgets them in whatever is made of one."""
    digits = re.fullmatch(r"decimal\((\d+),(\d+)\)", kind)
    return f"cast({expression} as {{{{ decimal_type({digits[1]}, {digits[2]}) }}}})" if digits else expression


def _shown(spec: Mapping, table: Unified, name: str) -> str:
    if type_of(spec, table, name) != "boolean":
        return f"bests.{name}"
    return f"coalesce(bests.{name} = 1, false) as {name}"


def _ctes(ctes: dict[str, str]) -> str:
    return ",\n\n".join(f"{name} as (\n{indented(body)})" for name, body in ctes.items()) + "\n"

"""The checks of the standardized tables, in plain SQL over the warehouse: what compares stages, and the rules of `quality/`. Whether keys are unique,
not null and lead somewhere are dbt tests, generated from the mapping.

Each says what is wrong, how many rows, up to ten keys (`connection:id`, never a value), and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import cache

from cdp_pipelines import history, mapping
from cdp_pipelines.config import KINDS, Kind, Settings
from cdp_pipelines.history import CheckResult
from cdp_pipelines.quality import check, deals, drifted, people, times
from cdp_pipelines.quality.check import Check

STALE_HOURS = 24
_STOPS = "Stops: what is lost or doubled here is so in every table and sum after it."


@cache
def all_checks() -> tuple[Check, ...]:
    """Every check of the standardized tables: the comparisons that follow from the mapping, and the rules for what is in them."""
    entities = mapping.load().entities
    kinds = (_nothing_lost, _nothing_invented, _counts, _casts, _fresh)
    of_stages = tuple(make(entity) for entity in entities for make in kinds)
    return (*of_stages, *drifted.checks(), *people.checks(), *times.checks(), *deals.checks())


def run_all(settings: Settings) -> list[CheckResult]:
    """Run every check. The caller holds the warehouse lock."""
    with history.opened(settings) as db:
        return check.run_all(db, all_checks())


@cache
def raw_checks(kind: Kind) -> tuple[Check, ...]:
    """Of each raw table of a CRM, whether every row that was sent could be kept."""
    return tuple(_nothing_rejected(kind, table) for table in mapping.load().raw[kind])


def run_raw(settings: Settings, kinds: Iterable[Kind] = KINDS) -> list[CheckResult]:
    """Run the checks of raw tables, and write down what they found. The caller holds the warehouse lock."""
    with history.opened(settings) as db:
        # As a rule nothing was ever rejected, and a run that follows one event is to be short.
        any_at_all = db.execute("select exists (select 1 from ops.rejected_rows)").fetchall()[0][0]
        results = [check.run(db, one) if any_at_all else _passed(one) for kind in kinds for one in raw_checks(kind)]
    history.record_checks(settings, datetime.now(UTC), results)
    return results


def _passed(one: Check) -> CheckResult:
    return CheckResult(one.name, one.table, True, one.blocking, 0, one.description, one.remedy)


def _nothing_rejected(kind: Kind, table: str) -> Check:
    return Check(
        "nothing_rejected", f"raw_{kind}.{table}", False, f"Every row of {table} that was sent since it was last read in full could be kept.",
        f"rejected_rows says why not. Mend these records in {kind.title()} if it is they that are odd, then run `cdp sync --full`; if it is what "
        "was sent of them, the next full sync mends it.",
        f"""
        with rejected as ({history.REJECTED_SINCE_READ_WHOLE.format(ops="ops")}),
        here as (
            select * from rejected where object = '{table}' and connection in (select connection from ops.table_syncs where source_system = '{kind}')
        )
        select unnest(example_keys) as key, 1 as rows from here
        union all
        select connection || ': ' || reason, sum(rows - len(example_keys)) from here group by all having sum(rows - len(example_keys)) > 0
        """,
        1, "Warns: the other rows are right, and are not to wait for it.",
    )  # fmt: skip


def _nothing_lost(entity: str) -> Check:
    parts = list(_raw_keys(entity))
    lost = " union all ".join(
        f"select distinct r.connection || ':' || {_key([f'r.{raw}' for raw in keys.values()])} as key, 1 as rows from {relation} r "
        f"where {' and '.join(f'r.{raw} is not null' for raw in keys.values())} and not exists (select 1 from standardized.{entity} s "
        f"where s.source_system = '{kind}' and s.connection = r.connection and {' and '.join(f's.{ours} = r.{raw}' for ours, raw in keys.items())})"
        for kind, relation, keys in parts
    )
    return Check(
        "no_rows_lost", entity, True, f"Every raw record has its row in {entity}.",
        "Look at the staging models of these records' CRM: a filter or a join drops them.", lost or _NONE,
        1, _STOPS,
    )  # fmt: skip


def _nothing_invented(entity: str) -> Check:
    spec = mapping.load()
    staged = " union all ".join(f"select connection, {', '.join(spec.entities[entity].key)} from staging.stg_{kind}__{model}"
                                for kind, _, model, _ in spec.feeds(entity))  # fmt: skip
    keys = spec.entities[entity].key
    return Check(
        "no_rows_multiplied", entity, True, f"{entity} has each staged row once.",
        "Look at the joins of the staging models: one of them finds several rows.",
        f"select connection || ':' || {_key(list(keys))} as key, count(*) - 1 as rows from ({staged}) group by connection, {', '.join(keys)} having count(*) > 1",
        6, _STOPS,
    )  # fmt: skip


def _raw_keys(entity: str) -> Iterator[tuple[str, str, dict[str, str]]]:
    """CRM, raw relation, and our key field -> raw column, of each feed that takes every row of its raw table."""
    spec = mapping.load()
    for kind, _, _, feed in spec.feeds(entity):
        sources = {field: feed.fields[field].field for field in spec.entities[entity].key}
        if not feed.takes_every_row or not all(source and "." not in source for source in sources.values()):
            continue
        yield kind, f"raw_{kind}.{feed.table}", {f: spec.column(kind, feed.table, s) for f, s in sources.items() if s}


def _key(columns: list[str]) -> str:
    return " || '/' || ".join(columns)


def _counts(entity: str) -> Check:
    return Check(
        "same_count_as_raw", entity, True, f"{entity} has as many rows from each raw table as raw says it must.",
        "Look at the staging models of these raw tables: a filter, a join or the newest-row rule drops or repeats rows.",
        f"""select connection || ':' || source_system as key, abs(wanted - there) as rows from (
            select connection, source_system, sum(wanted) as wanted, sum(there) as there from (
                select connection, source_system, raw_rows as wanted, 0 as there from staging.row_counts where entity = '{entity}'
                union all select connection, source_system, 0, 1 from standardized.{entity}
            ) group by all
        ) where wanted <> there""",
        1, _STOPS,
    )  # fmt: skip


def _casts(entity: str) -> Check:
    return Check(
        "values_cast", entity, False, f"Every value that a CRM gave for {entity} fits its column's type.",
        "These values are null in the table and kept in raw. Correct them in the CRM, or the type in mapping.yml.",
        f"""select connection || ':' || raw_table || '.' || raw_field as key, failed_values as rows
            from staging.failed_casts where entity = '{entity}' and failed_values > 0""",
        12, "Warns: the other values of these rows are right, and the odd ones are kept in raw, where nothing is lost.",
    )  # fmt: skip


def _fresh(entity: str) -> Check:
    spec = mapping.load()
    feeding = ", ".join(f"('{kind}', '{feed.table}')" for kind, _, _, feed in spec.feeds(entity))
    return Check(
        "fresh", entity, False, f"What feeds {entity} was read to its end within the last {STALE_HOURS} hours.",
        "Run `cdp status` to see why, then `cdp sync`.",
        f"""select connection || ':' || object as key, 1 as rows from (
            select connection, source_system, object, max(ended_at) filter (state = 'ok') as last from ops.table_syncs group by all
        ) where (source_system, object) in ({feeding}) and (last is null or last < now() at time zone 'UTC' - interval {STALE_HOURS} hour)""",
        3, "Warns: old data are right as of then; `sync_status` says until when.",
    )  # fmt: skip


_NONE = "select null::varchar as key, 0 as rows where false"

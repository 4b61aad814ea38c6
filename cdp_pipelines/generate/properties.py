"""The properties files of dbt: sources, descriptions, contracts and tests."""

from __future__ import annotations

from typing import Any

import yaml

from cdp_pipelines.classified import class_of
from cdp_pipelines.classified import provenance as provenance_classes
from cdp_pipelines.consents import DECISIONS, Consents
from cdp_pipelines.generate.sql import FAILED_CASTS, ROW_COUNTS, model_name
from cdp_pipelines.mapping import Entity, Mapping, StandardField
from cdp_pipelines.pii import Pii, described
from cdp_pipelines.survivorship import STRATEGIES, Unified

# dbt's own names, which it turns into each engine's.
TYPES = {"text": "string", "integer": "bigint"}

_CHECK_VIEWS = {
    FAILED_CASTS: (
        "For each connection and typed field: how many values raw holds and how many did not cast.",
        {
            "connection": "Connection.",
            "source_system": "Kind of the CRM.",
            "raw_table": "Raw table that feeds the field.",
            "raw_field": "The vendor's fields that it is made of.",
            "entity": "Standardized table.",
            "field": "Standardized field.",
            "given_values": "Rows in which the raw fields are not blank.",
            "failed_values": "Those of them whose standardized field is null all the same.",
        },
    ),
    ROW_COUNTS: (
        "For each connection and raw table: how many rows the standardized table must have from it.",
        {
            "connection": "Connection.",
            "source_system": "Kind of the CRM.",
            "raw_table": "Raw table that feeds the entity.",
            "entity": "Standardized table.",
            "raw_rows": "Records in raw, each counted once.",
        },
    ),
}


def sources(spec: Mapping) -> str:
    """The raw tables."""
    return _dump(
        {
            "version": 2,
            "sources": [
                {
                    "name": f"raw_{kind}",
                    "schema": f"raw_{kind}",
                    "description": f"What the APIs of the {kind} connections said, as text.",
                    "tables": [
                        {"name": name, "description": table.description, "columns": _raw_columns(spec, kind, name)}
                        for name, table in tables.items()
                    ],
                }
                for kind, tables in spec.raw.items()
            ],
        }
    )


def staging(spec: Mapping) -> str:
    """What the staging models are."""
    models = [
        {
            "name": model_name(kind, model),
            "description": f"{kind}'s {feed.table} in the words of `{entity}`. What does not cast is null.",
            "columns": [{"name": name, **_about(field.description, field.pii)} for name, field in spec.entities[entity].fields.items()],
        }
        for kind, entity, model, feed in spec.feeds()
    ]
    for name, (description, columns) in _CHECK_VIEWS.items():
        models.append({"name": name, "description": description, "columns": [{"name": c, "description": d} for c, d in columns.items()]})
    return _dump({"version": 2, "models": models})


def standardized(spec: Mapping) -> str:
    """What the standardized models are, with their contracts and tests."""
    return _dump({"version": 2, "models": [_entity(name, entity) for name, entity in spec.entities.items()]})


def survivors(spec: Mapping) -> str:
    """What the unified tables of winners are, and the tables that say which record won."""
    models = []
    for name, table in spec.unified.items():
        models += [_unified(spec, name, table), _provenance(name, table)]
    return _dump({"version": 2, "models": models})


def consents(spec: Consents) -> str:
    """What the tables of consents are, with their tests."""
    of = spec.classes()
    described = {
        spec.key: "The customer.",
        "channel": "The way to reach them.",
        "decision": "`opted_out`: do not; `allowed`: nobody said no, or it is allowed again.",
        "decided_at": "When the record came to say so, UTC; null where its CRM does not tell.",
        "legal_basis": "The legal basis that the record names, in its CRM's words.",
        "connection": "Connection of the record that says so.",
        spec.id: "Its id in its CRM.",
        "said_by": "The field of the contact that says so.",
        "source_system": "Kind of its CRM.",
        "last_updated": "When the record was last changed, UTC; something else in it may have been.",
        "why": "What decided.",
        "evidence_count": "Number of records that say something.",
        "opted_out_count": "Number of those that say no.",
    }
    tests = {
        "channel": [_test("accepted_values", "The channel is one of the mapping's.", values=list(spec.channels))],
        "decision": [
            _test("not_null", "Every row has a decision."),
            _test("accepted_values", f"The decision is one of {', '.join(DECISIONS)}.", values=list(DECISIONS)),
        ],
    }
    models = []
    for name, description, keys, more in (
        (
            spec.evidence,
            "One row for each customer, channel and current record that says something of it: the evidence of `consents`.",
            ["connection", spec.id, "channel"],
            [],
        ),
        (
            spec.table,
            "One row for each customer and channel: whether they may be reached by it, which record decides, and why. A no holds unless a record "
            + "allows it again at a later time; where it is not known when somebody said no, it holds always.",
            [spec.key, "channel"],
            [
                _test(
                    "no_opt_out_is_lost",
                    "Whoever said no at an unknown time, or last of all, is opted out.",
                    evidence=f"ref('{spec.evidence}')",
                )
            ],
        ),
    ):
        columns = [
            {"name": column, **_about(described[column], pii), **({"data_tests": tests[column]} if column in tests else {})}
            for column, pii in of[name].items()
        ]
        unique = _test("unique_key", f"No two rows of {name} share {' and '.join(keys)}.", columns=keys)
        models.append({"name": name, "description": description, "data_tests": [unique, *more], "columns": columns})
    return _dump({"version": 2, "models": models})


def _unified(spec: Mapping, name: str, table: Unified) -> dict[str, Any]:
    key_tests = [_test("unique", f"{name} has each {table.key} once."), _test("not_null", f"Every row has {table.key}.")]
    columns: list[dict[str, Any]] = [{"name": table.key, **_about(f"The {table.noun}.", "id"), "data_tests": key_tests}]
    for field_name, field in table.fields.items():
        own = spec.entities[table.records].fields.get(field.value or field_name)
        text = field.description or (own.description if own else "")
        columns.append({"name": field_name, **_about(text, class_of(spec, table, field_name, field))})
    columns += [
        {"name": table.count, "description": "Number of records that may say something: not deleted, merged away or excluded."},
        {"name": "source_systems", "description": f"CRMs that know the {table.noun}, such as `hubspot, salesforce`."},
        *({"name": n, **_about(total.description, total.pii)} for n, total in (table.totals.fields if table.totals else {}).items()),
        {"name": "is_deleted", "description": f"Whether no such record is left; the {table.noun} keeps the row, without values."},
    ]
    return {"name": name, "description": table.description, "columns": columns}


def _provenance(name: str, table: Unified) -> dict[str, Any]:
    rule = _test("accepted_values", "The rule is one of the strategies.", values=list(STRATEGIES))
    described = {
        table.key: f"The {table.noun}.",
        "field": f"Column of {name}.",
        "connection": "Connection of the record that won.",
        table.id: "Its id in its CRM.",
        "rule": "Strategy by which it won; see docs/mapping.md.",
        "record_count": "Number of records that have a value.",
        "agreeing_count": "Number of those that have the winner's value, itself among them.",
        "beaten": "Records with another value, as `connection:id`, the nearest first.",
    }
    of = provenance_classes(table)
    columns = [{"name": n, **_about(d, of[n]), **({"data_tests": [rule]} if n == "rule" else {})} for n, d in described.items()]
    unique = _test("unique_key", f"Each field of a {table.noun} has one winner.", columns=[table.key, "field"])
    return {
        "name": table.provenance,
        "description": f"One row for each {table.noun} and field that has a value: the record that it comes from, and what that record beat.",
        "data_tests": [unique],
        "columns": columns,
    }


def _entity(name: str, entity: Entity) -> dict[str, Any]:
    return {
        "name": name,
        "description": entity.description,
        "config": {"contract": {"enforced": True}},
        "data_tests": [
            _test(
                "unique_key",
                f"No two rows of {name} share {' and '.join(['connection', *entity.key])}.",
                columns=["connection", *entity.key],
            )
        ],
        "columns": [_column(n, field) for n, field in entity.fields.items()],
    }


def _column(name: str, field: StandardField) -> dict[str, Any]:
    tests = []
    if field.bookkeeping is None:  # the others cannot be null or anything else
        if field.required:
            tests.append(_test("not_null", f"Every row has {name}."))
        if field.accepted:
            tests.append(_test("accepted_values", f"{name} is one of {', '.join(field.accepted)}.", values=list(field.accepted)))
    if field.references:
        entity, _, target = field.references.partition(".")
        test = _test("points_to", f"Every {name} is the {target} of a row of {entity}.", to=f"ref('{entity}')", field=target)
        # A CRM may point to what its API does not show us, so this only warns.
        test["points_to"]["config"] = {"severity": "warn", "where": "not is_deleted"}
        tests.append(test)
    column = {"name": name, "data_type": TYPES.get(field.type, field.type), **_about(field.description, field.pii)}
    return column | ({"data_tests": tests} if tests else {})


def _test(name: str, description: str, **arguments: Any) -> dict[str, Any]:
    return {name: {"description": description, **({"arguments": arguments} if arguments else {})}}


def _about(description: str, pii: Pii) -> dict[str, Any]:
    """A column's description and class; descriptions become comments in DuckDB."""
    return {"description": described(description, pii), **({} if pii == "none" else {"config": {"meta": {"pii": pii}}})}


def _raw_columns(spec: Mapping, kind: str, table: str) -> list[dict[str, str]]:
    marks = {
        "connection": "Connection that the row came through.",
        "_synced_at": "When this version was read, UTC.",
        "_deleted": "'true' when the record is deleted or no longer shown.",
        "_merged_into": "Id of the record that this one was merged into.",
    }
    fields = {column: f"{field}, as given." for field, column in spec.raw_columns(kind, table).items()}
    return [{"name": name, "description": text} for name, text in (marks | fields).items()]


def _dump(value: dict[str, Any]) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=150)

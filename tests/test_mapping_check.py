import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cdp_pipelines.crm_integrations.base_crm import (
    AuthenticationError,
    BaseCRM,
    ConnectionTest,
    DayOfCalls,
    FieldInfo,
    PermissionDenied,
    RequestRejected,
)
from cdp_pipelines.mapping import load
from cdp_pipelines.mapping_check import Finding, compare
from cdp_pipelines.sources.reader import Batch, RawTable, Reader, Span

TABLES = (
    RawTable("contacts", "contacts", ("id",)),
    RawTable("companies", "companies", ("id",)),
    RawTable("deals", "deals", ("id",)),
    RawTable(
        "contact_company_associations", "associations", ("from_id", "to_id", "type_id"), ("from_id",),
        fields=tuple(load().raw_fields("hubspot", "contact_company_associations")),
    ),
)  # fmt: skip
TYPES = {"hs_lead_score": "number", "createdate": "datetime", "hs_email_optout": "bool", "amount": "number", "numberofemployees": "number"}


class FakeCRM(BaseCRM):
    def __init__(self, objects: dict[str, list[FieldInfo] | Exception]):
        self.objects = objects

    async def close(self) -> None:
        return None

    async def test_connection(self) -> ConnectionTest:
        raise NotImplementedError

    async def describe_fields(self, object_name: str) -> list[FieldInfo]:
        found = self.objects.get(object_name, RequestRejected("hubspot", f"no object {object_name}"))
        if isinstance(found, Exception):
            raise found
        return found

    @property
    def calls(self) -> Counter[str]:
        return Counter()

    @property
    def day(self) -> DayOfCalls:
        return DayOfCalls()


class FakeReader(Reader):
    tables = TABLES

    def __init__(self, client: FakeCRM):
        self.client = client

    async def fields(self, table: RawTable) -> list[str]:
        if not table.replace_by:
            return [info.name for info in await self.client.describe_fields(table.object)]
        return [*table.key, *table.fields]

    def read(self, table: RawTable, span: Span) -> AsyncIterator[Batch]:
        raise NotImplementedError


def everything_mapped() -> dict[str, list[FieldInfo] | Exception]:
    return {
        name: [FieldInfo(f, TYPES.get(f, "string")) for f in load().raw_fields("hubspot", name)]
        for name in ("contacts", "companies", "deals")
    }


def findings(objects: dict[str, Any]) -> list[Finding]:
    return asyncio.run(compare(load(), "hubspot", FakeReader(FakeCRM(objects))))


def without(objects: dict[str, Any], table: str, *names: str) -> dict[str, Any]:
    return {**objects, table: [info for info in objects[table] if info.name not in names]}


def typed(objects: dict[str, Any], table: str, name: str, type_: str) -> dict[str, Any]:
    return {**without(objects, table, name), table: [*without(objects, table, name)[table], FieldInfo(name, type_)]}


def relevant(found: list[Finding], what: str) -> list[Finding]:
    return [finding for finding in found if finding.what == what]


def test_a_crm_with_every_mapped_field_misses_none() -> None:
    assert relevant(findings(everything_mapped()), "missing") == []
    assert relevant(findings(everything_mapped()), "unreadable") == []


def test_a_missing_field_is_named_with_what_uses_it_and_what_it_may_be_called_now() -> None:
    objects = without(everything_mapped(), "contacts", "jobtitle")
    objects["contacts"].append(FieldInfo("Job_Title__c", "string", custom=True))
    (missing,) = relevant(findings(objects), "missing")
    assert (missing.table, missing.field, missing.used_by, missing.near_names) == (
        "contacts",
        "jobtitle",
        ["contacts.title"],
        ["Job_Title__c"],
    )
    assert missing.blocking


def test_a_missing_field_that_another_stands_in_for_does_not_block() -> None:
    found = relevant(findings(without(everything_mapped(), "contacts", "hubspotscore", "hs_predictivecontactscore")), "missing")
    assert {finding.field for finding in found} == {"hubspotscore", "hs_predictivecontactscore"}
    assert not any(finding.blocking for finding in found)


def test_a_list_of_which_no_field_is_there_blocks() -> None:
    names = ("domain", "website")
    found = relevant(findings(without(everything_mapped(), "companies", *names)), "missing")
    assert {finding.field for finding in found if finding.blocking} == set(names)


def test_an_optional_field_that_is_not_there_is_told_and_does_not_block() -> None:
    scores = ("hs_lead_score", "hubspotscore", "hs_predictivecontactscore_v2", "hs_predictivecontactscore")
    found = relevant(findings(without(everything_mapped(), "contacts", *scores)), "missing")
    assert {finding.field for finding in found if finding.empty} == set(scores)
    assert not any(finding.blocking for finding in found)


def test_a_field_that_joins_tables_blocks() -> None:
    (missing,) = relevant(findings(without(everything_mapped(), "deals", "pipeline")), "missing")
    assert missing.blocking is True


@pytest.mark.parametrize(("type_", "retyped"), [("string", True), ("number", False), ("enumeration", False), ("datetime", True)])
def test_a_number_that_became_something_else_is_reported(type_: str, retyped: bool) -> None:
    found = relevant(findings(typed(everything_mapped(), "contacts", "hs_lead_score", type_)), "retyped")
    assert ("hs_lead_score" in {finding.field for finding in found}) is retyped
    assert not any(finding.blocking for finding in found)


def test_custom_fields_that_nothing_maps_are_listed() -> None:
    objects = everything_mapped()
    assert isinstance(objects["contacts"], list)
    objects["contacts"] += [FieldInfo("shoe_size", "number", "Shoe size", custom=True), FieldInfo("hs_new", "string")]
    assert [finding.field for finding in relevant(findings(objects), "unmapped")] == ["shoe_size"]


def test_an_object_without_permission_blocks_and_the_others_are_compared_all_the_same() -> None:
    objects = without(everything_mapped(), "contacts", "jobtitle")
    objects["deals"] = PermissionDenied("hubspot", "deals may not be read.", "Add the scope crm.objects.deals.read.")
    found = findings(objects)
    (unreadable,) = relevant(found, "unreadable")
    assert (unreadable.table, unreadable.blocking) == ("deals", True)
    assert "crm.objects.deals.read" in unreadable.detail
    assert [finding.field for finding in relevant(found, "missing")] == ["jobtitle"]


def test_refused_credentials_end_the_comparison() -> None:
    with pytest.raises(AuthenticationError):
        findings({"contacts": AuthenticationError("hubspot", "the token is not accepted.")})

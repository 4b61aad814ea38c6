"""hubspot-api-client, unmodified: what it reads. It takes the host as an argument."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import urllib3
from hubspot import HubSpot
from hubspot.crm import associations, companies, contacts, deals
from hubspot.crm.associations import v4
from hubspot.crm.contacts import ApiException
from hubspot.crm.objects import PublicObjectSearchRequest as ObjectSearchRequest
from hubspot.crm.owners import ApiException as OwnersException
from hubspot.crm.pipelines import ApiException as PipelinesException
from hubspot.crm.properties import ApiException as PropertiesException

from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sandbox.server import SandboxServer

CLIENT = "hubspot-api-client"

Connect = Callable[..., HubSpot]


@pytest.fixture(scope="module")
def connect(sandbox: SandboxServer) -> Connect:
    url = sandbox.addresses.url("hubspot")
    # `host` is what the API classes take, `base_url` what `api_request` takes.
    usual: dict[str, Any] = {**credentials.HUBSPOT, "host": url, "base_url": url}
    return lambda **arguments: HubSpot(**{**usual, **arguments})


@pytest.fixture(scope="module")
def hubspot(sandbox: SandboxServer, connect: Connect) -> HubSpot:
    sandbox.options["hubspot"].calls_per_10_seconds = sandbox.options["hubspot"].searches_per_second = None
    return connect()


@pytest.fixture
def counts(sandbox: SandboxServer) -> dict[str, int]:
    return sandbox.world.counts()["hubspot"]


def search(filters: list[dict[str, Any]], **more: Any) -> contacts.PublicObjectSearchRequest:
    return contacts.PublicObjectSearchRequest(filter_groups=[{"filters": filters}], **more)


@pytest.mark.parametrize("name", ["contacts", "companies", "deals"])
def test_every_record_of_an_object_is_listed_once(hubspot: HubSpot, counts: dict[str, int], name: str) -> None:
    records = getattr(hubspot.crm, name).get_all()
    assert len({record.id for record in records}) == len(records) == counts[name]


@pytest.mark.parametrize("name", ["contacts", "contact", "0-1"])
def test_a_type_may_be_named_in_the_plural_the_singular_or_by_its_number(hubspot: HubSpot, counts: dict[str, int], name: str) -> None:
    assert len(hubspot.crm.objects.get_all(name)) == counts["contacts"]


def test_properties_are_given_as_asked_and_unknown_ones_left_out(hubspot: HubSpot) -> None:
    record = hubspot.crm.contacts.basic_api.get_page(limit=1, properties=["email", "jobtitle", "no_such_property"]).results[0]
    assert set(record.properties) == {"email", "jobtitle", "createdate", "hs_object_id", "lastmodifieddate"}


def test_history_comes_in_pages_of_fifty_newest_first(hubspot: HubSpot, counts: dict[str, int]) -> None:
    records = hubspot.crm.contacts.get_all(properties_with_history=["email", "lifecyclestage"])
    assert len(records) == counts["contacts"]
    for record in records:
        times = [version.timestamp for version in record.properties_with_history["email"]]
        assert times == sorted(times, reverse=True)


def test_associations_come_with_the_records(hubspot: HubSpot) -> None:
    record = next(r for r in hubspot.crm.contacts.get_all(associations=["companies", "deals"]) if r.associations)
    linked = record.associations.popitem()[1].results
    assert linked
    assert all(link.id and link.type for link in linked)


def test_archived_records_are_listed_apart(hubspot: HubSpot, counts: dict[str, int]) -> None:
    archived = hubspot.crm.contacts.get_all(archived=True)
    assert archived
    assert all(record.archived and record.archived_at for record in archived)
    assert not {r.id for r in archived} & {r.id for r in hubspot.crm.contacts.get_all()}


def test_a_record_is_read_by_id_and_by_email(hubspot: HubSpot) -> None:
    listed = next(r for r in hubspot.crm.contacts.get_all() if r.properties["email"])
    by_id = hubspot.crm.contacts.basic_api.get_by_id(listed.id, associations=["companies"])
    by_email = hubspot.crm.contacts.basic_api.get_by_id(listed.properties["email"], id_property="email")
    assert by_id.id == by_email.id == listed.id


def test_a_record_that_does_not_exist_is_a_404(hubspot: HubSpot) -> None:
    with pytest.raises(ApiException) as raised:
        hubspot.crm.contacts.basic_api.get_by_id("123")
    assert raised.value.status == 404
    assert '"category":"OBJECT_NOT_FOUND"' in str(raised.value.body)


def test_many_records_are_read_at_once_and_the_missing_ones_named(hubspot: HubSpot) -> None:
    ids = [record.id for record in hubspot.crm.companies.get_all(limit=5)]

    def read(wanted: list[str]) -> Any:
        inputs = [companies.SimplePublicObjectId(id=i) for i in wanted]
        asked = companies.BatchReadInputSimplePublicObjectId(inputs=inputs, properties=["name"], properties_with_history=[])
        return hubspot.crm.companies.batch_api.read(asked)

    assert {record.id for record in read(ids).results} == set(ids)
    partly = read([*ids, "123"])
    assert (len(partly.results), partly.num_errors, partly.errors[0].context["ids"]) == (5, 1, ["123"])


def test_a_search_finds_what_its_filters_say(hubspot: HubSpot) -> None:
    everyone = hubspot.crm.contacts.get_all(properties=["lifecyclestage", "email"])
    customers = {r.id for r in everyone if r.properties["lifecyclestage"] == "customer"}
    asked = search([{"propertyName": "lifecyclestage", "operator": "EQ", "value": "customer"}], properties=["lifecyclestage"], limit=200)
    found = hubspot.crm.contacts.search_api.do_search(asked)
    assert {record.id for record in found.results} == customers
    assert found.total == len(customers) > 0


def test_a_search_is_paged_in_the_order_asked_for(hubspot: HubSpot, counts: dict[str, int]) -> None:
    found: list[int] = []
    after: str | None = None
    while True:
        page = hubspot.crm.contacts.search_api.do_search(
            search(
                [{"propertyName": "hs_object_id", "operator": "GT", "value": "0"}],
                sorts=[{"propertyName": "hs_object_id", "direction": "DESCENDING"}], limit=30, after=after,
            )
        )  # fmt: skip
        found += [int(record.id) for record in page.results]
        if page.paging is None:
            break
        after = page.paging.next.after
    assert found == sorted(found, reverse=True)
    assert len(found) == counts["contacts"]


def test_a_search_by_words_looks_in_names_and_addresses(hubspot: HubSpot) -> None:
    company = hubspot.crm.companies.get_all(limit=1)[0]
    asked = companies.PublicObjectSearchRequest(query=company.properties["name"], limit=10)
    assert company.id in {record.id for record in hubspot.crm.companies.search_api.do_search(asked).results}


def test_a_search_through_the_generic_objects_api_gives_the_same(hubspot: HubSpot) -> None:
    asked = {"filter_groups": [{"filters": [{"propertyName": "dealstage", "operator": "HAS_PROPERTY"}]}], "limit": 100}
    generic = hubspot.crm.objects.search_api.do_search("0-3", ObjectSearchRequest(**asked))
    own = hubspot.crm.deals.search_api.do_search(deals.PublicObjectSearchRequest(**asked))
    assert {r.id for r in generic.results} == {r.id for r in own.results} != set()


@pytest.mark.parametrize(
    "wrong",
    [
        {"propertyName": "no_such_property", "operator": "EQ", "value": "x"},
        {"propertyName": "email", "operator": "SOUNDS_LIKE", "value": "x"},
    ],
)
def test_a_wrong_search_is_refused(hubspot: HubSpot, wrong: dict[str, str]) -> None:
    with pytest.raises(ApiException) as raised:
        hubspot.crm.contacts.search_api.do_search(search([wrong]))
    assert raised.value.status == 400


def test_a_search_does_not_go_past_its_ten_thousandth_result(hubspot: HubSpot) -> None:
    with pytest.raises(ApiException) as raised:
        hubspot.crm.contacts.search_api.do_search(search([{"propertyName": "email", "operator": "HAS_PROPERTY"}], after="10000"))
    assert raised.value.status == 400


def test_associations_of_many_records_are_read_with_their_labels(hubspot: HubSpot) -> None:
    ids = [record.id for record in hubspot.crm.contacts.get_all()]
    asked = v4.BatchInputPublicFetchAssociationsBatchRequest(inputs=[v4.PublicFetchAssociationsBatchRequest(id=i) for i in ids[:100]])
    read = hubspot.crm.associations.v4.batch_api.get_page("contacts", "companies", asked)
    assert read.results
    assert {type(link.to_object_id) for result in read.results for link in result.to} == {str}
    linked = {result._from.id for result in read.results}
    assert {i for error in read.errors or [] for i in error.context["fromObjectId"]} <= set(ids) - linked


def test_associations_of_one_record_are_the_same_as_in_the_batch(hubspot: HubSpot) -> None:
    deal = next(r for r in hubspot.crm.deals.get_all(associations=["contacts"]) if r.associations)
    page = hubspot.crm.associations.v4.basic_api.get_page("deals", deal.id, "contacts", limit=500)
    assert {str(link.to_object_id) for link in page.results} == {link.id for link in deal.associations["contacts"].results}


def test_the_labels_of_an_association_include_the_primary_one(hubspot: HubSpot) -> None:
    labels = hubspot.crm.associations.v4.schema.definitions_api.get_all("contacts", "companies").results
    assert {(label.type_id, label.label) for label in labels} >= {(279, None), (1, "Primary")}


def test_properties_are_described(hubspot: HubSpot) -> None:
    found = {p.name: p for p in hubspot.crm.properties.core_api.get_all("contacts").results}
    assert (found["email"].type, found["createdate"].type) == ("string", "datetime")
    assert hubspot.crm.properties.core_api.get_by_name("contacts", "lifecyclestage").options
    with pytest.raises(PropertiesException) as raised:
        hubspot.crm.properties.core_api.get_by_name("contacts", "no_such_property")
    assert raised.value.status == 404


def test_pipelines_have_stages_with_probabilities(hubspot: HubSpot) -> None:
    pipeline = hubspot.crm.pipelines.pipelines_api.get_all("deals").results[0]
    stages = hubspot.crm.pipelines.pipeline_stages_api.get_all("deals", pipeline.id).results
    assert {stage.id for stage in stages} == {stage.id for stage in pipeline.stages}
    assert all(0 <= float(stage.metadata["probability"]) <= 1 for stage in stages)
    assert hubspot.crm.pipelines.pipelines_api.get_by_id("deals", pipeline.id).id == pipeline.id
    with pytest.raises(PipelinesException) as raised:
        hubspot.crm.pipelines.pipelines_api.get_by_id("deals", "no-such-pipeline")
    assert raised.value.status == 404


def test_owners_are_listed_and_read(hubspot: HubSpot, counts: dict[str, int]) -> None:
    owners = hubspot.crm.owners.get_all()
    former = hubspot.crm.owners.get_all(archived=True)
    assert len(owners) + len(former) == counts["owners"]
    assert not any(owner.archived for owner in owners)
    assert hubspot.crm.owners.owners_api.get_by_id(owners[0].id).email == owners[0].email
    with pytest.raises(OwnersException) as raised:
        hubspot.crm.owners.owners_api.get_by_id(999_999_999)
    assert raised.value.status == 404


@pytest.mark.parametrize("path", ["/account-info/v3/details", "/account-info/v3/api-usage/daily/private-apps", "/crm/v3/schemas",
                                  "/properties/v2/contact/properties", "/crm/objects/2026-09/contacts"])  # fmt: skip
def test_what_the_client_has_no_method_for_is_reached_by_path(hubspot: HubSpot, path: str) -> None:
    answer = hubspot.api_request({"path": path})
    assert answer.status_code == 200
    assert answer.json()


def test_a_wrong_token_is_a_401(connect: Connect) -> None:
    with pytest.raises(ApiException) as raised:
        connect(access_token="pat-na1-wrong").crm.contacts.basic_api.get_page()
    assert raised.value.status == 401
    assert "INVALID_AUTHENTICATION" in str(raised.value.body)


def test_a_withheld_scope_is_a_403_that_names_it(sandbox: SandboxServer, hubspot: HubSpot) -> None:
    options = sandbox.options["hubspot"]
    options.withheld_scopes = frozenset({"crm.objects.deals.read"})
    try:
        with pytest.raises(deals.ApiException) as raised:
            hubspot.crm.deals.get_all()
    finally:
        options.withheld_scopes = frozenset()
    assert raised.value.status == 403
    assert "crm.objects.deals.read" in str(raised.value.body)


def test_too_many_calls_are_a_429_and_the_clients_own_retry_gets_through(
    sandbox: SandboxServer, connect: Connect, hubspot: HubSpot
) -> None:
    options = sandbox.options["hubspot"]
    options.searches_per_second = 2
    asked = search([{"propertyName": "email", "operator": "HAS_PROPERTY"}], limit=1)
    patient = connect(retry=urllib3.Retry(total=5, backoff_factor=0.5, status_forcelist=(429,), allowed_methods=None))
    try:
        with pytest.raises(ApiException) as raised:
            for _ in range(10):
                hubspot.crm.contacts.search_api.do_search(asked)
        assert raised.value.status == 429
        assert patient.crm.contacts.search_api.do_search(asked).total > 0
    finally:
        options.searches_per_second = None


def test_associations_of_the_older_version_give_ids_and_types(hubspot: HubSpot) -> None:
    deal = next(r for r in hubspot.crm.deals.get_all(associations=["contacts"]) if r.associations)
    asked = associations.BatchInputPublicObjectId(inputs=[associations.PublicObjectId(id=deal.id)])
    read = hubspot.crm.associations.batch_api.read("deals", "contacts", asked).results[0]
    assert {link.id for link in read.to} == {link.id for link in deal.associations["contacts"].results}

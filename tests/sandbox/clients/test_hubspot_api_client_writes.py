"""hubspot-api-client, unmodified: what it writes, and what is then read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hubspot import HubSpot
from hubspot.crm import associations, contacts, properties
from hubspot.crm.associations import v4
from hubspot.crm.contacts import ApiException
from hubspot.crm.properties import ApiException as PropertiesException
from hubspot.oauth import ApiException as OAuthException
from hubspot.utils.signature import Signature
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sandbox.hubspot.webhooks import WebhookTarget
from cdp_pipelines.sandbox.server import SandboxServer

CLIENT = "hubspot-api-client (writing)"

Create = Callable[..., Any]


@pytest.fixture(scope="module")
def hubspot(sandbox: SandboxServer) -> HubSpot:
    sandbox.options["hubspot"].calls_per_10_seconds = sandbox.options["hubspot"].searches_per_second = None
    url = sandbox.addresses.url("hubspot")
    return HubSpot(access_token=credentials.HUBSPOT["access_token"], host=url)


@pytest.fixture
def create(hubspot: HubSpot) -> Create:
    return lambda **values: hubspot.crm.contacts.basic_api.create(contacts.SimplePublicObjectInputForCreate(properties=values))


def read(hubspot: HubSpot, record_id: str, *names: str) -> dict[str, Any]:
    return hubspot.crm.contacts.basic_api.get_by_id(record_id, properties=list(names)).properties


def update(hubspot: HubSpot, record_id: str, **values: str) -> Any:
    return hubspot.crm.contacts.basic_api.update(record_id, contacts.SimplePublicObjectInput(properties=values))


def batch(*inputs: dict[str, Any]) -> contacts.BatchInputSimplePublicObjectBatchInput:
    return contacts.BatchInputSimplePublicObjectBatchInput(inputs=[contacts.SimplePublicObjectBatchInput(**i) for i in inputs])


def creations(*inputs: dict[str, Any]) -> contacts.BatchInputSimplePublicObjectBatchInputForCreate:
    made = [contacts.SimplePublicObjectBatchInputForCreate(**i) for i in inputs]
    return contacts.BatchInputSimplePublicObjectBatchInputForCreate(inputs=made)


def test_a_created_contact_is_there_with_what_hubspot_adds(hubspot: HubSpot, create: Create) -> None:
    made = create(email="ada@new.example", firstname="Ada", lastname="Lovelace")
    assert made.properties["lifecyclestage"] == "lead"
    assert made.properties["hs_full_name_or_email"] == "Ada Lovelace"
    assert read(hubspot, made.id, "email")["email"] == "ada@new.example"


def test_a_contact_can_be_created_with_its_associations(hubspot: HubSpot) -> None:
    company = hubspot.crm.companies.get_all(limit=1)[0]
    link = {"to": {"id": company.id}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279}]}
    wish = contacts.SimplePublicObjectInputForCreate(properties={"email": "linked@new.example"}, associations=[link])
    made = hubspot.crm.contacts.basic_api.create(wish)
    found = hubspot.crm.associations.v4.basic_api.get_page("contacts", made.id, "companies").results
    assert {str(end.to_object_id) for end in found} == {company.id}


def test_an_email_that_is_taken_is_a_conflict_that_names_the_contact(create: Create) -> None:
    first = create(email="taken@new.example")
    with pytest.raises(ApiException) as raised:
        create(email="taken@new.example")
    assert raised.value.status == 409
    assert f"Existing ID: {first.id}" in str(raised.value.body)


def test_a_property_that_does_not_exist_is_refused_by_name(create: Create) -> None:
    with pytest.raises(ApiException) as raised:
        create(email="odd@new.example", first000name="Ada")
    assert raised.value.status == 400
    assert "PROPERTY_DOESNT_EXIST" in str(raised.value.body)


def test_an_update_changes_what_it_names_and_keeps_the_history(hubspot: HubSpot, create: Create) -> None:
    made = create(email="changes@new.example", jobtitle="Clerk", firstname="Cleo")
    changed = update(hubspot, made.id, jobtitle="Manager")
    assert changed.updated_at >= made.updated_at
    assert read(hubspot, made.id, "jobtitle", "firstname").items() >= {"jobtitle": "Manager", "firstname": "Cleo"}.items()
    history = hubspot.crm.contacts.basic_api.get_by_id(made.id, properties_with_history=["jobtitle"]).properties_with_history
    assert [version.value for version in history["jobtitle"]] == ["Manager", "Clerk"]


def test_an_empty_text_clears_a_property(hubspot: HubSpot, create: Create) -> None:
    made = create(email="clears@new.example", jobtitle="Clerk")
    update(hubspot, made.id, jobtitle="")
    assert not read(hubspot, made.id, "jobtitle")["jobtitle"]


def test_an_update_may_name_the_contact_by_email(hubspot: HubSpot, create: Create) -> None:
    made = create(email="byemail@new.example")
    change = contacts.SimplePublicObjectInput(properties={"city": "Turin"})
    assert hubspot.crm.contacts.basic_api.update("byemail@new.example", change, id_property="email").id == made.id
    assert read(hubspot, made.id, "city")["city"] == "Turin"


def test_an_archived_contact_leaves_the_list_for_the_archive(hubspot: HubSpot, create: Create) -> None:
    made = create(email="archived@new.example")
    hubspot.crm.contacts.basic_api.archive(made.id)
    with pytest.raises(ApiException) as raised:
        hubspot.crm.contacts.basic_api.get_by_id(made.id)
    assert raised.value.status == 404
    assert hubspot.crm.contacts.basic_api.get_by_id(made.id, archived=True).archived


def test_a_purged_contact_is_gone_from_the_archive_too(hubspot: HubSpot, create: Create) -> None:
    made = create(email="purged@new.example")
    wish = contacts.PublicGdprDeleteInput(object_id="purged@new.example", id_property="email")
    hubspot.crm.contacts.basic_api.purge(wish)
    for archived in (False, True):
        with pytest.raises(ApiException) as raised:
            hubspot.crm.contacts.basic_api.get_by_id(made.id, archived=archived)
        assert raised.value.status == 404


def test_a_merge_leaves_one_contact_that_answers_for_both(hubspot: HubSpot, create: Create) -> None:
    kept, gone = create(email="kept@new.example"), create(email="gone@new.example")
    wish = contacts.PublicMergeInput(primary_object_id=kept.id, object_id_to_merge=gone.id)
    survivor = hubspot.crm.contacts.basic_api.merge(wish)
    assert hubspot.crm.contacts.basic_api.get_by_id(gone.id).id == survivor.id
    assert gone.id in read(hubspot, survivor.id, "hs_merged_object_ids")["hs_merged_object_ids"]
    assert gone.id not in {record.id for record in hubspot.crm.contacts.get_all()}


def test_many_contacts_are_created_changed_and_archived_at_once(hubspot: HubSpot) -> None:
    api = hubspot.crm.contacts.batch_api
    made = api.create(creations(*({"properties": {"email": f"batch{n}@new.example"}, "associations": []} for n in range(3)))).results
    assert len({record.id for record in made}) == 3
    changed = api.update(batch(*({"id": record.id, "properties": {"city": "Graz"}} for record in made))).results
    assert {record.id for record in changed} == {record.id for record in made}
    assert read(hubspot, made[0].id, "city")["city"] == "Graz"
    inputs = [contacts.SimplePublicObjectId(id=record.id) for record in made]
    api.archive(contacts.BatchInputSimplePublicObjectId(inputs=inputs))
    assert not {record.id for record in made} & {record.id for record in hubspot.crm.contacts.get_all()}


def test_a_batch_with_trace_ids_succeeds_in_part(hubspot: HubSpot, create: Create) -> None:
    existing = create(email="here@new.example")
    answer = hubspot.crm.contacts.batch_api.create(
        creations(
            {"properties": {"email": "here@new.example"}, "object_write_trace_id": "0", "associations": []},
            {"properties": {"email": "there@new.example"}, "object_write_trace_id": "1", "associations": []},
        )
    )
    assert [record.properties["email"] for record in answer.results] == ["there@new.example"]
    assert answer.errors[0].context["existingId"] == [existing.id]


def test_an_upsert_tells_the_new_from_the_known(hubspot: HubSpot, create: Create) -> None:
    known = create(email="known@new.example")
    inputs = [
        contacts.SimplePublicObjectBatchInputUpsert(id=email, id_property="email", properties={"city": "Oslo"})
        for email in ("known@new.example", "unknown@new.example")
    ]
    answer = hubspot.crm.contacts.batch_api.upsert(contacts.BatchInputSimplePublicObjectBatchInputUpsert(inputs=inputs))
    assert {record.new for record in answer.results} == {True, False}
    assert next(record.id for record in answer.results if not record.new) == known.id


def test_an_update_of_a_contact_that_is_not_there_is_an_error_beside_the_rest(hubspot: HubSpot, create: Create) -> None:
    made = create(email="besides@new.example")
    change = {"properties": {"city": "Bonn"}}
    answer = hubspot.crm.contacts.batch_api.update(batch({"id": made.id, **change}, {"id": "123", **change}))
    assert [record.id for record in answer.results] == [made.id]
    assert answer.errors[0].context["ids"] == ["123"]


def test_an_association_is_made_labelled_and_ended(hubspot: HubSpot, create: Create) -> None:
    contact, company = create(email="joined@new.example"), hubspot.crm.companies.get_all(limit=1)[0]
    api = hubspot.crm.associations.v4.basic_api

    def types() -> set[int]:
        found = api.get_page("contacts", contact.id, "companies").results
        return {kind.type_id for end in found for kind in end.association_types}

    api.create_default("contacts", contact.id, "companies", company.id)
    assert types() >= {279}
    primary = [v4.AssociationSpec(association_category="HUBSPOT_DEFINED", association_type_id=1)]
    api.create("contacts", contact.id, "companies", company.id, primary)
    assert types() == {1, 279}
    api.archive("contacts", contact.id, "companies", company.id)
    assert types() == set()


def test_associations_of_many_are_made_and_ended_at_once(hubspot: HubSpot, create: Create) -> None:
    contact, deals = create(email="many@new.example"), hubspot.crm.deals.get_all(limit=2)
    spec = [v4.AssociationSpec(association_category="HUBSPOT_DEFINED", association_type_id=4)]
    links = [v4.PublicAssociationMultiPost(_from={"id": contact.id}, to={"id": deal.id}, types=spec) for deal in deals]
    api = hubspot.crm.associations.v4.batch_api
    api.create("contacts", "deals", v4.BatchInputPublicAssociationMultiPost(inputs=links))
    found = hubspot.crm.associations.v4.basic_api.get_page("contacts", contact.id, "deals").results
    assert {str(end.to_object_id) for end in found} == {deal.id for deal in deals}
    ended = [v4.PublicAssociationMultiArchive(_from={"id": contact.id}, to=[{"id": deal.id} for deal in deals])]
    api.archive("contacts", "deals", v4.BatchInputPublicAssociationMultiArchive(inputs=ended))
    assert hubspot.crm.associations.v4.basic_api.get_page("contacts", contact.id, "deals").results == []


def test_associations_of_the_older_version_are_made_and_ended(hubspot: HubSpot, create: Create) -> None:
    contact, company = create(email="older@new.example"), hubspot.crm.companies.get_all(limit=1)[0]
    link = associations.PublicAssociation(_from={"id": contact.id}, to={"id": company.id}, type="contact_to_company")
    wish = associations.BatchInputPublicAssociation(inputs=[link])
    hubspot.crm.associations.batch_api.create("contacts", "companies", wish)
    api = hubspot.crm.associations.v4.basic_api
    assert len(api.get_page("contacts", contact.id, "companies").results) == 1
    hubspot.crm.associations.batch_api.archive("contacts", "companies", wish)
    assert api.get_page("contacts", contact.id, "companies").results == []


def test_a_property_of_ones_own_is_made_used_renamed_and_archived(hubspot: HubSpot, create: Create) -> None:
    api = hubspot.crm.properties.core_api
    definition = {"name": "shoe_size", "label": "Shoe size", "type": "number", "field_type": "number", "group_name": "contactinformation"}
    api.create("contacts", properties.PropertyCreate(**definition))
    made = create(email="shoes@new.example", shoe_size="43")
    assert read(hubspot, made.id, "shoe_size")["shoe_size"] == "43"
    assert api.update("contacts", "shoe_size", properties.PropertyUpdate(label="Size of shoe")).label == "Size of shoe"
    with pytest.raises(PropertiesException) as raised:
        api.create("contacts", properties.PropertyCreate(**definition))
    assert raised.value.status == 409
    api.archive("contacts", "shoe_size")
    assert "shoe_size" not in {p.name for p in api.get_all("contacts").results}


def test_groups_of_properties_are_made_and_listed(hubspot: HubSpot) -> None:
    api = hubspot.crm.properties.groups_api
    api.create("contacts", properties.PropertyGroupCreate(name="clothing", label="Clothing"))
    assert api.get_by_name("contacts", "clothing").label == "Clothing"
    assert api.update("contacts", "clothing", properties.PropertyGroupUpdate(label="Clothes")).label == "Clothes"
    assert {"clothing", "contactinformation"} <= {group.name for group in api.get_all("contacts").results}
    api.archive("contacts", "clothing")


def test_a_refresh_token_gives_an_access_token_that_works(sandbox: SandboxServer, hubspot: HubSpot) -> None:
    options = sandbox.options["hubspot"]
    app = {"grant_type": "refresh_token", "client_id": options.client_id, "client_secret": options.client_secret}
    given = hubspot.oauth.tokens_api.create(**app, refresh_token=options.refresh_token)
    url = sandbox.addresses.url("hubspot")
    assert HubSpot(access_token=given.access_token, host=url).crm.contacts.basic_api.get_page(limit=1).results
    assert hubspot.oauth.access_tokens_api.get(given.access_token).hub_id == options.portal_id
    assert hubspot.oauth.refresh_tokens_api.get(options.refresh_token).hub_id == options.portal_id
    with pytest.raises(OAuthException) as raised:
        hubspot.oauth.tokens_api.create(**app, refresh_token="gone")
    assert raised.value.status == 400


@pytest.mark.parametrize("version", ["v1", "v3"])
def test_webhooks_are_signed_as_the_client_checks_them(
    sandbox: SandboxServer, create: Create, serve: Callable[[ASGIApp], str], version: str
) -> None:
    heard: list[tuple[Mapping[str, str], str]] = []

    async def hear(request: Request) -> Response:
        heard.append((request.headers, (await request.body()).decode()))
        return Response()

    url = serve(Starlette(routes=[Route("/hook", hear, methods=["POST"])])) + "/hook"
    webhooks = sandbox.apps["hubspot"].state.webhooks
    webhooks.target = WebhookTarget(url, "a-client-secret", frozenset({"contact.creation"}))
    try:
        made = create(email=f"hook-{version}@new.example")
        assert webhooks.settle()
    finally:
        webhooks.target = None
    headers, body = heard[-1]
    assert int(made.id) in {event["objectId"] for event in json.loads(body)}
    name = "X-HubSpot-Signature" + {"v1": "", "v3": "-v3"}[version]
    checked = {"http_uri": url, "signature_version": version, "timestamp": headers["X-HubSpot-Request-Timestamp"]}
    assert Signature.is_valid(headers[name], "a-client-secret", body, **checked)
    assert not Signature.is_valid(headers[name], "another-secret", body, **checked)

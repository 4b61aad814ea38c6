"""hubspot-api-client, unmodified: what describes records rather than being one: labels of associations, properties, schemas, pipelines."""

from __future__ import annotations

from typing import Any

import pytest
from hubspot import HubSpot
from hubspot.crm import pipelines, properties
from hubspot.crm.associations import v4
from hubspot.crm.associations.v4 import schema

from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sandbox.server import SandboxServer

CLIENT = "hubspot-api-client (schema)"


@pytest.fixture(scope="module")
def hubspot(sandbox: SandboxServer) -> HubSpot:
    sandbox.options["hubspot"].calls_per_10_seconds = sandbox.options["hubspot"].searches_per_second = None
    return HubSpot(access_token=credentials.HUBSPOT["access_token"], host=sandbox.addresses.url("hubspot"))


def test_a_label_of_ones_own_is_made_used_renamed_and_removed(hubspot: HubSpot) -> None:
    api, links = hubspot.crm.associations.v4.schema.definitions_api, hubspot.crm.associations.v4
    contact, company = hubspot.crm.contacts.get_all(limit=1)[0].id, hubspot.crm.companies.get_all(limit=1)[0].id
    wish = schema.PublicAssociationDefinitionCreateRequest(label="Adviser", name="adviser")
    made = api.create("contacts", "companies", wish).results
    label = next(kind for kind in made if kind.label == "Adviser")
    spec = [v4.AssociationSpec(association_category=label.category, association_type_id=label.type_id)]

    def labels() -> set[Any]:
        found = links.basic_api.get_page("contacts", contact, "companies").results
        return {kind.label for end in found if str(end.to_object_id) == company for kind in end.association_types}

    links.basic_api.create("contacts", contact, "companies", company, spec)
    assert "Adviser" in labels()
    api.update(
        "contacts", "companies", schema.PublicAssociationDefinitionUpdateRequest(association_type_id=label.type_id, label="Senior adviser")
    )
    assert "Senior adviser" in labels()
    link = v4.PublicAssociationMultiPost(_from={"id": contact}, to={"id": company}, types=spec)
    links.batch_api.archive_labels("contacts", "companies", v4.BatchInputPublicAssociationMultiPost(inputs=[link]))
    assert "Senior adviser" not in labels()
    api.remove("contacts", "companies", label.type_id)
    assert label.type_id not in {kind.type_id for kind in api.get_all("contacts", "companies").results}


def test_default_associations_of_many_are_made_at_once(hubspot: HubSpot) -> None:
    contact, deals = hubspot.crm.contacts.get_all()[-1].id, hubspot.crm.deals.get_all(limit=2)
    inputs = [v4.PublicDefaultAssociationMultiPost(_from={"id": contact}, to={"id": deal.id}) for deal in deals]
    api = hubspot.crm.associations.v4
    api.batch_api.create_default("contacts", "deals", v4.BatchInputPublicDefaultAssociationMultiPost(inputs=inputs))
    linked = {str(end.to_object_id) for end in api.basic_api.get_page("contacts", contact, "deals").results}
    assert {deal.id for deal in deals} <= linked


def test_the_older_version_lists_the_types_of_associations(hubspot: HubSpot) -> None:
    found = hubspot.crm.associations.schema.types_api.get_all("contacts", "companies").results
    assert {"contact_to_company"} <= {kind.name for kind in found}


def test_properties_are_made_read_and_archived_in_batches(hubspot: HubSpot) -> None:
    api, names = hubspot.crm.properties.batch_api, ["favourite_tea", "favourite_cake"]
    definition = {"type": "string", "field_type": "text", "group_name": "contactinformation"}
    wishes = [properties.PropertyCreate(name=name, label=name.title(), **definition) for name in names]
    made = api.create("contacts", properties.BatchInputPropertyCreate(inputs=wishes)).results
    assert {p.name for p in made} == set(names)
    inputs = [properties.PropertyName(name=name) for name in names]
    read = api.read("contacts", properties.BatchReadInputPropertyName(inputs=inputs, archived=False)).results
    assert {p.label for p in read} == {name.title() for name in names}
    api.archive("contacts", properties.BatchInputPropertyName(inputs=inputs))
    assert not set(names) & {p.name for p in hubspot.crm.properties.core_api.get_all("contacts").results}


def test_schemas_of_custom_objects_are_listed(hubspot: HubSpot) -> None:
    assert isinstance(hubspot.crm.schemas.core_api.get_all().results, list)


def test_a_stage_and_the_history_of_a_pipeline_are_read(hubspot: HubSpot) -> None:
    pipeline = hubspot.crm.pipelines.pipelines_api.get_all("deals").results[0]
    stage = hubspot.crm.pipelines.pipeline_stages_api.get_by_id("deals", pipeline.id, pipeline.stages[0].id)
    assert stage.label == pipeline.stages[0].label
    assert isinstance(hubspot.crm.pipelines.pipeline_audits_api.get_audit("deals", pipeline.id).results, list)


def test_a_pipeline_of_ones_own_is_made_changed_used_and_removed(hubspot: HubSpot) -> None:
    api, steps = hubspot.crm.pipelines.pipelines_api, hubspot.crm.pipelines.pipeline_stages_api

    def wish(label: str, chance: str) -> pipelines.PipelineStageInput:
        return pipelines.PipelineStageInput(label=label, display_order=0, metadata={"probability": chance})

    made = api.create(
        "deals", pipelines.PipelineInput(label="Renewals", display_order=1, stages=[wish("Asked", "0.3"), wish("Kept", "1.0")])
    )
    stage = steps.create("deals", made.id, wish("Signed", "0.9"))
    assert steps.update("deals", made.id, stage.id, pipelines.PipelineStagePatchInput(label="Sealed")).label == "Sealed"
    assert steps.replace("deals", made.id, stage.id, wish("Signed", "0.8")).metadata["probability"] == "0.8"
    assert api.update("deals", made.id, pipelines.PipelinePatchInput(label="Again")).label == "Again"
    replaced = api.replace(
        "deals", made.id, pipelines.PipelineInput(label="Again", display_order=2, stages=[wish("Asked", "0.4"), wish("Kept", "1.0")])
    )
    assert [s.label for s in replaced.stages] == ["Asked", "Kept"]
    assert [done.action for done in hubspot.crm.pipelines.pipeline_audits_api.get_audit("deals", made.id).results] == [
        "UPDATE",
        "UPDATE",
        "CREATE",
    ]
    steps.archive("deals", made.id, replaced.stages[0].id)
    api.archive("deals", made.id)
    assert made.id not in {p.id for p in api.get_all("deals").results}


@pytest.mark.parametrize("kind", ["tickets", "products", "line_items"])
def test_types_without_records_are_lists_without_any(hubspot: HubSpot, kind: str) -> None:
    assert getattr(hubspot.crm, kind).basic_api.get_page().results == []

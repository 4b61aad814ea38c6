"""Calls that write one record: create, update, archive, merge, erase."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from cdp_pipelines.sandbox import clock
from cdp_pipelines.sandbox.hubspot.associations import AssociationType, Links, inverse
from cdp_pipelines.sandbox.hubspot.errors import Refused, answer, bad_input, conflict, invalid, not_found
from cdp_pipelines.sandbox.hubspot.inputs import appended, checked_values, given_properties, json_body, objects, record_id, text
from cdp_pipelines.sandbox.hubspot.objects_api import ObjectsApi
from cdp_pipelines.sandbox.hubspot.portal import UNIQUE, further
from cdp_pipelines.sandbox.hubspot.properties import DEALS, ObjectType
from cdp_pipelines.sandbox.hubspot.records import Record
from cdp_pipelines.sandbox.hubspot.translate import owner_id
from cdp_pipelines.sandbox.hubspot.values import value

SOURCE = "INTEGRATION"
# What the answer to a write shows of a contact beside the properties that were sent; other types show all that have a value.
CREATED = (
    "createdate", "hs_all_contact_vids", "hs_associated_target_accounts", "hs_currently_enrolled_in_prospecting_agent", "hs_email_domain",
    "hs_full_name_or_email", "hs_is_contact", "hs_is_unworked", "hs_lifecyclestage_lead_date", "hs_membership_has_accessed_private_content",
    "hs_object_id", "hs_object_source", "hs_object_source_id", "hs_object_source_label", "hs_pipeline",
    "hs_prospecting_agent_actively_enrolled_count", "hs_prospecting_agent_total_enrolled_count", "hs_registered_member",
    "hs_sequences_actively_enrolled_count", "lastmodifieddate", "lifecyclestage", "num_notes",
)  # fmt: skip
UPDATED = (
    "createdate", "hs_is_unworked", "hs_object_id", "hs_object_source", "hs_object_source_id", "hs_object_source_label", "hs_pipeline",
    "lastmodifieddate", "lifecyclestage",
)  # fmt: skip


@dataclass(frozen=True)
class Link:
    """An association that a new record shall have: `types` as read from the start of `links`, `other` the id at the other end."""

    links: Links
    other: int
    types: tuple[AssociationType, ...]


class WritesApi:
    """Handlers for writes of one record under `/crm/v3/objects`, and the steps that batches do for each input."""

    def __init__(self, objects: ObjectsApi):
        self.objects, self.store, self.options = objects, objects.store, objects.options

    async def create(self, request: Request) -> Response:
        """POST a record, with associations if any."""
        kind, body, at = self.objects.kind(request), await json_body(request), clock.now()
        values = self.values(kind, given_properties(body))
        links = self.wanted_links(kind, body)
        self.refuse_taken(kind, values, None)
        return answer(self.written(kind, self.make(kind, values, links, at), values, CREATED), 201)

    async def update(self, request: Request) -> Response:
        """PATCH a record, by id or by a unique property."""
        kind, body, asked = self.objects.kind(request), await json_body(request), request.path_params["id"]
        if (found := self.objects.find(kind, asked, request.query_params.get("idProperty"))) is None:
            raise not_found(asked)
        values = self.values(kind, given_properties(body))
        self.refuse_taken(kind, values, found)
        return answer(self.written(kind, self.change(kind, found, values, clock.now()), values, UPDATED))

    async def archive(self, request: Request) -> Response:
        """DELETE a record: it goes to the archived ones. Deleting what is not there is a success too."""
        kind = self.objects.kind(request)
        if (found := self.objects.find(kind, request.path_params["id"], follow=False)) is not None:
            self.store.archive(kind, found, clock.now(), SOURCE)
        return Response(None, 204)

    async def merge(self, request: Request) -> Response:
        """POST two ids; the answer is the survivor."""
        kind, body = self.objects.kind(request), await json_body(request)
        keep, lose = (self._live(kind, text(body, name)) for name in ("primaryObjectId", "objectIdToMerge"))
        if keep == lose:
            raise invalid(f"Cannot merge {kind.singular} {keep} with itself")
        records, most = self.store.records[kind.plural], self.options.merges_at_most
        if len(records.get(keep).merged) + len(records.get(lose).merged) + 1 > most:
            raise invalid(f"The {kind.singular} {keep} has been merged more than {most} times")
        survivor = self.store.merge(kind, keep, lose, clock.now(), mint=self.options.merge_mints_new_id, source=SOURCE)
        return answer(self.objects.show(kind, records.get(survivor), [], [], [], request))

    async def gdpr_delete(self, request: Request) -> Response:
        """POST an id or an email: the record is erased. An unknown email is a success: HubSpot notes it so that it never comes back."""
        kind, body, at = self.objects.kind(request), await json_body(request), clock.now()
        asked, by = text(body, "objectId"), text(body, "idProperty", "hs_object_id")
        found = self.objects.find(kind, asked, by)
        if found is None:
            found = self.objects.find(kind, asked, by, archived=True)
        if found is not None:
            self.store.purge(kind, found, at)
        elif by == "hs_object_id":
            raise not_found(asked)
        return Response(None, 204)

    # Steps.

    def values(self, kind: ObjectType, given: dict[str, Any]) -> dict[str, str]:
        """Property values as they are kept. Raises Refused."""
        return checked_values(self.objects.known(kind), given, self.owners(), self.store.pipelines.values(kind.plural))

    def owners(self) -> set[str]:
        """The ids of the owners that a record can have."""
        return {str(owner_id(o.number)) for o in self.store.owners}

    def taken(self, kind: ObjectType, values: dict[str, str], mine: int | None) -> int | None:
        """Another live record that has one of these values, which no two records share."""
        known, records = self.objects.known(kind), self.store.records[kind.plural]
        for name in (name for name in values if "u" in known[name].flags and values[name]):
            other = records.with_value(name, values[name])
            if other is not None and other != mine:
                return other
        return None

    def refuse_taken(self, kind: ObjectType, values: dict[str, str], mine: int | None) -> None:
        """Raises Refused when another record has a value that no two records share."""
        if (other := self.taken(kind, values, mine)) is not None:
            raise conflict(f"{kind.singular.capitalize()} already exists", other)

    def make(self, kind: ObjectType, values: dict[str, str], links: list[Link], at: datetime) -> Record:
        """A new record of checked values, linked."""
        values = self.store.pipelines.completed(kind.plural, values, {})
        record = self.store.create(kind, {"hs_object_source_id": str(self.options.app_id), **values}, at, SOURCE)
        for link in links:
            self.connect(link.links, kind, record.id, link.other, link.types, at)
        if kind is DEALS:
            self.store.advance_contacts(record, at)
        return record

    def change(self, kind: ObjectType, found: int, values: dict[str, str], at: datetime) -> Record:
        """Set checked values of a record."""
        record = self.store.records[kind.plural].get(found)
        kept = {name: appended(record.properties.get(name, ""), sent) for name, sent in values.items()}
        stage, old = kept.get("lifecyclestage"), record.properties.get("lifecyclestage", "")
        if stage and old and self.options.lifecycle_forward_only and not further(stage, old):
            del kept["lifecyclestage"]
        kept = self.store.pipelines.completed(kind.plural, kept, record.properties)
        self.store.set_properties(kind, found, kept, at, SOURCE)
        if kind is DEALS and kept.get("dealstage"):
            self.store.advance_contacts(self.store.records[kind.plural].get(found), at)
        return self.store.records[kind.plural].get(found)

    def written(self, kind: ObjectType, record: Record, values: dict[str, str], names: tuple[str, ...]) -> dict[str, Any]:
        """A record as the answer to a write shows it: what was sent, and what HubSpot keeps of its own."""
        known = self.objects.known(kind)
        asked = [*names, *values] if kind.plural in UNIQUE else list(known)
        found = {name: value(self.store, kind, record, name) for name in sorted({*asked} & known.keys())}
        properties = {name: text for name, text in found.items() if text is not None}
        url = f"https://app.hubspot.com/contacts/{self.options.portal_id}/record/{kind.type_id}/{record.id}"
        return {"id": str(record.id), "properties": properties, **self.objects.around(kind, record), "url": url}

    def wanted_links(self, kind: ObjectType, body: dict[str, Any]) -> list[Link]:
        """The associations that the body of a new record asks for. Raises Refused."""
        found = []
        for given in objects(body, "associations"):
            to = given.get("to")
            if not isinstance(to, dict):
                raise bad_input('Some required fields were not set: ["to"]')
            specs = objects(given, "types")
            links, other = self.links_of(kind, specs)
            end = self.objects.find(other, text(to, "id"))
            if end is None:
                raise not_found(text(to, "id"))
            found.append(Link(links, end, self.types_of(links, kind, specs)))
        return found

    def links_of(self, kind: ObjectType, specs: list[dict[str, Any]]) -> tuple[Links, ObjectType]:
        """The links, and the type at their other end, to which association types belong. Raises Refused."""
        for links in (ln for ln in self.store.links if kind in (ln.start, ln.end)):
            if specs and any(t.type_id == record_id(specs[0].get("associationTypeId")) for t in links.labels(kind)):
                return links, links.end if links.start is kind else links.start
        raise wrong_types(specs)

    @staticmethod
    def types_of(links: Links, kind: ObjectType, specs: list[dict[str, Any]]) -> tuple[AssociationType, ...]:
        """Association types by number and category, as read from the start of the links. Raises Refused."""
        known = {(t.category, t.type_id): t for t in links.labels(kind)}
        found = [known.get((str(s.get("associationCategory")), record_id(s.get("associationTypeId")) or 0)) for s in specs]
        types = tuple(t for t in found if t is not None)
        if len(types) < len(specs) or not specs:
            raise wrong_types(specs)
        return types if links.start is kind else tuple(map(inverse, types))

    def connect(self, links: Links, kind: ObjectType, mine: int, other: int, types: tuple[AssociationType, ...], at: datetime) -> None:
        """Link two records, whichever is the start; a contact's first company becomes its primary one."""
        start, end = (mine, other) if links.start is kind else (other, mine)
        self.store.associate(links, start, end, types, at, SOURCE, first_is_primary=True)

    def _live(self, kind: ObjectType, asked: str) -> int:
        if (found := self.objects.find(kind, asked, follow=False)) is None:
            raise not_found(asked)
        return found


def wrong_types(specs: list[dict[str, Any]]) -> Refused:
    """No such association types between these objects. Approximated."""
    shown = ", ".join(f"{s.get('associationCategory')} {s.get('associationTypeId')}" for s in specs) or "none"
    return invalid(f"One or more association types are not valid between these objects: {shown}")

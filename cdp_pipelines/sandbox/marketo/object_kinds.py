"""What differs between the objects that are synced by key: how one is found, written and deleted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Protocol

from cdp_pipelines.sandbox.marketo.envelope import ApiError, whole
from cdp_pipelines.sandbox.marketo.moments import epoch, iso
from cdp_pipelines.sandbox.marketo.store import MarketoStore

Record = dict[str, Any]


class Kind(Protocol):
    """The records of one object."""

    def find(self, field: str, values: Iterable[str]) -> Iterable[Record]:
        """Records where `field` is one of `values`."""
        ...

    def one(self, by: tuple[str, ...], key: tuple[str, ...]) -> Record | None:
        """The record with this key, in these fields. Raises ApiError when what the key names does not exist."""
        ...

    def put(self, found: Record | None, values: Record, at: datetime) -> Any:
        """Create a record, or change the one that was found; gives its id."""
        ...

    def remove(self, found: Record, at: datetime) -> None:
        """Delete a record."""
        ...


def kinds(store: MarketoStore) -> dict[str, Kind]:
    """All of them, by their name in paths."""
    return {"opportunities": Opportunities(store), "opportunities/roles": Roles(store), "companies": CompanyRecords(store)}


class Opportunities:
    """Opportunities."""

    def __init__(self, store: MarketoStore):
        self.store = store

    def find(self, field: str, values: Iterable[str]) -> Iterator[Record]:
        """See Kind."""
        return self.store.deals.find(field, values)

    def one(self, by: tuple[str, ...], key: tuple[str, ...]) -> Record | None:
        """See Kind."""
        return next(self.find(by[0], key), None)

    def put(self, found: Record | None, values: Record, at: datetime) -> str:
        """See Kind."""
        if values.get("name", "-" if found else None) is None:
            raise ApiError(1003, "Field 'name' cannot be null")
        if (key := values.get("externalCompanyId")) and self.store.companies.id_of(key) is None:
            raise ApiError(1013, f"Company '{key}' not found")
        if found is None:
            return self.store.deals.get(self.store.deals.add(values, epoch(at)))["marketoGUID"]
        if values.get("externalOpportunityId", found["externalOpportunityId"]) != found["externalOpportunityId"]:
            raise ApiError(1003, "Field 'externalOpportunityId' cannot be updated")
        number = self.store.deals.with_key(found["externalOpportunityId"])
        assert number is not None
        self.store.edit_opportunity(number, values, at)
        return found["marketoGUID"]

    def remove(self, found: Record, at: datetime) -> None:
        """See Kind."""
        self.store.delete_deal(found["externalOpportunityId"], at)


class Roles:
    """Leads' parts in opportunities."""

    def __init__(self, store: MarketoStore):
        self.store = store

    def find(self, field: str, values: Iterable[str]) -> Iterator[Record]:
        """See Kind."""
        return self.store.deals.find_roles(field, values)

    def one(self, by: tuple[str, ...], key: tuple[str, ...]) -> Record | None:
        """See Kind."""
        if len(by) == 1:
            return next(self.find(by[0], key), None)
        deal, lead, role = key
        return self.store.deals.role(self._number(deal), self._lead(lead), role)

    def put(self, found: Record | None, values: Record, at: datetime) -> str:
        """See Kind."""
        deals, primary, when = self.store.deals, bool(values.get("isPrimary", found["isPrimary"] if found else False)), epoch(at)
        if found is None:
            number = self._number(values["externalOpportunityId"])
            made = deals.link(number, self._lead(values["leadId"]), when, values["role"], primary)
            assert made is not None, "a role that is not found can be made"
            self.store.deal_activity(34, number, made, at)
            return made["marketoGUID"]
        for name, kept in found.items():
            if name in values and name in ("externalOpportunityId", "leadId", "role") and values[name] != kept:
                raise ApiError(1003, f"Field '{name}' cannot be updated")
        if found["isPrimary"] != primary:
            found |= {"isPrimary": primary, "updatedAt": iso(when)}
            self.store.deal_activity(36, self._number(found["externalOpportunityId"]), found, at)
        return found["marketoGUID"]

    def remove(self, found: Record, at: datetime) -> None:
        """See Kind."""
        number = self._number(found["externalOpportunityId"])
        self.store.deal_activity(35, number, found, at)
        self.store.deals.unlink_role(number, found)

    def _number(self, key: str) -> int:
        if (number := self.store.deals.with_key(key)) is None:
            raise ApiError(1013, f"Opportunity '{key}' not found")
        return number

    def _lead(self, given: Any) -> int:
        lead = whole(given)
        if lead is None or not self.store.leads.is_alive(lead):
            raise ApiError(1004, f"Lead '{given}' not found")
        return lead


class CompanyRecords:
    """Companies."""

    def __init__(self, store: MarketoStore):
        self.store = store

    def find(self, field: str, values: Iterable[str]) -> Iterator[Record]:
        """See Kind."""
        return self.store.companies.find(field, values)

    def one(self, by: tuple[str, ...], key: tuple[str, ...]) -> Record | None:
        """See Kind."""
        return next(self.find(by[0], key), None)

    def put(self, found: Record | None, values: Record, at: datetime) -> int:
        """See Kind. The leads of a company show the change at once."""
        if found is None:
            return self.store.companies.add(values, epoch(at))
        if values.get("externalCompanyId", found["externalCompanyId"]) != found["externalCompanyId"]:
            raise ApiError(1003, "Field 'externalCompanyId' cannot be updated")
        self.store.write_company(found["id"], values, at)
        return found["id"]

    def remove(self, found: Record, at: datetime) -> None:
        """See Kind. Its leads belong to no company then."""
        self.store.delete_company(found["id"], at)

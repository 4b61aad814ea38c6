"""What the living world asks of each emulated CRM, in neutral words; the stores translate to the vendor's own."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from cdp_pipelines.config import Kind


class CrmStore(Protocol):
    """The records of one emulated CRM. Ids are the vendor's, as text. Every change happens at the moment `at` (aware, UTC).

    Fields of a person: first_name, last_name, email, phone, title, company, lead_score; of a deal: name, stage (0 to 6: the steps of
    the default pipeline, 5 is won, 6 is lost), amount, close_date. `None` clears a field.
    """

    @property
    def kind(self) -> Kind:
        """Which CRM this is."""
        ...

    def live_people(self) -> list[str]:
        """Ids of people who are neither deleted nor merged away (in Salesforce contacts and unconverted leads), oldest first."""
        ...

    def deleted_people(self) -> list[str]:
        """Ids that `restore_person` can bring back; always empty where the vendor has no way back."""
        ...

    def live_deals(self) -> list[str]:
        """Ids of deals that are not deleted, oldest first."""
        ...

    def deal_people(self, deal: str) -> list[str]:
        """Ids of the people linked to a deal."""
        ...

    def create_person(self, fields: dict[str, Any], at: datetime) -> str:
        """Add a person and give the new id."""
        ...

    def edit_person(self, person: str, fields: dict[str, Any], at: datetime) -> None:
        """Set the named fields; the others stay."""
        ...

    def delete_person(self, person: str, at: datetime) -> None:
        """Delete a person as the vendor's users do (into the recycle bin where there is one)."""
        ...

    def restore_person(self, person: str, at: datetime) -> None:
        """Bring back one of `deleted_people`."""
        ...

    def merge_people(self, winner: str, loser: str, at: datetime) -> None:
        """Merge two people; the loser's links go to the winner."""
        ...

    def convert_person(self, person: str, at: datetime) -> str | None:
        """Turn a lead into a contact and give the contact's id; None where the vendor has no such thing or the person is no lead."""
        ...

    def create_deal(self, fields: dict[str, Any], people: list[str], at: datetime) -> str:
        """Add a deal linked to people and give the new id."""
        ...

    def edit_deal(self, deal: str, fields: dict[str, Any], at: datetime) -> None:
        """Set the named fields; the others stay."""
        ...

    def delete_deal(self, deal: str, at: datetime) -> None:
        """Delete a deal."""
        ...

    def link(self, deal: str, person: str, at: datetime) -> None:
        """Give a person a part in a deal."""
        ...

    def unlink(self, deal: str, person: str, at: datetime) -> None:
        """End a person's part in a deal."""
        ...

    def counts(self) -> dict[str, int]:
        """Vendor object -> records that the API lists today (deleted and merged ones left out)."""
        ...


@runtime_checkable
class KeepsCompanies(Protocol):
    """A CRM whose companies are records, which people belong to."""

    def live_companies(self) -> list[str]:
        """Ids of companies that are not deleted, oldest first."""
        ...

    def edit_company(self, company: str, fields: dict[str, Any], at: datetime) -> dict[str, Any]:
        """Set those of the fields (industry, phone, region) that a company has here, and give them. `region` is what formula fields of
        other records read, where there are any.
        """
        ...

    def move_person(self, person: str, company: str, at: datetime) -> bool:
        """Let a person belong to another company; false when that cannot be, or is so already."""
        ...


@runtime_checkable
class HasCustomFields(Protocol):
    """A CRM whose users can give people new fields."""

    def added_fields(self) -> list[str]:
        """Names of the fields that `add_field_for_people` made."""
        ...

    def add_field_for_people(self, number: int, at: datetime) -> str:
        """Make a text field, named with the number, and give its name."""
        ...

    def rename_field_for_people(self, field: str, number: int, at: datetime) -> str:
        """Give one of `added_fields` another name, made with the number, and give that."""
        ...


@runtime_checkable
class Purges(Protocol):
    """A CRM that forgets people only when it is asked to; elsewhere a deletion is for good."""

    def purgeable_people(self) -> list[str]:
        """Ids that `purge_record` can remove."""
        ...

    def purge_record(self, record: str, at: datetime) -> None:
        """Remove a record for good: nothing shows it any more. Raises KeyError when that cannot be."""
        ...

"""What each CRM's source must provide: its raw tables, and how to read one of them. No dlt here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

import pyarrow as pa

from cdp_pipelines.crm_integrations.base_crm import BaseCRM, FieldInfo

Mode = Literal["full", "incremental", "reconcile", "named"]

DELETED, MERGED_INTO = "_deleted", "_merged_into"


@dataclass(frozen=True)
class RawTable:
    """One raw table of a CRM.

    `key` names the vendor's fields that identify a row within a connection. In a table with `replace_by`, all rows that share those
    fields' values are replaced together (the associations of one record, say); an empty set is one row whose other key fields are null.
    `fields` always become columns, whatever the CRM describes. `after` names the tables that must have been read before. The rows of an `events` table
    never change, and one that the CRM no longer gives is too old for it, not gone.
    """

    name: str
    object: str
    key: tuple[str, ...]
    replace_by: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    events: bool = False


@dataclass
class Span:
    """What to read of a table: everything (`start` is None) or what changed in [start, end).

    `state` is the table's own memory (JSON values); what `read` leaves in it is kept if, and only if, the load commits.
    `resume` is where an earlier run of the same full read came to: the `resume` of the last batch that it committed. The records up to
    there are in the warehouse. `columns` is the raw column of each field, `unread` the fields that came since the table
    was last read whole.
    """

    mode: Mode
    start: datetime | None
    end: datetime
    state: dict[str, Any] = field(default_factory=dict)
    resume: dict[str, Any] | None = None
    columns: dict[str, str] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()


@dataclass
class Batch:
    """Some records as the API gave them: dictionaries by the vendor's field names, or an Arrow table of text.

    A record that the CRM no longer shows is its key fields with `_deleted` true and, when it was merged, `_merged_into`.
    `resume` (JSON values) says where a later run may go on with a full read when this one is stopped after this batch; None where it
    cannot. `expected` is how many records the vendor says this read has in all, when it says so.
    """

    rows: list[dict[str, Any]] | pa.Table
    resume: dict[str, Any] | None = None
    expected: int | None = None

    def __len__(self) -> int:
        return self.rows.num_rows if isinstance(self.rows, pa.Table) else len(self.rows)


@dataclass(frozen=True)
class Glance:
    """What a CRM shows of a table at little cost, to be compared with the warehouse.

    `pages` have every record that the CRM shows, deleted ones that it still shows included: the key, the version stamp and whatever may
    change without the stamp, all as `Reader.read` gives it; and tombstones where the CRM tells of what is gone. A `whole` glance has all
    fields, and all rows of each set. Where it does not cover `everything`, a record that it lacks may exist all the same.
    """

    pages: AsyncIterator[Batch]
    whole: bool = False
    everything: bool = True


@dataclass
class Named:
    """Records of a connection that somebody names, by raw table: a notification, or a write of our own.

    `keys` are records (or whole sets) with the record that they were merged into, where that was told. `ends` are records of another table
    that those which are meant are linked with: each CRM's reader finds out which they are.
    """

    keys: defaultdict[str, dict[str, str | None]] = field(default_factory=lambda: defaultdict(dict))
    ends: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, table: str, keys: Iterable[str], merged_into: str | None = None) -> None:
        """Name some records of a table. That one was merged away is not forgotten when it is named again."""
        for key in keys:
            self.keys[table][key] = merged_into or self.keys[table].get(key)

    def without(self, other: Named) -> Named:
        """What is named here and not in the other one."""
        found = Named()
        for table, keys in self.keys.items():
            found.keys[table] = {key: into for key, into in keys.items() if key not in other.keys.get(table, {})}
        for table, ends in self.ends.items():
            found.ends[table] = ends - other.ends.get(table, set())
        return found

    @property
    def tables(self) -> set[str]:
        """The tables of which something is named."""
        return {name for name, keys in (*self.keys.items(), *self.ends.items()) if keys}


class KnownRecords(Protocol):
    """What the warehouse already holds of a connection, for what a CRM can only be asked by id."""

    def values(self, table: str, field: str, where: Mapping[str, str | Collection[str]] | None = None) -> Iterator[str]:
        """Distinct values of a vendor field in a raw table, null ones left out; `where` says what other fields are, or may be one of."""
        ...

    def pairs(
        self, table: str, field: str, other: str, where: Mapping[str, str | Collection[str]] | None = None
    ) -> Iterator[tuple[str, str]]:
        """Distinct pairs of the values of two vendor fields of one row, where neither is null or empty; `where` as for `values`."""
        ...

    def gone_since(self, table: str, field: str, moment: datetime) -> Iterator[str]:
        """Values of a key field of the records that were found gone or deleted at a moment or later."""
        ...


class Reader(ABC):
    """Reads the raw tables of one connection.

    `chosen` names the tables that this run reads, so that nothing is fetched for another one; None when that is not known.
    """

    tables: tuple[RawTable, ...]
    client: BaseCRM
    known: KnownRecords
    chosen: frozenset[str] | None = None

    @abstractmethod
    async def fields(self, table: RawTable) -> list[str]:
        """The vendor's names of all fields that `read` will give for this table."""

    @abstractmethod
    def read(self, table: RawTable, span: Span) -> AsyncIterator[Batch]:
        """The table's records within the span. Raises CRMError; whatever was given before is then kept, but the cursor does not move."""

    async def described(self, table: RawTable) -> list[FieldInfo]:
        """What the CRM says of the fields of this table; nothing where it describes none. Takes no calls beyond those of `fields`."""
        return []

    async def warnings(self) -> list[str]:
        """What a person should know of this CRM after reading (a mapped field that it lacks, say)."""
        return []


class Reconciler(Reader):
    """A reader that can also look at a table at little cost, and read some of its records again.

    `unread` are fields, by table, that came since it was last read whole: a glance shows them too.
    """

    unread: Mapping[str, frozenset[str]] = {}

    @abstractmethod
    def glance(self, table: RawTable) -> Glance | None:
        """What the CRM shows of the table now; None when `read` misses nothing of it. Its pages may raise CRMError."""

    @abstractmethod
    def reread(self, table: RawTable, keys: Iterable[str]) -> AsyncIterator[Batch]:
        """The newest version of these records, all fields, or of these whole sets. What the CRM shows nowhere is a tombstone, or an empty set.

        Asked for tables with a glance only. `keys` are values of the only field of `key` (of `replace_by` in a table that has it). Raises CRMError.
        """

    async def named(self, table: RawTable, named: Named) -> AsyncIterator[Batch]:
        """The newest version of the records of a table that are named, as `reread` gives it. Raises CRMError.

        As it stands here it knows of `keys` alone; a CRM whose records are found by what they are linked with reads these too.
        """
        if keys := named.keys[table.name]:
            async for batch in self.reread(table, keys):
                yield batch

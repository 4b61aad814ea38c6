"""What each record says of its person, in one spelling: the contacts table turned into evidence, with nothing decided yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cdp_pipelines.identity import emails, names, phones
from cdp_pipelines.identity.blanks import filled
from cdp_pipelines.identity.companies import company_key
from cdp_pipelines.identity.emails import Mailbox
from cdp_pipelines.identity.names import Name
from cdp_pipelines.identity.options import Options

KEY = ("connection", "customer_id")
# What is read of the contacts; more columns only take memory. The first are not looked at again once they are in one spelling.
_SPELLED = ("first_name", "last_name", "email", "phone", "mobile_phone", "country", "company", "company_id")
COLUMNS = (
    *KEY, *_SPELLED, "source_system", "record_type", "created_date", "merged_into", "converted_contact_id", "salesforce_id", "is_deleted",
    "national_id", "date_of_birth", "street", "postcode", "city", "state",
)  # fmt: skip
NONE = -1

Ints = np.ndarray[Any, np.dtype[np.int64]]
Records = Sequence[int] | Ints
_NOBODY: Ints = np.empty(0, np.int64)


class BadContacts(ValueError):
    """The contacts cannot be resolved: a key is missing or there twice."""


@dataclass
class Particulars:
    """The records in order of their keys, by number; each attribute has one entry a record.

    `name_of` and `mailbox_of` are numbers in `names` and `mailboxes`, -1 for none; `guess_of` is the name with what its mailbox adds. `values` has one row for each identifying value that a
    record holds: record, evidence (`email`, `phone`, `national_id`), value. `companies` likewise: record, company.
    """

    contacts: pa.Table
    names: list[Name]
    name_of: Ints
    guess_of: Ints
    mailboxes: list[Mailbox]
    mailbox_of: Ints
    values: pa.Table
    companies: pa.Table

    def __len__(self) -> int:
        return self.contacts.num_rows

    def column(self, name: str) -> pa.ChunkedArray:
        """A column of the contacts, null throughout where there is none."""
        if name in self.contacts.column_names:
            return self.contacts.column(name)
        return pa.chunked_array([pa.nulls(self.contacts.num_rows, pa.string())])

    def numbers(self, ids: Iterable[str]) -> dict[tuple[str, str], int]:
        """Connection and id of the records that have one of these ids, with their numbers."""
        wanted = pc.SetLookupOptions(pa.array(sorted(set(ids)), pa.string()))
        there = np.flatnonzero(pc.call_function("is_in", [self.contacts.column("customer_id")], wanted).to_numpy())
        keys = zip(*(column.to_pylist() for column in self.keys(there)), strict=True)
        return dict(zip(keys, there.tolist(), strict=True))

    def forget_values(self) -> None:
        """Let go of the values, when pairs have been found by them: of a company only who has one is known then."""
        self.values, self.companies = self.values.schema.empty_table(), self.companies.select(["record"])

    def keys(self, records: Records) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
        """Connection and id of some records."""
        chosen = pa.array(records, pa.int64())
        return self.contacts.column("connection").take(chosen), self.contacts.column("customer_id").take(chosen)


def read(contacts: pa.Table, options: Options) -> Particulars:
    """The evidence of all contacts. Raises BadContacts."""
    contacts = _in_order(contacts)
    found = Particulars(contacts, [], _NOBODY, _NOBODY, [], _NOBODY, pa.table({}), pa.table({}))
    found.names, found.name_of = _each(names.read, found.column("first_name"), found.column("last_name"))
    found.mailboxes, found.mailbox_of = _each(lambda text: emails.mailbox(filled(text), plus_tags=options.plus_tags), found.column("email"))
    found.guess_of = _guesses(found)
    found.values = _values(found, options)
    found.companies = _companies(found)
    found.contacts = contacts.select([name for name in contacts.column_names if name in COLUMNS and name not in _SPELLED])
    return found


def _in_order(contacts: pa.Table) -> pa.Table:
    missing = [name for name in KEY if name not in contacts.column_names]
    if missing:
        raise BadContacts(f"The contacts have no column {missing[0]!r}. Give connection and customer_id, which are the key.")
    for name in KEY:
        i = contacts.column_names.index(name)
        contacts = contacts.set_column(i, name, contacts.column(name).cast(pa.string()))
        if contacts.column(name).null_count:
            raise BadContacts(f"A contact has no {name}. Every record needs its key.")
    if not _steps(contacts).all():
        contacts = contacts.sort_by([(name, "ascending") for name in KEY])
        twice = np.flatnonzero(~_steps(contacts))
        if len(twice):
            key = [contacts.column(name)[int(twice[0])].as_py() for name in KEY]
            raise BadContacts(f"Two contacts have the key {':'.join(key)}. Give each record once: its newest version.")
    return contacts


def _steps(contacts: pa.Table) -> np.ndarray:
    """Of each record but the last, whether its key is smaller than the next one's."""
    connection, own = (contacts.column(name) for name in KEY)
    most = max(contacts.num_rows - 1, 0)
    before, same = (pc.call_function(how, [connection.slice(0, most), connection.slice(1)]) for how in ("less", "equal"))
    later = pc.call_function("less", [own.slice(0, most), own.slice(1)])
    return pc.call_function("or", [before, pc.call_function("and", [same, later])]).to_numpy()


def _each(read: Callable[..., Any], *columns: pa.ChunkedArray) -> tuple[list[Any], Ints]:
    """What `read` makes of the columns' values, done once for each different combination: the different results, and which each row has."""
    codes: Ints | None = None
    dictionaries: list[list[Any]] = []
    for column in columns:
        encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.combine_chunks()
        own = encoded.indices.fill_null(NONE).to_numpy(zero_copy_only=False).astype(np.int64) + 1
        dictionaries.append([None, *encoded.dictionary.to_pylist()])
        codes = own if codes is None else codes * len(dictionaries[-1]) + own
    assert codes is not None
    combinations, inverse = np.unique(codes, return_inverse=True)
    results: dict[Any, int] = {}
    numbers = np.empty(len(combinations), np.int64)
    for i, code in enumerate(combinations.tolist()):
        values = []
        for dictionary in reversed(dictionaries):
            code, place = divmod(code, len(dictionary))
            values.append(dictionary[place])
        result = read(*reversed(values))
        numbers[i] = NONE if result is None else results.setdefault(result, len(results))
    return list(results), numbers[inverse]


def _guesses(found: Particulars) -> Ints:
    """Each record's name with a part from its mailbox; adds to `names`."""
    numbers = {name: i for i, name in enumerate(found.names)}
    guesses = found.name_of.copy()
    half = np.array([not (name.first and name.last) for name in found.names] + [False])
    for record in np.flatnonzero(half[found.name_of] & (found.mailbox_of != NONE)).tolist():
        name = names.guess(found.names[found.name_of[record]], found.mailboxes[found.mailbox_of[record]].name)
        if name is not None:
            guesses[record] = numbers.setdefault(name, len(numbers))
    found.names = list(numbers)
    return guesses


def _values(found: Particulars, options: Options) -> pa.Table:
    parts = []
    usable = np.array([m.kind != "placeholder" for m in found.mailboxes] + [False])
    records = np.flatnonzero(usable[found.mailbox_of])
    addresses = pa.array([m.address for m in found.mailboxes], pa.string())
    parts.append(_part(records, "email", addresses.take(pa.array(found.mailbox_of[records]))))
    for column in ("phone", "mobile_phone"):
        lines, line_of = _each(
            lambda text, country: phones.line(filled(text), phones.region(country, options.region)),
            found.column(column), found.column("country"),
        )  # fmt: skip
        records = np.flatnonzero(line_of != NONE)
        parts.append(_part(records, "phone", pa.array(lines, pa.string()).take(pa.array(line_of[records]))))
    return pa.concat_tables(parts)


def _part(records: Ints, evidence: str, values: pa.Array) -> pa.Table:
    return pa.table({"record": pa.array(records, pa.int64()), "evidence": pa.repeat(evidence, len(records)), "value": values})


def _companies(found: Particulars) -> pa.Table:
    """Company names without legal form, the company's name in the domain, and the CRM's own company."""
    parts = []
    keys, key_of = _each(company_key, found.column("company"))
    records = np.flatnonzero(key_of != NONE)
    parts.append((records, pa.array(keys, pa.string()).take(pa.array(key_of[records]))))
    of_mailbox = np.array([m.company is not None and m.kind != "placeholder" for m in found.mailboxes] + [False])
    records = np.flatnonzero(of_mailbox[found.mailbox_of])
    domains = pa.array([m.company for m in found.mailboxes], pa.string())
    parts.append((records, domains.take(pa.array(found.mailbox_of[records]))))
    ids, id_of = _each(
        lambda connection, text: f"{connection}:{text}" if filled(text) else None, found.column("connection"), found.column("company_id")
    )
    records = np.flatnonzero(id_of != NONE)
    parts.append((records, pa.array(ids, pa.string()).take(pa.array(id_of[records]))))
    return pa.concat_tables([pa.table({"record": pa.array(r, pa.int64()), "company": c}) for r, c in parts])

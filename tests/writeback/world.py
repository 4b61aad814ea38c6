"""One sandbox and one data directory for tests of write-back: records made and looked at past our own code, and rows to write published."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml

from cdp_pipelines import database
from cdp_pipelines.config import KINDS, Connection, Settings, connection_from_config
from cdp_pipelines.mapping import load
from cdp_pipelines.writeback import service
from cdp_pipelines.writeback.plan import Plan
from cdp_pipelines.writeback.service import RunReport
from cdp_pipelines.writeback.sessions import Session, opened
from tests.sandbox.faulty import Faulty

T = TypeVar("T")
every_crm = pytest.mark.parametrize("kind", KINDS)
# What is ours alone is the same in all three: one of them each time, the others in the slow group.
one_crm = pytest.mark.parametrize("kind", ["hubspot", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("salesforce", "marketo"))])
OBJECTS = {"salesforce": "Contact", "hubspot": "contacts", "marketo": "leads"}
# Our field -> the vendor's, said again here, so that a mistake of the code is not made by the test too.
VENDOR = {
    "salesforce": {"email": "Email", "first_name": "FirstName", "last_name": "LastName", "phone": "Phone", "title": "Title", "lead_score": "LeadScore__c"},
    "hubspot": {"email": "email", "first_name": "firstname", "last_name": "lastname", "phone": "phone", "title": "jobtitle", "company": "company"},
    "marketo": {"email": "email", "first_name": "firstName", "last_name": "lastName", "phone": "phone", "title": "title", "lead_score": "leadScore", "company": "company"},
}  # fmt: skip
_QUICK: dict[str, dict[str, Any]] = {
    "salesforce": {}, "hubspot": {"calls_per_10_seconds": 10_000, "searches_per_second": 1_000}, "marketo": {"calls_per_20_seconds": 100_000},
}  # fmt: skip
_TYPES = {"text": "varchar", "integer": "bigint"}
_number = iter(range(10**9))


def unique(name: str = "person") -> str:
    """An e-mail address that no other test has."""
    return f"{name}.{next(_number)}@writeback.example"


@dataclass
class World:
    """See the module."""

    sandbox: Faulty
    settings: Settings
    kinds: Sequence[str] = KINDS

    def connections(self, **more: Any) -> list[Connection]:
        configs = self.sandbox.addresses.connections()
        return [connection_from_config(kind, {**configs[kind], "max_attempts": 3, **_QUICK[kind], **more}) for kind in self.kinds]

    def call(self, work: Callable[[Mapping[str, Session]], Awaitable[T]], **more: Any) -> T:
        """What `work` gives with all connections open."""

        async def run() -> T:
            async with opened(self.connections(**more)) as sessions:
                return await work(sessions)

        return asyncio.run(run())

    def make(self, kind: str, object_name: str | None = None, **ours: Any) -> str:
        """A record made as a person would, past our code; gives its id."""
        values = {VENDOR[kind].get(name, name): value for name, value in ours.items()}
        if kind == "salesforce":
            name = object_name or "Contact"
            given = {} if name == "Account" else {"LastName": "Made"}
            given |= {"Company": "Acme"} if name == "Lead" else {}
            given |= values
            answer = self.sandbox.call(kind, f"/services/data/v62.0/sobjects/{name}", method="POST", json=given)
            assert answer.status_code == 201, answer.text
            return answer.json()["id"]
        if kind == "hubspot":
            answer = self.sandbox.call(kind, "/crm/v3/objects/contacts", method="POST", json={"properties": values})
            assert answer.status_code == 201, answer.text
            return answer.json()["id"]
        body = {"action": "createDuplicate", "input": [values]}
        return str(self._leads(self.sandbox.call(kind, "/rest/v1/leads.json", method="POST", json=body))[0]["id"])

    def edit(self, kind: str, record: str, object_name: str | None = None, **ours: Any) -> None:
        """Change a record as a person would."""
        values = {VENDOR[kind].get(name, name): value for name, value in ours.items()}
        if kind == "salesforce":
            answer = self.sandbox.call(
                kind, f"/services/data/v62.0/sobjects/{object_name or 'Contact'}/{record}", method="PATCH", json=values
            )
            assert answer.status_code == 204, answer.text
        elif kind == "hubspot":
            answer = self.sandbox.call(kind, f"/crm/v3/objects/contacts/{record}", method="PATCH", json={"properties": values})
            assert answer.status_code == 200, answer.text
        else:
            body = {"action": "updateOnly", "lookupField": "id", "input": [{"id": int(record), **values}]}
            self._leads(self.sandbox.call(kind, "/rest/v1/leads.json", method="POST", json=body))

    def delete(self, kind: str, record: str) -> None:
        """Delete a record as a person would."""
        if kind == "marketo":
            answer = self.sandbox.call(kind, "/rest/v1/leads/delete.json", method="POST", json={"input": [{"id": int(record)}]})
            assert answer.json()["success"], answer.text
            return
        path = f"/services/data/v62.0/sobjects/Contact/{record}" if kind == "salesforce" else f"/crm/v3/objects/contacts/{record}"
        assert self.sandbox.call(kind, path, method="DELETE").status_code == 204

    def see(self, kind: str, record: str, object_name: str | None = None) -> dict[str, Any]:
        """What a record holds, in our words; blank where it holds nothing."""
        names = VENDOR[kind]
        if kind == "salesforce":
            raw = self.sandbox.call(kind, f"/services/data/v62.0/sobjects/{object_name or 'Contact'}/{record}").json()
        elif kind == "hubspot":
            raw = self.sandbox.call(kind, f"/crm/v3/objects/contacts/{record}?properties={','.join(names.values())}").json()["properties"]
        else:
            raw = self._leads(self.sandbox.call(kind, f"/rest/v1/lead/{record}.json?fields={','.join(names.values())}"))[0]
        return {ours: "" if raw.get(theirs) is None else raw[theirs] for ours, theirs in names.items()}

    def ids(self, kind: str, email: str) -> list[str]:
        """The live records with an e-mail address."""
        if kind == "salesforce":
            found = []
            for name in ("Contact", "Lead"):
                query = f"SELECT Id FROM {name} WHERE Email = '{email}'" + (" AND IsConverted = false" if name == "Lead" else "")
                answer = self.sandbox.call(kind, f"/services/data/v62.0/query?q={query.replace(' ', '+')}").json()
                found += [r["Id"] for r in answer["records"]]
            return found
        if kind == "hubspot":
            body = {"properties": ["email"], "limit": 100, "filters": [{"propertyName": "email", "operator": "EQ", "value": email.lower()}]}
            while (answer := self.sandbox.call(kind, "/crm/v3/objects/contacts/search", method="POST", json=body)).status_code == 429:
                time.sleep(0.2)  # HubSpot's limit of searches holds for tests too
            return [r["id"] for r in answer.json()["results"]]
        answer = self.sandbox.call(kind, f"/rest/v1/leads.json?filterType=email&filterValues={email}")
        return [str(r["id"]) for r in self._leads(answer)]

    def rules(self, fields: Mapping[str, Any], *, create: bool = False, kinds: Sequence[str] = (), **flow: Any) -> None:
        """A writeback.yml with one flow, `people`, of the table `people`; only these CRMs are connected from now on."""
        self.kinds = [kind for kind in KINDS if kind in (kinds or KINDS)]
        to = {kind: {"create": create, "fields": dict(fields)} for kind in self.kinds}
        spec = {"guards": flow.pop("guards", {}), "flows": {"people": {"rows": "people", "key": "customer_key", "to": to, **flow}}}
        self.settings.writeback_file.write_text(yaml.safe_dump(spec))

    def publish(self, *people: Mapping[str, Any], read: Callable[[str], Mapping[str, Any]] | None = None) -> None:
        """A published file with a table `people` (customer_key, and values), and the records in `records`: {kind: id or (id, record_type)}.

        `read` is what the last sync read of each of them (or `read(id)`); what they hold now, unless given.
        """
        path = self.settings.published
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        fields = load().entities["contacts"].fields
        names = list(dict.fromkeys(name for p in people for name in p if name not in ("records", "read")))
        with database.connect(self.settings, path) as db:
            db.begin()  # each insert would wait for the disk
            db.execute(f"create table contacts ({', '.join(f'{n} {_TYPES.get(f.type, f.type)}' for n, f in fields.items())})")
            db.execute("create table customer_contacts (connection text, customer_id text, customer_key text)")
            db.execute("create table consents (customer_key text, channel text, decision text, connection text, decided_at timestamp)")
            columns = ", ".join(f"{n} {_TYPES.get(fields[n].type, fields[n].type) if n in fields else 'text'}" for n in names)
            db.execute(f"create table people ({columns})")
            for p in people:
                db.execute(f"insert into people values ({', '.join('?' * len(names))})", [p.get(n) for n in names])
                for kind, record in p.get("records", {}).items():
                    one, type_ = record if isinstance(record, tuple) else (record, "lead" if kind == "marketo" else "contact")
                    row = {"connection": kind, "source_system": kind, "record_type": type_, "customer_id": one, "is_deleted": False}
                    row |= {"synced_at": datetime.now(UTC).replace(tzinfo=None)}
                    row |= p["read"] if "read" in p else read(one) if read else self._read(kind, one, type_)
                    db.execute(f"insert into contacts ({', '.join(row)}) values ({', '.join('?' * len(row))})", list(row.values()))
                    db.execute("insert into customer_contacts values (?, ?, ?)", [kind, one, p["customer_key"]])
            db.commit()

    def _read(self, kind: str, record: str, record_type: str) -> dict[str, Any]:
        seen = self.see(kind, record, "Lead" if record_type == "lead" else "Contact")
        return {name: value or None for name, value in seen.items()}

    def plan(self, **options: Any) -> tuple[Plan, Path]:
        """A plan that is kept."""
        plan, path = self.call(lambda sessions: service.make_plan(self.settings, sessions, **options))
        assert path is not None
        return plan, path

    def apply(self, path: Path, **more: Any) -> RunReport:
        """The plan applied."""
        return self.call(lambda sessions: service.apply_plan(self.settings, sessions, path), **more)

    def write(self, **options: Any) -> RunReport:
        """Planned and applied."""
        return self.apply(self.plan(**options)[1])

    def undo(self, run: str, **options: Any) -> tuple[Plan, RunReport]:
        """A run taken back."""
        plan = self.call(lambda sessions: service.undo_plan(self.settings, sessions, run, **options))
        return plan, self.apply(service.keep(self.settings, plan))

    @staticmethod
    def _leads(answer: Any) -> list[dict[str, Any]]:
        body = answer.json()
        assert body["success"], body
        assert all(row.get("status") != "skipped" for row in body["result"]), body
        return body["result"]

"""`make bench`: what it costs to create, update and read back many records in each CRM, beside one request for each record.

`plan` and `apply` are write-back as a whole: a new value for each of the records, compared with the CRM, written down, and sent. The sandbox is
another process on loopback; the vendors' rate limits are lifted unless `--limits` is given. Calls are those that the sandbox counted, after
the sign-in. The least possible is the vendor's largest batch, always full: a plan reads each record once, and an apply reads it once more,
since it refuses what has moved, and writes it. Figures of one machine, one run.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pyarrow as pa
import yaml

from cdp_pipelines import database
from cdp_pipelines.config import KINDS, Kind, Settings, connection_from_config
from cdp_pipelines.crm_integrations.base_crm import BaseCRM
from cdp_pipelines.crm_integrations.writers import writer_of
from cdp_pipelines.crm_integrations.writes import RecordWrite
from cdp_pipelines.mapping import load
from cdp_pipelines.sandbox import hosting
from cdp_pipelines.sandbox.hosting import SandboxAddresses
from cdp_pipelines.sources import registry
from cdp_pipelines.writeback import service
from cdp_pipelines.writeback.sessions import Session

OBJECTS: dict[Kind, str] = {"salesforce": "Contact", "hubspot": "contacts", "marketo": "leads"}
# Records that one call can write, and read by id.
LARGEST: dict[Kind, tuple[int, int]] = {"salesforce": (200, 2000), "hubspot": (100, 100), "marketo": (300, 300)}
NAMES: dict[Kind, tuple[str, str, str]] = {
    "salesforce": ("Email", "LastName", "Title"), "hubspot": ("email", "lastname", "jobtitle"), "marketo": ("email", "lastName", "title"),
}  # fmt: skip
_NO_LIMITS: dict[Kind, dict[str, Any]] = {
    "salesforce": {}, "hubspot": {"calls_per_10_seconds": 1_000_000, "searches_per_second": 1_000_000},
    "marketo": {"calls_per_20_seconds": 1_000_000},
}  # fmt: skip
_NO_LIMITS_THERE: dict[Kind, dict[str, Any]] = {
    "salesforce": {"daily_calls": 10_000_000}, "hubspot": {"calls_per_10_seconds": None, "calls_per_day": None, "searches_per_second": None},
    "marketo": {"calls_per_20_seconds": 1_000_000, "daily_calls": 10_000_000},
}  # fmt: skip
# What is known of a record in the published file that the corrections are read from.
_KNOWN = {
    "connection": "$kind", "source_system": "$kind", "record_type": "$type", "customer_id": "id", "title": '"read"', "is_deleted": "false",
}  # fmt: skip
_TYPES = {"text": "varchar", "integer": "bigint"}


def main() -> int:
    """Print a line for each CRM and way of writing."""
    parser = argparse.ArgumentParser(prog="python -m cdp_pipelines.bench_writes", description=__doc__)
    parser.add_argument("--records", type=int, default=10_000, help="records to create, update and read (default %(default)s)")
    parser.add_argument("--singly", type=int, default=300, help="records to update with a request each (default %(default)s)")
    parser.add_argument("--latency", type=float, default=0, metavar="MS", help="milliseconds that every answer of the sandbox waits")
    parser.add_argument("--limits", action="store_true", help="keep the vendors' rate limits instead of lifting them")
    parser.add_argument("--crm", choices=KINDS, action="append", help="only this CRM; may be given more than once")
    given = parser.parse_args()
    print(f"{given.records:,} records, rate limits {'on' if given.limits else 'off'}, {given.latency:g} ms latency")
    print(f"{'CRM':<11} {'what':<24} {'records':>8} {'calls':>7} {'least':>6} {'over':>6} {'s':>7} {'records/s':>10}")
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), sandbox_dir=Path(folder) / "sandbox", sandbox_people=50)
        with hosting.child(settings) as (sandbox, _):
            for kind in given.crm or KINDS:
                asyncio.run(_Bench(kind, sandbox, given).run())
    return 0


@dataclass
class _Bench:
    kind: Kind
    sandbox: SandboxAddresses
    given: argparse.Namespace
    _requests: int = field(default=0, init=False)

    async def run(self) -> None:
        """Create, update, read back, and update one by one."""
        control, limited = self.sandbox.control_url, self.given.limits
        if not limited:
            httpx2.patch(f"{control}/sandbox/options/{self.kind}", json=_NO_LIMITS_THERE[self.kind], timeout=60).raise_for_status()
        if self.given.latency:
            fault = {"crm": self.kind, "kind": "slow", "seconds": self.given.latency / 1000}
            httpx2.post(f"{control}/sandbox/faults", json=fault, timeout=60).raise_for_status()
        config = self.sandbox.connections()[self.kind] | ({} if limited else _NO_LIMITS[self.kind])
        async with registry.client(connection_from_config(self.kind, config)) as client:
            if not (test := await client.test_connection()).ok:
                raise SystemExit(f"{test.problem} {test.remedy}")
            await self._with(client)
        httpx2.delete(f"{control}/sandbox/faults", timeout=60).raise_for_status()

    async def _with(self, client: BaseCRM) -> None:
        writer, name, count = writer_of(client), OBJECTS[self.kind], self.given.records
        email, surname, title = NAMES[self.kind]
        people = [{email: f"bench{n}@bench.example.com", surname: f"Bench {n}"} for n in range(count)]
        written, read = LARGEST[self.kind]
        with self._line("create", count, written):
            made = await writer.write(name, [RecordWrite(f"c{n}", name, "create", None, fields) for n, fields in enumerate(people)])
        ids = [result.id for result in made if result.outcome == "created" and result.id]
        with self._line("update", count, written):
            done = await writer.write(name, [RecordWrite(f"u{i}", name, "update", i, {title: f"Title {i}"}) for i in ids])
        with self._line("read back", count, read):
            found = await writer.read(name, ids, [title])
        right = sum(found[i].values[title] == f"Title {i}" for i in ids if i in found)
        if not count == len(ids) == sum(result.outcome == "updated" for result in done) == right:
            raise SystemExit(f"{self.kind}: of {count} records {len(ids)} were created and {right} hold what was written.")
        await self._correct(client, ids)
        with self._line("update, a call for each", self.given.singly, 1):
            for i in ids[: self.given.singly]:
                await _single(self.kind, client)(i, title)

    async def _correct(self, client: BaseCRM, ids: Sequence[str]) -> None:
        """Another title for each record, by write-back."""
        written, read = LARGEST[self.kind]
        with tempfile.TemporaryDirectory() as folder:
            settings = Settings(data_dir=Path(folder), writeback_file=Path(folder) / "writeback.yml")
            settings.writeback_file.write_text(yaml.safe_dump(_rules(self.kind, len(ids))))
            _publish(settings, self.kind, ids)
            sessions: dict[str, Session] = {self.kind: Session(client, writer_of(client))}
            await sessions[self.kind].objects()
            with self._line("plan", len(ids), read):
                _, path = await service.make_plan(settings, sessions)
            assert path is not None
            with self._line("apply", len(ids), read, written):
                report = await service.apply_plan(settings, sessions, path)
        if report.outcomes != {self.kind: {"updated": len(ids)}}:
            raise SystemExit(f"{self.kind}: of {len(ids)} records to correct {report.outcomes} {report.problems}")

    @contextmanager
    def _line(self, what: str, count: int, *sizes: int) -> Generator[None]:
        """`sizes`: of the batches that each record must be in, at least."""
        before, begun = self._counted(), time.perf_counter()
        yield
        seconds, calls, least = time.perf_counter() - begun, self._counted() - before, sum(math.ceil(count / size) for size in sizes)
        print(f"{self.kind:<11} {what:<24} {count:>8,} {calls:>7,} {least:>6,} {calls / least - 1:>6.1%} {seconds:>7.1f} {count / seconds:>10,.0f}",
              flush=True)  # fmt: skip

    def _counted(self) -> int:
        answer = httpx2.get(f"{self.sandbox.control_url}/sandbox/requests", timeout=60).raise_for_status()
        return sum(answer.json()[self.kind].values())


def _rules(kind: Kind, count: int) -> dict[str, Any]:
    """A writeback.yml that takes a title to so many records."""
    flow = {"rows": "corrected", "key": "customer_key", "to": {kind: {"fields": {"title": "source_wins"}}}}
    return {"guards": {"most_records": count, "most_share": 1.0}, "flows": {"titles": flow}}


def _publish(settings: Settings, kind: Kind, ids: Sequence[str]) -> None:
    """A published file of these records as the update left them, and a better title for each."""
    kept = pa.table({"id": pa.array(ids), "read": pa.array([f"Title {i}" for i in ids]), "better": pa.array([f"Better {i}" for i in ids])})
    with database.connect(settings, settings.published) as db:
        db.register("kept", kept)
        db.execute("create table corrected as select id as customer_key, better as title from kept")
        db.execute(
            "create table customer_contacts as select $kind as connection, id as customer_id, id as customer_key from kept", {"kind": kind}
        )
        db.execute("create table consents (customer_key text, channel text, decision text, connection text, decided_at timestamp)")
        fields = load().entities["contacts"].fields
        typed = ", ".join(f"cast({_KNOWN.get(name, 'null')} as {_TYPES.get(f.type, f.type)}) as {name}" for name, f in fields.items())
        db.execute(f"create table contacts as select {typed} from kept", {"kind": kind, "type": "lead" if kind == "marketo" else "contact"})


def _single(kind: Kind, client: Any) -> Callable[[str, str], Awaitable[Any]]:
    """A request that updates one record."""
    calls: dict[Kind, Callable[[str, str], Awaitable[Any]]] = {
        "salesforce": lambda i, title: client.send("PATCH", f"sobjects/Contact/{i}", json={title: "Single"}),
        "hubspot": lambda i, title: client.send("PATCH", f"/crm/v3/objects/contacts/{i}", json={"properties": {title: "Single"}}),
        "marketo": lambda i, title: client.send(
            "POST", "/rest/v1/leads.json", json={"action": "updateOnly", "lookupField": "id", "input": [{"id": int(i), title: "Single"}]}
        ),
    }
    return calls[kind]


if __name__ == "__main__":
    sys.exit(main())

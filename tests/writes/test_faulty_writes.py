"""Creates and updates while the CRM limits, locks, fails and loses answers: what the results say is what the CRM holds, and nothing is twice."""

from __future__ import annotations

from typing import Any

import pytest

from cdp_pipelines.config import Kind
from cdp_pipelines.crm_integrations.writes import RecordWrite
from tests.sandbox.faulty import Faulty
from tests.writes.writing import update, writing

# Object, surname, e-mail, title, a path of every write, and faults beside those that all have.
CRMS: dict[Kind, tuple[str, str, str, str, str, list[dict[str, Any]]]] = {
    "salesforce": ("Contact", "LastName", "Email", "Title", "re:composite/sobjects$", [{"kind": "token_expired", "count": 1}]),
    "hubspot": ("contacts", "lastname", "email", "jobtitle", "*batch/*", [{"kind": "rate_limit", "retry_after": 0.01}]),
    "marketo": ("leads", "lastName", "email", "title", "POST /rest/v1/leads.json", [{"kind": "error", "code": "615"}, {"kind": "token_expired", "count": 1}]),
}  # fmt: skip


@pytest.mark.parametrize("kind", CRMS)
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_the_results_say_what_the_crm_holds(sandbox: Faulty, kind: Kind, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in (("salesforce_writes.WRITTEN_AT_ONCE", 9), ("hubspot_writes.BATCH", 9), ("marketo_writes.WRITTEN_AT_ONCE", 9)):
        monkeypatch.setattr(f"cdp_pipelines.crm_integrations.{name}", size)
    monkeypatch.setattr("cdp_pipelines.crm_integrations.write_batches.MOST_UNANSWERED", 1000)
    monkeypatch.setattr("cdp_pipelines.crm_integrations.marketo_answers.RATE_WINDOW_SECONDS", 0.01)
    object_name, surname, email, title, path, more = CRMS[kind]
    crm = writing(sandbox, kind, max_attempts=8, daily_call_reserve=0)
    tag = f"{kind}{seed}"
    ids = crm.made(object_name, *({surname: f"Old {n}", email: f"old{tag}{n}@writes.example.com", title: "Old"} for n in range(60)))
    if kind == "salesforce":
        sandbox.option("salesforce", lock_next_rows=25)
    faults: list[dict[str, Any]] = [
        {"kind": "drop", "done": True}, {"kind": "server_error", "done": True, "status": 502}, {"kind": "drop"}, {"kind": "malformed_json"}, *more
    ]  # fmt: skip
    for n, fault in enumerate(faults):
        limits = {} if "count" in fault else {"rate": 0.08, "seed": seed * 10 + n}
        sandbox.set(kind, fault["kind"], path=path, **limits, **{k: v for k, v in fault.items() if k != "kind"})
    new = [{surname: f"New {n}", email: f"new{tag}{n}@writes.example.com"} for n in range(120)]
    changes: list[RecordWrite] = [update(object_name, i, **{title: f"Title {n}"}) for n, i in enumerate(ids)]
    made = [RecordWrite(f"new {n}", object_name, "create", None, fields) for n, fields in enumerate(new)]
    results = crm.write(object_name, [*made[:60], *changes, *made[60:]])
    sandbox.control("DELETE", "/sandbox/faults")
    by_key = {result.key: result for result in results}
    there = crm.find(object_name, email, [str(fields[email]) for fields in new], surname)
    for n, fields in enumerate(new):
        result = by_key[f"new {n}"]
        records = there.get(str(fields[email]), [])
        assert len(records) <= 1, "created twice"
        if result.outcome == "created":
            assert [record.id for record in records] == [result.id]
        elif result.outcome == "rejected":
            assert result.retryable and not records
        else:
            assert result.outcome == "unknown" and not result.retryable
    read = crm.read(object_name, ids, title)
    for n, i in enumerate(ids):
        result = by_key[f"change {i}"]
        assert result.outcome in ("updated", "unknown") or result.retryable
        assert read[i].values[title] in ((f"Title {n}",) if result.outcome == "updated" else (f"Title {n}", "Old"))
    outcomes = [result.outcome for result in results]
    assert outcomes.count("created") >= 30 and outcomes.count("updated") >= 40 and outcomes.count("unknown") >= 1

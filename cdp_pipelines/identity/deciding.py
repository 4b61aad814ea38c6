"""Writing down what a person decided of two customers or records, for every run from then on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from cdp_pipelines import query
from cdp_pipelines.audit import keys, subjects
from cdp_pipelines.audit.entry import Operation
from cdp_pipelines.audit.recording import record as write_down
from cdp_pipelines.config import Settings
from cdp_pipelines.identity import store
from cdp_pipelines.identity.references import NotFound, find, record
from cdp_pipelines.lock import warehouse_lock


def decide(settings: Settings, kind: Literal["merge", "split"], left: str, right: str, *, who: str, why: str) -> dict[str, Any]:
    """Keep a decision about two of whom each is a customer key, connection:id or an e-mail address; gives it as it is kept.

    It is kept for records, which keep their ids, and not for customers: the oldest record of one that is named by its key.
    Raises NotFound, query.NotPublished, store.StoreBroken, WarehouseBusy.
    """
    with query.published(settings) as db:
        one, other = find(db, left), find(db, right)
        pair = record(db, one), record(db, other)
    if one.customer_key == other.customer_key and not (one.record and other.record):
        raise NotFound("Both are the same customer. Name two records of it, each as connection:id.")
    if pair[0] == pair[1]:
        raise NotFound("Both are the same record.")
    decision = {
        "kind": kind, "left_connection": pair[0][0], "left_customer_id": pair[0][1], "right_connection": pair[1][0],
        "right_customer_id": pair[1][1], "who": who, "why": why, "decided_at": datetime.now(UTC),
    }  # fmt: skip
    with warehouse_lock(settings, f"cdp customers {kind}"):
        key = keys.load(settings)
        about = tuple(subjects.of_record(key, *one) for one in pair)
        said = {"kind": kind, "records": [":".join(one) for one in pair], "who": who, "why": why}
        write_down(settings, Operation("override", "customers", kind, 2, subjects=about, payload=said))
        store.add_override(settings, decision)
    return decision

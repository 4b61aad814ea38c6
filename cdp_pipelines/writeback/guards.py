"""How much one plan may change before a person has to say so in writeback.yml."""

from __future__ import annotations

from collections.abc import Iterable

from cdp_pipelines.writeback.plan import WRITES, Entry
from cdp_pipelines.writeback.rules import Guards

# Of few records, a large share says nothing.
FEW = 20


def beyond(guards: Guards, entries: Iterable[Entry], looked_at: int) -> tuple[str, ...]:
    """The guards that these entries go beyond, as sentences with the setting to change."""
    writes = [e for e in entries if e.action in WRITES]
    creates = sum(e.action == "create" for e in writes)
    clears = sum(c.new is None for e in writes for c in e.changes)
    found = [
        f"{count:,} {what}, and guards.{name} is {most:,}"
        for count, what, name, most in (
            (len(writes), "records would be changed", "most_records", guards.most_records),
            (creates, "contacts would be made", "most_creates", guards.most_creates),
            (clears, "fields would be cleared", "most_clears", guards.most_clears),
        )
        if count > most
    ]
    if len(writes) >= FEW and len(writes) > looked_at * guards.most_share:
        found.append(
            f"{len(writes) / looked_at:.0%} of the records looked at would be changed, and guards.most_share is {guards.most_share}"
        )
    return tuple(f"{text}. Look at the plan; if it is right, raise it in writeback.yml and plan again." for text in found)

"""A CRM erased somebody for privacy's sake and told us: then we do the same, for all that we hold of the person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cdp_pipelines.config import Settings
from cdp_pipelines.privacy.certificate import Certificate
from cdp_pipelines.privacy.erasing import erase, finish
from cdp_pipelines.privacy.hashes import Hasher
from cdp_pipelines.privacy.person import look_up
from cdp_pipelines.privacy.suppression import SuppressionList
from cdp_pipelines.webhooks.event import Event


def erase_told(settings: Settings, events: Iterable[Event]) -> list[Certificate]:
    """Erase whom the privacy deletions among some events name; who was erased before is left alone. The caller holds the warehouse lock.

    What an earlier process began and did not end is gone on with first. Raises as `erasing.erase` does.
    """
    finished = finish(settings)
    told = sorted({(event.connection, event.record_id) for event in events if event.what == "erased"})
    if not told:
        return finished
    hasher, listed = Hasher.of_settings(settings), SuppressionList(settings).rows()
    people = [look_up(settings, record=":".join(one)) for one in told if hasher.id(*one) not in listed]
    if not people:
        return finished
    connections = ", ".join(sorted({connection for connection, _ in told}))
    return [*finished, erase(settings, people, asked_by=connections, source=f"privacy deletion in {connections}")]


def about_erased(settings: Settings, events: Mapping[int, Event]) -> list[int]:
    """Those of some events, by their place in the inbox, that name a record of somebody who was erased, by us or by the CRM."""
    listed = SuppressionList(settings).rows()
    if not listed:
        return []
    hasher = Hasher.of_settings(settings)
    return [i for i, e in events.items() if any(hasher.id(e.connection, one) in listed for one in (e.record_id, *e.related) if one)]

"""Marketo's own log of activities, read where nobody tells us: what happened since a stored token goes to the inbox, as Data Streams would
bring it. A call or two, where an export takes minutes.

Source: experienceleague.adobe.com, "Activities": a paging token is a place in the log, and each answer has the one from which to go on.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

from cdp_pipelines.config import MarketoConnection, Settings
from cdp_pipelines.crm_integrations.base_crm import RequestRejected
from cdp_pipelines.crm_integrations.marketo import ActivityPage, Marketo
from cdp_pipelines.encryption import Sealer
from cdp_pipelines.sources.marketo_activities import ALWAYS, CHANGE_VALUE, NEW_LEAD
from cdp_pipelines.webhooks import marketo
from cdp_pipelines.webhooks.event import Event, Malformed
from cdp_pipelines.webhooks.inbox import Inbox, Place

log = logging.getLogger(__name__)

CHANGE_SCORE = 22
# What changes a lead, or its part in an opportunity; one call asks for up to ten.
TYPES = (NEW_LEAD, CHANGE_VALUE, CHANGE_SCORE, *ALWAYS)


async def read_log(settings: Settings, connection: MarketoConnection) -> int:
    """Keep in the inbox what happened in an instance since the last time; gives how many events were new.

    The first time that is what happened since `overlap_seconds` ago: the syncs read what was before. Raises CRMError, InboxFull or
    InboxUnavailable; what was kept by then stays, and the next time goes on from there.
    """
    new = 0
    with closing(Inbox(settings.inbox, settings.inbox_most, Sealer.of(settings))) as inbox:
        async with Marketo(connection) as client:
            async for page in _pages(client, connection, inbox.place(connection.name)):
                events = list(_events(connection.name, page.rows))
                new += inbox.add(events, log=(connection.name, Place(page.token, datetime.now(UTC))))
    return new


async def _pages(client: Marketo, connection: MarketoConnection, place: Place | None) -> AsyncIterator[ActivityPage]:
    """The log from a place on, to its end. A token that Marketo takes no more is replaced by one of the time when it was given."""
    since = place.read_at if place else datetime.now(UTC)
    if place:
        try:
            async for page in client.activities(TYPES, place.token):
                yield page
            return
        except RequestRejected as error:
            log.warning("%s; the log is read again from %s on", error, since)
    token = await client.paging_token(since - timedelta(seconds=connection.overlap_seconds))
    async for page in client.activities(TYPES, token):
        yield page


def _events(connection: str, rows: Iterable[Mapping[str, Any]]) -> Iterator[Event]:
    for row in rows:
        try:
            # The API's `id` is not unique, and Data Streams tell the same activity by its GUID.
            yield from marketo.activity(connection, {name: value for name, value in row.items() if name != "id"})
        except Malformed as error:
            log.warning("%s: activity %s is left to the next sync: %s", connection, row.get("marketoGUID"), error)

"""Who said no to which channel, from the published file, and what is not written for them because of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import duckdb

from cdp_pipelines.mapping import load

_TOLD = """
select customer_key, null as address, channel, connection, decided_at from consents where decision = 'opted_out'
union
select null, lower(trim(c.email)), s.channel, s.connection, s.decided_at
from consents s
join customer_contacts l using (customer_key)
join contacts c on c.connection = l.connection and c.customer_id = l.customer_id
where s.decision = 'opted_out' and c.email is not null
order by all
"""


@dataclass(frozen=True)
class Refusal:
    """A channel that a customer said no to, and why we know."""

    channel: str
    reason: str


class Consents:
    """The refusals of the published file, by customer and by e-mail address."""

    def __init__(self, by_customer: Mapping[str, list[Refusal]], by_address: Mapping[str, list[Refusal]]):
        self._by_customer, self._by_address = by_customer, by_address

    @classmethod
    def unknown(cls) -> Consents:
        """Before anything is published: of nobody."""
        return cls({}, {})

    @classmethod
    def read(cls, db: duckdb.DuckDBPyConnection) -> Consents:
        """Those of an open published file. Raises duckdb.CatalogException for one that was published before there were consents."""
        by_customer: dict[str, list[Refusal]] = {}
        by_address: dict[str, list[Refusal]] = {}
        for key, address, channel, connection, at in db.execute(_TOLD).fetchall():
            when = f" since {at:%Y-%m-%d}" if at else ""
            refusal = Refusal(channel, f"opted out of {channel}, says {connection}{when}")
            if key is not None:
                by_customer.setdefault(key, []).append(refusal)
            else:
                by_address.setdefault(address, []).append(refusal)
        return cls(by_customer, by_address)

    def of(self, customer_key: str | None, email: str | None) -> tuple[Refusal, ...]:
        """What a customer said no to. An opt-out from e-mail is the address's too, whoever else has it; of somebody whom nobody knows by a key, the
        customers with that address tell."""
        address = self._by_address.get((email or "").strip().lower(), [])
        if customer_key is not None:
            found = [*self._by_customer.get(customer_key, []), *(refusal for refusal in address if refusal.channel == "email")]
        else:
            found = address
        return tuple({refusal.channel: refusal for refusal in reversed(found)}.values())


def refused_fields(refusals: Iterable[Refusal]) -> dict[str, str]:
    """Our field -> why it is not written for somebody who said no."""
    spec = load().consents
    channels = spec.channels if spec else {}
    return {name: refusal.reason for refusal in refusals if refusal.channel in channels for name in channels[refusal.channel].fields}


def carries_the_no(refusals: Iterable[Refusal], sent: Mapping[str, object]) -> str:
    """Why a new record must not be made with these values (our field -> value): with what reaches the person it would not say that they
    do not want that. Empty if it may."""
    spec = load().consents
    for refusal in refusals:
        channel = spec.channels.get(refusal.channel) if spec else None
        if channel and not sent.keys().isdisjoint(channel.fields) and sent.get(channel.opted_out_if[0]) is not True:
            return f"{refusal.reason}, and the new record would not say so: send {channel.opted_out_if[0]} along, or make none"
    return ""

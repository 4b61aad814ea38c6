"""Alerts: each fault is told once to every channel, and once more when it is over. What is a fault, `doctor` says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cdp_pipelines.config import ConfigError, Settings
from cdp_pipelines.doctor import Finding, State
from cdp_pipelines.private_files import write_private
from cdp_pipelines.scrubbing import know

if TYPE_CHECKING:
    from apprise import Apprise

_SETTING = "CDP_ALERT_CHANNELS"


@dataclass
class Open:
    """A fault that is there. `told` are the channels that know of it."""

    state: State
    says: str
    since: str
    told: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Told:
    """What an evaluation sent, by title, and how many messages could not be sent: those are tried again the next time."""

    sent: list[str]
    unsent: int


class Channels:
    """The places that alerts go to. Raises ConfigError for an address that Apprise cannot read."""

    def __init__(self, settings: Settings):
        self._by_id: dict[str, Apprise] = {}
        addresses = settings.alert_channels.get_secret_value().split() if settings.alert_channels else []
        know(*addresses)  # each has its password or token in it
        for number, address in enumerate(addresses, 1):
            from apprise import Apprise  # slow to load, and for most nothing to do

            channel = Apprise()
            if not channel.add(address):
                remedy = "Write it as the service's page at https://appriseit.com/services/ says."
                raise ConfigError(_SETTING, f"has as address {number} what is none", remedy)
            # The address has secrets in it, so that the file of open alerts knows it by a hash.
            self._by_id[hashlib.sha256(address.encode()).hexdigest()[:16]] = channel

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_id)

    def send(self, channel: str, title: str, text: str) -> bool:
        """Whether the channel took a message."""
        return bool(self._by_id[channel].notify(title=title, body=text, body_format="text"))


def tell(settings: Settings, channels: Channels, findings: Iterable[Finding]) -> Told:
    """Tell of faults that are new to a channel, and of those that are over. Nothing is sent twice to the same channel."""
    wrong = {one.what: one for one in findings if _alerts(one)}
    open_ = _load(settings)
    sent, unsent = [], 0

    def send(channel: str, title: str, text: str) -> bool:
        nonlocal unsent
        if taken := channels.send(channel, title, text):
            sent.append(title)
        else:
            unsent += 1
        return taken

    for what, one in wrong.items():
        known = open_.setdefault(what, Open(one.state, one.says, f"{datetime.now(UTC):%Y-%m-%d %H:%M}"))
        known.state, known.says = one.state, one.says
        for channel in set(channels) - set(known.told):
            if send(channel, f"CDP {one.state}: {what}", f"{one.says}\n{one.remedy}\nSince {known.since} UTC."):
                known.told.append(channel)
                _save(settings, open_)
    for what in [what for what in open_ if what not in wrong]:
        known = open_[what]
        # Whoever was not told of the fault need not hear of its end; nor can a channel that is no longer set.
        known.told = [
            c
            for c in known.told
            if c in set(channels) and not send(c, f"CDP: well again: {what}", f"Since {known.since} UTC: {known.says}")
        ]
        if not known.told:
            del open_[what]
        _save(settings, open_)
    _save(settings, open_)
    return Told(sent, unsent)


def _alerts(one: Finding) -> bool:
    """A check that does not block tells of data to look at some day; all else keeps the platform from doing its work."""
    return one.state == "problem" or (one.state == "warning" and not one.what.startswith("check "))


def _load(settings: Settings) -> dict[str, Open]:
    if not settings.alerts.exists():
        return {}
    return {what: Open(**one) for what, one in json.loads(settings.alerts.read_bytes()).items()}


def _save(settings: Settings, open_: dict[str, Open]) -> None:
    settings.alerts.parent.mkdir(parents=True, exist_ok=True)
    write_private(settings.alerts, json.dumps({what: asdict(one) for what, one in open_.items()}, indent=1).encode())

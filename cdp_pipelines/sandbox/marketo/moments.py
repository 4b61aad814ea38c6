"""How Marketo writes time."""

from __future__ import annotations

from datetime import UTC, datetime


def iso(seconds: float) -> str:
    """A moment as Marketo writes it: whole seconds, UTC."""
    return f"{datetime.fromtimestamp(int(seconds), UTC).isoformat()[:19]}Z"


def asset_time(seconds: float) -> str:
    """The same in the asset API's odd way."""
    return f"{iso(seconds)}+0000"


def epoch(moment: datetime) -> int:
    """Whole seconds since 1970; Marketo knows nothing finer."""
    return int(moment.timestamp())

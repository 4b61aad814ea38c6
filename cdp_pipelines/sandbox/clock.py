"""The sandbox's clock: the moment of a change, which is another than today's when a change of the past is done again."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

_moment: ContextVar[datetime | None] = ContextVar("moment", default=None)
_replaying: ContextVar[bool] = ContextVar("replaying", default=False)


def now() -> datetime:
    """This moment in UTC, to the millisecond (no vendor shows less); inside `at` the moment given there."""
    if (moment := _moment.get()) is not None:
        return moment
    today = datetime.now(UTC)
    return today.replace(microsecond=today.microsecond // 1000 * 1000)


@contextmanager
def at(moment: datetime, *, replaying: bool = False) -> Generator[None]:
    """Let `now` give this moment in what runs inside, tasks started there included.

    `replaying` says that the change was made before and is made again (see `journal`). Raises ValueError for a moment without a time zone.
    """
    if moment.tzinfo is None:
        raise ValueError("a moment of the sandbox's clock needs a time zone")
    moments, replays = _moment.set(moment.astimezone(UTC)), _replaying.set(replaying)
    try:
        yield
    finally:
        _moment.reset(moments)
        _replaying.reset(replays)


def replaying() -> bool:
    """Whether a change of the past is being made again: then nobody needs a token, nothing is limited, and no webhook is sent."""
    return _replaying.get()

"""What the three CRM clients have in common: the guide's contact, the errors, and the interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any, Self

from cdp_pipelines.config import Connection
from cdp_pipelines.crm_integrations.rejected import Rejections
from cdp_pipelines.scrubbing import scrub


@dataclass(kw_only=True)
class CRMContact:
    """A contact in the guide's words; `None` where a CRM says nothing. Times are aware UTC datetimes."""

    customer_id: str | None = None
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    phone: str | None = None
    company: str | None = None
    title: str | None = None
    lead_score: float | None = None
    source: str | None = None
    created_date: datetime | None = None
    last_updated: datetime | None = None
    connection: str | None = None
    source_system: str | None = None
    record_type: str | None = None
    customer_key: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """A contact from a row of the contacts table; columns beyond the named ones go to `extra`."""
        names = {f.name for f in fields(cls)} - {"extra"}
        return cls(**{k: v for k, v in row.items() if k in names}, extra={k: v for k, v in row.items() if k not in names})


class CRMError(Exception):
    """A CRM did not do what was asked. The text says which connection, what went wrong and what to do; it never holds a secret."""

    def __init__(self, connection: str, problem: str, remedy: str = ""):
        problem, remedy = scrub(problem), scrub(remedy)
        super().__init__(f"{connection}: {problem}" + (f" {remedy}" if remedy else ""))
        self.connection, self.problem, self.remedy = connection, problem, remedy


class AuthenticationError(CRMError):
    """The CRM does not accept the credentials."""


class PermissionDenied(CRMError):
    """The credentials are good but may not do this."""


class Unreachable(CRMError):
    """No answer: no network, wrong host, time out, or errors of the server until the tries ran out."""


class OutcomeUnknown(Unreachable):
    """A request that writes got no answer to rely on: the CRM may have done what was asked, or not."""


class QuotaExhausted(CRMError):
    """The daily limit is reached; `resets_at` says when it starts anew, where the CRM tells."""

    def __init__(self, connection: str, problem: str, remedy: str = "", resets_at: datetime | None = None):
        super().__init__(connection, problem, remedy)
        self.resets_at = resets_at


class RequestRejected(CRMError):
    """The CRM refused the request itself (unknown field, malformed query, wrong value); sending it again would not help.

    `faults` are the fields at fault with the vendor's code for what is wrong, where the answer names them.
    """

    def __init__(
        self, connection: str, problem: str, remedy: str = "", code: str | None = None, faults: Mapping[str, str] = MappingProxyType({})
    ):
        super().__init__(connection, problem, remedy)
        self.code, self.faults = code, faults


class IncompleteRead(CRMError):
    """Fewer or more records arrived than the CRM said it would send."""


@dataclass(frozen=True)
class FieldInfo:
    """A field as the CRM describes it. `type` is the vendor's own type name; `read_only` says that these credentials may not write it."""

    name: str
    type: str
    label: str = ""
    custom: bool = False
    calculated: bool = False
    read_only: bool = False


@dataclass(frozen=True)
class ConnectionTest:
    """What a test of a connection found: `ok`, or the `problem` and its `remedy`. `account` names the org, portal or instance.

    `scopes`, `warnings` (a token that may do more than is needed, lacks something or ends soon) and `expires_at` are what the vendor tells of the
    token, where it was asked (`rights.with_rights`).
    """

    connection: str
    kind: str
    ok: bool
    account: str | None = None
    problem: str | None = None
    remedy: str | None = None
    calls_used: int | None = None
    calls_left: int | None = None
    scopes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    expires_at: datetime | None = None


@dataclass(frozen=True)
class DayOfCalls:
    """How many calls an account may make in a day, all its clients together, and how many are left; None where the CRM has not said."""

    allowed: int | None = None
    left: int | None = None


class BaseCRM(ABC):
    """A client of one connection: signs in, pages, retries, keeps within the limits. Knows nothing of dlt or Dagster.

    Use it as an asynchronous context manager. Every method may raise a CRMError.
    """

    connection: Connection

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    @abstractmethod
    async def close(self) -> None:
        """Let go of the network."""

    @abstractmethod
    async def test_connection(self) -> ConnectionTest:
        """Sign in and make one cheap call. Never raises a CRMError: what went wrong is in the answer."""

    @abstractmethod
    async def describe_fields(self, object_name: str) -> list[FieldInfo]:
        """Every field of an object (the vendor's own object name) that these credentials can read."""

    @property
    @abstractmethod
    def calls(self) -> Counter[str]:
        """HTTP calls made so far by this client, retries and sign-ins included, by what they were for (`purpose.purpose`)."""

    @cached_property
    def rejected(self) -> Rejections:
        """Rows of answers that could not be made out, by what they were for (`purpose.purpose`)."""
        return Rejections()

    @property
    @abstractmethod
    def day(self) -> DayOfCalls:
        """The account's calls of this day, as its newest answers tell them. Takes no call."""

    def onward(self, what: str, here: str | None, following: str | None) -> str | None:
        """The place of the next page, None at the end.

        Raises IncompleteRead where it is the place of this page: the same page would come for ever (jepcastelein/marketo-rest-python#55).
        """
        if following is not None and following == here:
            raise IncompleteRead(self.connection.name, f"pages of {what} lead to themselves.", "Run it again.")
        return following

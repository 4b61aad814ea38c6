"""All kinds of fault, by name."""

from __future__ import annotations

from cdp_pipelines.sandbox.faults.kind import FaultKind
from cdp_pipelines.sandbox.faults.transport import (
    ClockSkew,
    Drop,
    EmptyBody,
    HtmlInstead,
    MalformedJson,
    ServerError,
    Slow,
    Truncate,
    UriTooLong,
    WrongCharset,
)
from cdp_pipelines.sandbox.faults.vendor import DailyQuota, Error, Locked, Migration, Permission, RateLimit, TokenExpired, TokenRevoked

FAULTS: dict[str, type[FaultKind]] = {
    "slow": Slow, "drop": Drop, "truncate": Truncate, "empty_body": EmptyBody, "malformed_json": MalformedJson, "html_instead": HtmlInstead,
    "wrong_charset": WrongCharset, "clock_skew": ClockSkew, "server_error": ServerError, "rate_limit": RateLimit, "daily_quota": DailyQuota,
    "token_expired": TokenExpired, "token_revoked": TokenRevoked, "permission": Permission, "locked": Locked, "migration": Migration,
    "uri_too_long": UriTooLong, "error": Error,
}  # fmt: skip

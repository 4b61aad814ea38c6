"""One HTTP client for the three CRMs: limits before the call, retries after it, and a count of calls.

What an answer means differs by vendor; each client passes a `judge` that raises for a bad one.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from functools import partial
from typing import Any, Literal

import httpx2
from opentelemetry.trace import Span, SpanKind
from pyrate_limiter import Rate
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential

from cdp_pipelines.config import Connection
from cdp_pipelines.crm_integrations import tls
from cdp_pipelines.crm_integrations.base_crm import CRMError, OutcomeUnknown, Unreachable
from cdp_pipelines.crm_integrations.pacing import Pace
from cdp_pipelines.crm_integrations.purpose import purpose
from cdp_pipelines.scrubbing import clean
from cdp_pipelines.tracing import traced

log = logging.getLogger(__name__)

MAX_WAIT_SECONDS = 120.0


class TryAgain(Exception):
    """The call failed in a way that passes. `error` is what to raise when the tries run out, `after` the seconds the answer asks to wait.

    `limited` says that a limit of this class of call was reached: its other calls then wait too, and are slower for a while. `begun` says
    that the CRM may have done what was asked all the same.
    """

    def __init__(self, error: CRMError, after: float | None = None, *, limited: bool = False, begun: bool = False):
        super().__init__(str(error))
        self.error, self.after, self.limited, self.begun = error, after, limited, begun


class SessionExpired(Exception):
    """The token is no longer accepted. `error` is what to raise when a fresh one is not either."""

    def __init__(self, error: CRMError):
        super().__init__(str(error))
        self.error = error


Judge = Callable[[httpx2.Response], None]
Effect = Literal["none", "repeatable", "once"]
"""What sending a request twice would do: nothing is written; what is written stays the same; it would be written twice."""
# These fail before anything of a request has left.
_NOTHING_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


class HttpClient:
    """Sends requests for one connection.

    `judge(response)` returns for a good answer and otherwise raises a CRMError (final), TryAgain or SessionExpired.
    `authorize()` gives the headers that sign a request and `renew()` fetches a new token; both are called by this class only.
    `limits` maps a class of call to its rates; a call waits until all of its class's rates allow it. `max_concurrent` calls are under
    way at a time.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        judge: Judge,
        authorize: Callable[[], Awaitable[dict[str, str]]],
        renew: Callable[[], Awaitable[None]] | None = None,
        limits: dict[str, list[Rate]] | None = None,
        max_concurrent: int = 8,
    ):
        self.connection = connection
        self.calls: Counter[str] = Counter()
        self._judge, self._authorize, self._renew = judge, authorize, renew
        self._paces = {name: Pace(rates) for name, rates in (limits or {}).items()}
        self._slots = asyncio.Semaphore(max_concurrent)
        self._renewing = asyncio.Lock()
        self._token_age = 0
        # A stream keeps its connection while the next calls are made, so that only those at rest are limited.
        pool = httpx2.Limits(max_connections=None, max_keepalive_connections=max_concurrent, keepalive_expiry=30)
        timeout = httpx2.Timeout(connection.timeout_seconds, connect=10)
        self._http = httpx2.AsyncClient(timeout=timeout, limits=pool, follow_redirects=False, verify=tls.context())

    async def close(self) -> None:
        """Close the connections and stop the limiters."""
        await self._http.aclose()
        for pace in self._paces.values():
            pace.close()

    async def request(
        self,
        method: str,
        url: str,
        *,
        call: str = "default",
        signed: bool = True,
        judge: Judge | None = None,
        effect: Effect = "none",
        **options: Any,
    ) -> httpx2.Response:
        """The answer to one request, its body read. Retries what passes; raises a CRMError for what does not.

        With the effect "once" nothing is sent again that the CRM may have done already. Raises OutcomeUnknown for a request that
        writes when no try was answered and one may have been carried out.
        """
        return await self._answer(partial(self._once, method, url, call, signed, judge or self._judge, False, options), effect)

    def stream(
        self, method: str, url: str, *, call: str = "default", judge: Judge | None = None, **options: Any
    ) -> AbstractAsyncContextManager[httpx2.Response]:
        """As `request`, but the body of a good answer is left for the caller to read, piece by piece."""
        return self._streamed(partial(self._once, method, url, call, True, judge or self._judge, True, options))

    @asynccontextmanager
    async def _streamed(self, once: Callable[[], Awaitable[httpx2.Response]]):
        response = await self._answer(once)
        try:
            yield response
        finally:
            await response.aclose()

    async def _answer(self, once: Callable[[], Awaitable[httpx2.Response]], effect: Effect = "none") -> httpx2.Response:
        try:
            return await once()
        except TryAgain as failure:
            return await self._again(failure, once, effect)

    async def _again(self, first: TryAgain, once: Callable[[], Awaitable[httpx2.Response]], effect: Effect) -> httpx2.Response:
        """More tries after a first one; what they need is only made when one failed."""
        begun = False

        def again(failure: BaseException) -> bool:
            nonlocal begun
            begun = begun or (isinstance(failure, TryAgain) and failure.begun)
            return isinstance(failure, TryAgain) and not (begun and effect == "once")

        retrying = AsyncRetrying(
            retry=retry_if_exception(again),
            stop=stop_after_attempt(self.connection.max_attempts),
            wait=_wait,
            before_sleep=self._say,
            reraise=True,
        )
        try:
            async for attempt in retrying:
                with attempt:
                    if attempt.retry_state.attempt_number == 1:
                        raise first
                    return await once()
        except TryAgain as failure:
            if begun and effect != "none":
                raise OutcomeUnknown(failure.error.connection, failure.error.problem, failure.error.remedy) from failure
            raise failure.error from failure
        raise AssertionError("unreachable")

    async def _once(
        self, method: str, url: str, call: str, signed: bool, judge: Judge, stream: bool, options: dict[str, Any]
    ) -> httpx2.Response:
        for fresh in (False, True):
            age = self._token_age
            given: dict[str, Any] = {**options, "headers": {**options.get("headers", {}), **(await self._authorize() if signed else {})}}
            if pace := self._paces.get(call):
                await pace.turn()
            async with self._slots:
                self.calls[purpose.get()] += 1
                try:
                    request = self._http.build_request(method, url, **given)
                    with self._traced(request) as span:
                        response = await self._http.send(request, stream=stream)
                        span.set_attribute("http.response.status_code", response.status_code)
                        if stream and response.status_code >= 300:
                            await response.aread()
                except httpx2.TransportError as error:
                    # What the library says of a header that it cannot send is the header itself.
                    cause = clean(error)
                    if (refusal := tls.refusal(error)) is not None:
                        problem, remedy = refusal
                        raise Unreachable(self.connection.name, f"{httpx2.URL(url).host} {problem}.", remedy) from cause
                    raise TryAgain(self._unreachable(url, error), begun=not isinstance(error, _NOTHING_SENT)) from cause
            try:
                judge(response)
            except SessionExpired as expired:
                if stream:
                    await response.aclose()
                if fresh or not signed or self._renew is None:
                    raise expired.error from None
                await self._renew_once(age)
                continue
            except BaseException as error:
                if pace and isinstance(error, TryAgain) and error.limited:
                    pace.refused(error.after or 1.0)
                if stream:
                    await response.aclose()
                raise
            return response
        raise AssertionError("unreachable")

    def _traced(self, request: httpx2.Request) -> AbstractContextManager[Span]:
        what = purpose.get() or "account"
        return traced(
            f"{request.method} {self.connection.name} {what}", SpanKind.CLIENT, http__request__method=request.method,
            server__address=request.url.host, cdp__connection=self.connection.name, cdp__object=what,
        )  # fmt: skip

    async def _renew_once(self, age: int) -> None:
        """Fetch a new token, once for all the calls that found the old one expired."""
        async with self._renewing:
            if age == self._token_age and self._renew is not None:
                await self._renew()
                self._token_age += 1

    def _unreachable(self, url: str, error: Exception) -> Unreachable:
        host = httpx2.URL(url).host
        what = "did not answer in time" if isinstance(error, httpx2.TimeoutException) else "cannot be reached"
        return Unreachable(
            self.connection.name, f"{host} {what} ({type(error).__name__}).", "Check the network and the host name in the settings."
        )

    def _say(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.info("%s: waiting %.1f s before try %d: %s", self.connection.name, state.next_action.sleep if state.next_action else 0,
                 state.attempt_number + 1, error)  # fmt: skip


_backoff = wait_random_exponential(multiplier=0.5, max=30)


def _wait(state: RetryCallState) -> float:
    """What the answer asks for, else exponential backoff with full jitter."""
    error = state.outcome.exception() if state.outcome else None
    after = error.after if isinstance(error, TryAgain) else None
    return min(after, MAX_WAIT_SECONDS) if after is not None else _backoff(state)

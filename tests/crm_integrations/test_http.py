"""The HTTP client that the three CRM clients share, against a real server."""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from collections.abc import Awaitable, Callable

import httpx2
import pytest
from pyrate_limiter import Rate
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from cdp_pipelines.config import connection_from_config
from cdp_pipelines.crm_integrations import http
from cdp_pipelines.crm_integrations.base_crm import AuthenticationError, OutcomeUnknown, RequestRejected, Unreachable
from cdp_pipelines.crm_integrations.http import HttpClient, SessionExpired, TryAgain
from cdp_pipelines.crm_integrations.purpose import purpose
from tests.sources.known_failures import known_failure


def judge(response: httpx2.Response) -> None:
    if response.status_code == 401:
        raise SessionExpired(AuthenticationError("hubspot", "the token is not accepted.", "Set a new one."))
    if response.status_code == 429:
        raise TryAgain(RequestRejected("hubspot", "limit reached."), after=float(response.headers["Retry-After"]), limited=True)
    if response.status_code >= 500:
        raise TryAgain(Unreachable("hubspot", f"answered {response.status_code}."), begun=True)
    if response.status_code >= 400:
        raise RequestRejected("hubspot", "bad request.")


class Client(HttpClient):
    """A client that knows where its server is."""

    base = ""


class Server:
    """Answers with what `answers` says, in turn (the last one for ever); notes when it was asked and with which token."""

    def __init__(self, *answers: Response):
        self.answers, self.asked, self.tokens = list(answers), [], []
        self.app = Starlette(routes=[Route("/{path:path}", self.answer, methods=["GET", "POST"])])

    async def answer(self, request: Request) -> Response:
        self.asked.append(time.monotonic())
        self.tokens.append(request.headers.get("authorization"))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def ok() -> Response:
    return PlainTextResponse("fine")


def run(base: str, work: Callable[[Client], Awaitable], *, attempts: int = 4, renew: Callable | None = None, **options):
    token = {"value": "first"}

    async def authorize() -> dict[str, str]:
        return {"Authorization": f"Bearer {token['value']}"}

    async def new_token() -> None:
        token["value"] = "second"
        if renew:
            renew()

    async def all_of_it():
        connection = connection_from_config("hubspot", {"access_token": "t", "base_url": base, "max_attempts": attempts})
        client = Client(connection, judge=judge, authorize=authorize, renew=new_token, **options)
        client.base = base
        try:
            return await work(client), client
        finally:
            await client.close()

    return asyncio.run(all_of_it())


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(http, "_backoff", lambda state: 0.01)


def test_server_errors_are_retried_and_counted(serve):
    server = Server(Response(status_code=503), Response(status_code=502), ok())
    response, client = run(serve(server.app), lambda c: c.request("GET", f"{c.base}/x"))
    assert (response.text, client.calls.total(), len(server.asked)) == ("fine", 3, 3)


def test_the_tries_end_with_the_last_error(serve):
    server = Server(Response(status_code=503))
    with pytest.raises(Unreachable, match="hubspot: answered 503"):
        run(serve(server.app), lambda c: c.request("GET", f"{c.base}/x"), attempts=3)
    assert len(server.asked) == 3


def test_what_may_have_been_done_is_sent_again_only_where_that_does_no_harm(serve):
    server = Server(Response(status_code=503), ok())
    with pytest.raises(OutcomeUnknown, match="answered 503"):
        run(serve(server.app), lambda c: c.request("POST", f"{c.base}/x", effect="once"))
    assert len(server.asked) == 1
    server = Server(Response(status_code=503), ok())
    run(serve(server.app), lambda c: c.request("POST", f"{c.base}/x", effect="repeatable"))
    assert len(server.asked) == 2


def test_what_was_surely_not_done_is_sent_again_in_any_case(serve):
    server = Server(Response(status_code=429, headers={"Retry-After": "0.01"}), Response(status_code=401), ok())
    run(serve(server.app), lambda c: c.request("POST", f"{c.base}/x", effect="once"))
    assert len(server.asked) == 3


def test_a_write_is_unknown_only_when_one_of_its_tries_may_have_been_carried_out(serve):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(Unreachable) as refused:
        run(url, lambda c: c.request("POST", f"{url}/x", effect="once"), attempts=2)
    assert not isinstance(refused.value, OutcomeUnknown)
    limited = Response(status_code=429, headers={"Retry-After": "0.01"})
    server = Server(Response(status_code=503), limited)
    with pytest.raises(OutcomeUnknown):
        run(serve(server.app), lambda c: c.request("POST", f"{c.base}/x", effect="repeatable"), attempts=2)


def test_it_waits_as_long_as_the_answer_asks(serve):
    server = Server(Response(status_code=429, headers={"Retry-After": "0.6"}), ok())
    run(serve(server.app), lambda c: c.request("GET", f"{c.base}/x"))
    assert server.asked[1] - server.asked[0] >= 0.6


def test_a_rejected_request_is_not_sent_again(serve):
    server = Server(Response(status_code=400))
    with pytest.raises(RequestRejected):
        run(serve(server.app), lambda c: c.request("GET", f"{c.base}/x"))
    assert len(server.asked) == 1


def test_an_expired_token_is_renewed_once_for_all_calls_that_found_it_expired(serve):
    renewals = []

    async def answer(request: Request) -> Response:
        await asyncio.sleep(0.05)
        return ok() if request.headers["authorization"] == "Bearer second" else Response(status_code=401)

    base = serve(Starlette(routes=[Route("/{path:path}", answer)]))

    async def five(client: Client):
        return await asyncio.gather(*(client.request("GET", f"{base}/{i}") for i in range(5)))

    responses, _ = run(base, five, renew=lambda: renewals.append(1))
    assert [r.text for r in responses] == ["fine"] * 5
    assert len(renewals) == 1


def test_a_token_that_is_refused_again_after_renewal_is_an_error(serve):
    server = Server(Response(status_code=401))
    with pytest.raises(AuthenticationError, match=r"the token is not accepted\. Set a new one\."):
        run(serve(server.app), lambda c: c.request("GET", f"{c.base}/x"))
    assert server.tokens == ["Bearer first", "Bearer second"]


@known_failure("drt-hub/drt#769")
def test_calls_wait_for_the_rate_of_their_class(serve):
    server = Server(ok())

    async def twelve(client: Client):
        await asyncio.gather(*(client.request("GET", f"{client.base}/x", call="search") for _ in range(12)))

    run(serve(server.app), twelve, limits={"search": [Rate(5, 400)]})
    times = sorted(server.asked)
    assert len(times) == 12
    assert times[5] - times[0] > 0.3  # sliding window: the sixth call not before the first one is 0.4 s old (0.1 s for the clock's grain)
    assert times[10] - times[5] > 0.3


def test_a_host_that_does_not_answer_is_named_with_the_remedy():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(Unreachable, match=r"hubspot: 127\.0\.0\.1 cannot be reached \(ConnectError\)\. Check the network"):
        run(f"http://127.0.0.1:{port}", lambda c: c.request("GET", f"{c.base}/x"), attempts=2)


def test_calls_are_counted_by_what_they_were_for(serve):
    async def some(client: Client):
        purpose.set("contacts")
        await client.request("GET", f"{client.base}/x")
        purpose.set("deals")
        await client.request("GET", f"{client.base}/x")
        await client.request("GET", f"{client.base}/x")

    _, client = run(serve(Server(ok()).app), some)
    assert client.calls == {"contacts": 1, "deals": 2}


def test_a_stream_hands_over_the_body_in_pieces_and_retries_a_bad_start(serve):
    async def body():
        for _ in range(3):
            yield b"x" * 1000

    server = Server(Response(status_code=500), StreamingResponse(body()))

    async def read(client: Client) -> int:
        async with client.stream("GET", f"{client.base}/file") as response:
            return sum([len(piece) async for piece in response.aiter_bytes()])

    size, client = run(serve(server.app), read)
    assert (size, client.calls.total()) == (3000, 2)


def test_a_refusal_for_the_limit_holds_the_other_calls_of_its_class_back_and_no_others(serve):
    server = Server(Response(status_code=429, headers={"Retry-After": "0.5"}), ok())
    ended = {}

    async def timed(client: Client, call: str) -> None:
        await client.request("GET", f"{client.base}/x", call=call)
        ended[call] = time.monotonic()

    async def several(client: Client):
        first = asyncio.create_task(client.request("GET", f"{client.base}/x", call="search"))
        await asyncio.sleep(0.2)
        began = time.monotonic()
        await asyncio.gather(timed(client, "search"), timed(client, "default"), first)
        return began

    limits = {"search": [Rate(1000, 1000)], "default": [Rate(1000, 1000)]}
    began, client = run(serve(server.app), several, limits=limits)
    assert ended["default"] - began < 0.25 < ended["search"] - began
    assert client.calls.total() == 4


def test_after_a_refusal_calls_keep_twice_their_usual_distance(serve):
    server = Server(Response(status_code=429, headers={"Retry-After": "0.01"}), ok())

    async def six(client: Client):
        for _ in range(6):
            await client.request("GET", f"{client.base}/x", call="search")

    run(serve(server.app), six, limits={"search": [Rate(10, 1000)]})
    gaps = [b - a for a, b in itertools.pairwise(server.asked[1:])]
    assert len(gaps) == 5
    assert sum(gaps) >= 5 * 0.2 - 0.05  # 10 a second would be 0.1 s each, or none for the first ten


def test_many_calls_use_few_connections(serve):
    ports = set()

    async def answer(request: Request) -> Response:
        ports.add(request.client and request.client.port)
        return ok()

    async def many(client: Client):
        await asyncio.gather(*(client.request("GET", f"{client.base}/x") for _ in range(40)))

    run(serve(Starlette(routes=[Route("/{path:path}", answer)])), many, max_concurrent=4)
    assert len(ports) <= 4

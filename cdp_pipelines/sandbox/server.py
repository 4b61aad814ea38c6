"""One server process for the sandbox: its page and control routes, Salesforce, HubSpot and Marketo, each on a loopback port of its own."""

from __future__ import annotations

import re
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from cdp_pipelines.config import KINDS, ConfigError, Kind
from cdp_pipelines.sandbox import page
from cdp_pipelines.sandbox.control import Controls
from cdp_pipelines.sandbox.faults.calls import Call
from cdp_pipelines.sandbox.faults.switches import Switchboard
from cdp_pipelines.sandbox.headers import capitalised
from cdp_pipelines.sandbox.hosting import HOST, NAME, SandboxAddresses
from cdp_pipelines.sandbox.hubspot import api as hubspot
from cdp_pipelines.sandbox.living import LivingWorld
from cdp_pipelines.sandbox.marketo import api as marketo
from cdp_pipelines.sandbox.salesforce import api as salesforce
from cdp_pipelines.sandbox.traffic import Traffic

# What stands for a record, a job or a page in a path: digits, a Salesforce id (with a page's offset), a UUID, a cursor or token.
_PARTICULAR = re.compile(r"\d+|[a-zA-Z0-9]{15}|[a-zA-Z0-9]{18}(-\d+)?|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\S{25,}", re.ASCII)


def path_template(path: str) -> str:
    """A path with `{id}` for everything that names one record, job or page."""
    return "/".join("{id}" if _PARTICULAR.fullmatch(part) and not part.isalpha() else part for part in path.split("/"))


class SandboxServer:
    """The sandbox on four loopback ports, bound when this is made; `run` serves until `stop`.

    `port` is the first of four in a row (page, Salesforce, HubSpot, Marketo); 0 takes free ones. `state` is the folder of the change log.
    `options` replaces a CRM's options (`SalesforceOptions`, `HubSpotOptions`, `MarketoOptions`). Raises ConfigError when a port is taken.
    """

    def __init__(
        self,
        *,
        people: int,
        seed: int,
        state: Path,
        port: int = 0,
        empty: frozenset[Kind] = frozenset(),
        options: Mapping[Kind, Any] | None = None,
    ):
        self._sockets = _bind(port)
        self.addresses = SandboxAddresses(*(sock.getsockname()[1] for sock in self._sockets))
        self.world = LivingWorld(people=people, seed=seed, state=state, empty=empty)
        chosen: dict[Kind, Any] = {
            "salesforce": salesforce.SalesforceOptions(), "hubspot": hubspot.HubSpotOptions(), "marketo": marketo.MarketoOptions(), **(options or {}),
        }  # fmt: skip
        stores = self.world.stores
        self.apps: dict[Kind, Starlette] = {
            "salesforce": salesforce.app(stores["salesforce"], chosen["salesforce"]),
            "hubspot": hubspot.app(stores["hubspot"], chosen["hubspot"]),
            "marketo": marketo.app(stores["marketo"], chosen["marketo"]),
        }
        # Past the faults: what the CRM did is written down also when its answer is lost.
        self._recorded = self.world.resume(self.apps)
        self._revoke_tokens: dict[Kind, Callable[[], None]] = {
            "salesforce": self.apps["salesforce"].state.org.revoke_tokens,
            "hubspot": stores["hubspot"].revoke_tokens,
            "marketo": self.apps["marketo"].state.gate.revoke,
        }
        self.options = chosen
        # HubSpot's private tokens do not expire.
        self._expire: dict[Kind, Callable[[], None]] = {
            "salesforce": self.apps["salesforce"].state.org.expire_tokens,
            "marketo": self.apps["marketo"].state.gate.expire,
        }
        self.faults, self.traffic = Switchboard(), Traffic()
        self.controls = Controls(
            self.faults, chosen, purge={kind: partial(self.world.purge, kind) for kind in KINDS}, expire=self._expire,
            webhooks=self.apps["hubspot"].state.webhooks,
        )  # fmt: skip
        self.requests: dict[Kind, Counter[str]] = {kind: Counter() for kind in KINDS}
        self._crm_of_port = {getattr(self.addresses, kind): kind for kind in KINDS}
        self._control = self._control_app()
        # The emulated CRMs name their own servers, and their clocks can be wrong. h11 leaves header names as they are (see `headers`).
        config = uvicorn.Config(
            self,
            http="h11",
            lifespan="off",
            access_log=False,
            log_level="warning",
            timeout_graceful_shutdown=2,
            date_header=False,
            server_header=False,
        )
        self._uvicorn = uvicorn.Server(config)

    def run(self) -> None:
        """Serve until `stop` is called or, in the main thread, until SIGINT or SIGTERM."""
        try:
            self._uvicorn.run(sockets=self._sockets)
        finally:
            for sock in self._sockets:
                sock.close()

    def stop(self) -> None:
        """End `run`; may be called from any thread, also before `run`."""
        self._uvicorn.should_exit = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request to the app whose port it came to."""
        kind = self._crm_of_port.get(scope["server"][1])
        if kind is None:
            return await self._control(scope, receive, send)
        self.requests[kind][f"{scope['method']} {path_template(scope['path'])}"] += 1
        # Another command may have changed the CRMs; whoever reads now must see it, since their cursor moves past it.
        self.world.catch_up()
        app: ASGIApp = self._recorded[kind]

        async def answer(call: Call) -> None:
            await self.faults.run(call, lambda reached: app(reached.scope, reached.receive, reached.send))

        call = Call(kind, scope, receive, capitalised(send), options=self.options[kind], expire=self._expire.get(kind))
        return await self.traffic.watch(call, answer)

    def _control_app(self) -> Starlette:
        routes: list[tuple[str, str, Callable[[Request], Any]]] = [
            ("GET", "/", self._page), ("GET", "/sandbox/health", self._health), ("GET", "/sandbox/truth", self._truth),
            ("GET", "/sandbox/counts", self._counts), ("POST", "/sandbox/change", self._change), ("GET", "/sandbox/log", self._log),
            ("POST", "/sandbox/revoke", self._revoke), ("GET", "/sandbox/requests", self._requests),
        ]  # fmt: skip
        own = [Route(path, handler, methods=[method]) for method, path, handler in routes]
        return Starlette(routes=[*own, *self.controls.routes()])

    def health(self) -> dict[str, Any]:
        """Name, version, world, ports and number of live records."""
        return {
            "name": NAME, "version": version("cdp-pipelines"), "people": self.world.people, "seed": self.world.world.seed,
            "ports": asdict(self.addresses), "counts": self.world.counts(),
        }  # fmt: skip

    async def _page(self, request: Request) -> Response:
        self.world.catch_up()
        totals = {kind: sum(counter.values()) for kind, counter in self.requests.items()}
        return HTMLResponse(
            page.render(
                self.health(), self.addresses, self.world.changes, totals,
                faults=list(self.faults), options=self.controls.changed_options(), latest=list(self.traffic.latest),
            )
        )  # fmt: skip

    async def _health(self, request: Request) -> Response:
        self.world.catch_up()
        return _json(self.health())

    async def _truth(self, request: Request) -> Response:
        self.world.catch_up()
        return _json(self.world.truth())

    async def _counts(self, request: Request) -> Response:
        self.world.catch_up()
        return _json(self.world.counts())

    async def _change(self, request: Request) -> Response:
        try:
            asked = orjson.loads(await request.body() or b"{}")
            seed, count = int(asked.get("seed", 1)), int(asked.get("count", 60))
        except (orjson.JSONDecodeError, AttributeError, TypeError, ValueError):
            return _json({"error": 'Send a JSON object such as {"seed": 1, "count": 60}.'}, 400)
        if not 0 <= count <= 100_000:
            return _json({"error": "count must be from 0 to 100000."}, 400)
        return _json({"changes": await self.world.change(seed, count)})

    async def _log(self, request: Request) -> Response:
        self.world.catch_up()
        batches = [{"seed": batch.seed, "at": batch.at.isoformat(), "count": batch.count} for batch in self.world.batches]
        return _json({"batches": batches, "changes": self.world.changes})

    async def _revoke(self, request: Request) -> Response:
        try:
            kind = orjson.loads(await request.body() or b"{}").get("crm")
        except (orjson.JSONDecodeError, AttributeError):
            kind = None
        if kind not in KINDS:
            return _json({"error": f'Send a JSON object such as {{"crm": "hubspot"}}; crm is one of {", ".join(KINDS)}.'}, 400)
        self._revoke_tokens[kind]()
        return _json({"crm": kind, "revoked": True})

    async def _requests(self, request: Request) -> Response:
        return _json({kind: dict(counter.most_common()) for kind, counter in self.requests.items()})


def serve(*, people: int, seed: int, state: Path, port: int, ready: Callable[[SandboxServer], None]) -> None:
    """Serve in this process until interrupted; `ready` is called once connections are accepted (they wait until `run` answers)."""
    server = SandboxServer(people=people, seed=seed, state=state, port=port)
    ready(server)
    server.run()


def _bind(port: int) -> list[socket.socket]:
    """Four listening loopback sockets: in a row from `port`, or anywhere for 0."""
    sockets: list[socket.socket] = []
    for offset in range(4):
        number = port + offset if port else 0
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sockets.append(sock)
        try:
            sock.bind((HOST, number))
            sock.listen(128)
        except (OSError, OverflowError):
            for opened in sockets:
                opened.close()
            raise ConfigError(
                "CDP_SANDBOX_PORT", f"is {port}, but port {number} cannot be had on this machine", "Set it to the first of four free ports."
            ) from None
    return sockets


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")

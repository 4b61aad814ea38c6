from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from starlette.types import ASGIApp, Receive, Scope, Send

from cdp_pipelines.config import SalesforceConnection, connection_from_config
from cdp_pipelines.crm_integrations.base_crm import (
    AuthenticationError,
    CRMError,
    IncompleteRead,
    PermissionDenied,
    QuotaExhausted,
    RequestRejected,
    Unreachable,
)
from cdp_pipelines.crm_integrations.salesforce import Salesforce
from cdp_pipelines.sandbox import credentials
from cdp_pipelines.sandbox.salesforce.api import SalesforceOptions, app
from tests.sandbox.salesforce_org import new_store
from tests.sources.known_failures import known_failure

Serve = Callable[[Any], str]
T = TypeVar("T")
SOQL = "SELECT Id, Name, Description, LeadScore__c, IsDeleted, SystemModstamp FROM Contact"


class Faulty:
    """An app in front of which a fault stands: `fault(path, n)` gives a status and body for the n-th call of a path, or None."""

    def __init__(self, inner: ASGIApp, fault: Callable[[str, int], tuple[int, bytes] | None]):
        self.inner, self.fault = inner, fault
        self.seen: dict[str, int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        self.seen[path] = self.seen.get(path, 0) + 1
        wrong = self.fault(path, self.seen[path])
        if wrong is None:
            await self.inner(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": wrong[0], "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": wrong[1]})


def connection(url: str, **more: Any) -> SalesforceConnection:
    config = {**credentials.SALESFORCE, "login_url": url, "bulk_poll_seconds": 0.01, "max_attempts": 3, **more}
    made = connection_from_config("salesforce", {k: v for k, v in config.items() if v is not None})
    assert isinstance(made, SalesforceConnection)
    return made


def use(made: SalesforceConnection, work: Callable[[Salesforce], Awaitable[T]]) -> T:
    async def run() -> T:
        async with Salesforce(made) as client:
            return await work(client)

    return asyncio.run(run())


async def by_rest(client: Salesforce, soql: str = SOQL) -> list[dict[str, Any]]:
    return [row async for page in client.query(soql, include_deleted=True) for row in page]


async def by_bulk(client: Salesforce, soql: str = SOQL) -> list[dict[str, Any]]:
    return [row async for part in client.bulk_query(soql, include_deleted=True) for row in part.rows.to_pylist()]


def failure(made: SalesforceConnection, work: Callable[[Salesforce], Awaitable[Any]], kind: type[CRMError]) -> CRMError:
    with pytest.raises(kind) as caught:
        use(made, work)
    assert type(caught.value) is kind
    return caught.value


@known_failure("dlt-hub/verified-sources#639", "dlt-hub/verified-sources#641")
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"username": None, "password": None, "refresh_token": "sandbox-refresh-token"},
        {"username": None, "password": None},
    ],
    ids=["password", "refresh token", "client credentials"],
)
def test_every_way_to_sign_in_works(serve: Serve, settings: dict[str, Any]) -> None:
    store = new_store()
    made = connection(serve(app(store)), **settings)
    assert use(made, lambda c: c.count("SELECT COUNT() FROM Contact")) == store.counts()["Contact"]


@pytest.fixture(scope="module")
def key() -> tuple[str, str]:
    """A private key and its public key, in PEM."""
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return private, made.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_a_signed_assertion_signs_in_with_the_key_as_text_or_in_a_file(serve: Serve, tmp_path: Path, key: tuple[str, str]) -> None:
    private, public = key
    url = serve(app(new_store(), SalesforceOptions(jwt_public_key=public)))
    (tmp_path / "key.pem").write_text(private)
    (tmp_path / "key.pem").chmod(0o644)
    refused = use(connection(url, private_key=str(tmp_path / "key.pem"), password=None), lambda c: c.test_connection())
    assert "can be read or changed by others" in (refused.problem or "")
    assert "chmod 640" in (refused.remedy or "")
    (tmp_path / "key.pem").chmod(0o600)
    for given in (private, private.replace("\n", "\\n"), str(tmp_path / "key.pem")):
        made = connection(url, private_key=given, password=None, client_secret=None)
        assert use(made, lambda c: c.limits())["DailyApiRequests"]["Max"] == 100_000


def test_a_wrong_or_unreadable_private_key_is_named_and_never_shown(serve: Serve, key: tuple[str, str]) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    public = other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    url = serve(app(new_store(), SalesforceOptions(jwt_public_key=public)))
    for given, problem in (
        (key[0], "signed assertion"),
        ("/nowhere/key.pem", "private key cannot be read"),
        ("-----oops", "cannot be read"),
    ):
        found = use(connection(url, private_key=given, password=None), lambda c: c.test_connection())
        assert not found.ok
        assert problem in (found.problem or "")
        assert "SALESFORCE_PRIVATE_KEY" in (found.remedy or "")
        assert "PRIVATE KEY-----" not in f"{found}"


def test_a_renewed_refresh_token_is_kept_in_its_file_for_the_next_process(serve: Serve, tmp_path: Path) -> None:
    url = serve(app(new_store(), SalesforceOptions(rotate_refresh_tokens=True)))
    file = tmp_path / "secrets" / "token"
    for _ in range(3):
        made = connection(url, refresh_token="sandbox-refresh-token", refresh_token_file=file)
        assert use(made, lambda c: c.limits())
        assert not use(made, lambda c: unsaved(c))
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["token"]


async def unsaved(client: Salesforce) -> bool:
    await client.limits()
    return client.unsaved_refresh_token


def test_a_renewed_refresh_token_that_no_file_keeps_is_reported(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    url = serve(app(new_store(), SalesforceOptions(rotate_refresh_tokens=True)))
    assert use(connection(url, refresh_token="sandbox-refresh-token"), unsaved)
    assert "SALESFORCE_REFRESH_TOKEN_FILE" in caplog.text


def test_a_connection_test_names_the_org_and_the_calls_left(serve: Serve) -> None:
    url = serve(app(new_store(), SalesforceOptions(daily_calls=500)))
    found = use(connection(url), lambda c: c.test_connection())
    assert (found.ok, found.calls_used, found.calls_left) == (True, 1, 499)
    assert found.account is not None
    assert found.account.startswith("00D")


@pytest.mark.parametrize(
    ("settings", "problem", "remedy"),
    [
        ({"client_secret": "nope"}, "client secret", "Consumer Secret of the Connected App"),
        ({"client_id": "nope"}, "client id", "Consumer Key of the Connected App"),
        ({"password": "nope"}, "user name or password", "security token appended"),
        ({"refresh_token": "nope"}, "refresh token", "authorize the Connected App again"),
    ],
)
def test_wrong_credentials_are_named_with_their_remedy(serve: Serve, settings: dict[str, str], problem: str, remedy: str) -> None:
    found = use(connection(serve(app(new_store())), **settings), lambda c: c.test_connection())
    assert not found.ok
    assert problem in (found.problem or "")
    assert remedy in (found.remedy or "")
    assert "nope" not in f"{found}"


def test_a_host_that_is_not_there_is_named() -> None:
    found = use(connection("http://127.0.0.1:9", max_attempts=1), lambda c: c.test_connection())
    assert (found.ok, found.problem) == (False, "127.0.0.1 cannot be reached (ConnectError).")


def test_revoked_refresh_tokens_say_so(serve: Serve) -> None:
    made = app(new_store())
    url = serve(made)
    made.state.org.revoke_tokens()
    error = failure(connection(url, refresh_token="sandbox-refresh-token"), lambda c: c.limits(), AuthenticationError)
    assert "does not accept the refresh token" in str(error)


@known_failure("simple-salesforce/simple-salesforce#406", "simple-salesforce/simple-salesforce#272")
def test_a_session_that_ends_in_the_middle_is_renewed_once(serve: Serve) -> None:
    made = app(new_store(), SalesforceOptions(page_size=50))
    url = serve(made)

    async def work(client: Salesforce) -> list[dict[str, Any]]:
        rows = []
        async for page in client.query(SOQL, include_deleted=True):
            if not rows:
                made.state.org.expire_tokens()
            rows += page
        return rows

    rows = use(connection(url), work)
    assert rows == use(connection(url), by_rest)
    assert len(rows) > 100


@known_failure("simple-salesforce/simple-salesforce#594", "simple-salesforce/simple-salesforce#619")
def test_a_session_that_is_never_accepted_is_not_tried_for_ever(serve: Serve) -> None:
    front = Faulty(app(new_store(), SalesforceOptions(token_seconds=0)), lambda path, n: None)
    failure(connection(serve(front)), lambda c: c.limits(), AuthenticationError)
    assert front.seen == {"/services/oauth2/token": 2, "/services/data/v62.0/limits": 2}


def test_rotated_refresh_tokens_are_used_in_turn(serve: Serve) -> None:
    made = app(new_store(), SalesforceOptions(rotate_refresh_tokens=True))
    url = serve(made)

    async def work(client: Salesforce) -> None:
        for _ in range(3):
            await client.limits()
            made.state.org.expire_tokens()

    use(connection(url, refresh_token="sandbox-refresh-token"), work)


def test_errors_of_the_server_pass(serve: Serve) -> None:
    front = Faulty(app(new_store()), lambda path, n: (503, b"[]") if n == 1 else None)
    assert use(connection(serve(front)), lambda c: c.limits())["DailyApiRequests"]["Max"] == 100_000


def test_errors_of_the_server_that_stay_are_reported(serve: Serve) -> None:
    front = Faulty(
        app(new_store()), lambda path, n: (500, b'[{"errorCode":"UNKNOWN_EXCEPTION","message":"x"}]') if "limits" in path else None
    )
    error = failure(connection(serve(front), max_attempts=2), lambda c: c.limits(), Unreachable)
    assert "UNKNOWN_EXCEPTION" in str(error)
    assert front.seen["/services/data/v62.0/limits"] == 2


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, b'[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"TotalRequests Limit exceeded."}]', QuotaExhausted),
        (403, b'[{"errorCode":"API_DISABLED_FOR_ORG","message":"API is not enabled for this Organization or Partner"}]', PermissionDenied),
        (400, b'{"errorCode":"MALFORMED_QUERY","message":"unexpected token"}', RequestRejected),
        (414, b"URI Too Long", RequestRejected),
        (302, b"", RequestRejected),
    ],
)
def test_final_errors_are_told_apart_and_not_tried_again(serve: Serve, status: int, body: bytes, kind: type[CRMError]) -> None:
    front = Faulty(app(new_store()), lambda path, n: (status, body) if "limits" in path else None)
    failure(connection(serve(front)), lambda c: c.limits(), kind)
    assert front.seen["/services/data/v62.0/limits"] == 1


def test_a_query_error_is_told_without_the_query(serve: Serve) -> None:
    url = serve(app(new_store()))
    soql = "SELECT Nope FROM Contact WHERE Email = 'ann@private.example'"
    error = failure(connection(url), lambda c: by_rest(c, soql), RequestRejected)
    assert "No such column 'Nope' on entity 'Contact'" in str(error)
    assert "private.example" not in str(error)


@known_failure("airbytehq/airbyte#27048")
def test_a_total_that_does_not_come_true_fails(serve: Serve) -> None:
    made = app(new_store(), SalesforceOptions(page_size=50))
    body = b'{"totalSize":2,"done":true,"records":[]}'
    front = Faulty(made, lambda path, n: (200, body) if "/query/" in path else None)
    error = failure(connection(serve(front)), by_rest, IncompleteRead)
    assert "records of Contact and sent 50" in str(error)


@pytest.mark.parametrize("page", [30, 50_000])
@known_failure("simple-salesforce/simple-salesforce#693", "jsforce/jsforce#1278")
def test_bulk_gives_what_rest_gives(serve: Serve, page: int) -> None:
    made = connection(serve(app(new_store(), SalesforceOptions(bulk_page_rows=page))))
    rest, bulk = use(made, by_rest), use(made, by_bulk)

    def as_bulk(value: Any) -> Any:
        return value if value is None or isinstance(value, str) else str(value).lower()

    assert bulk == [{k: as_bulk(v).replace("+0000", "Z") if v is not None else None for k, v in row.items()} for row in rest]
    assert any("\n" in (row["Description"] or "") for row in bulk)
    assert any(row["IsDeleted"] == "true" for row in bulk)


def test_a_bulk_job_is_waited_for_and_tidied_away(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    front = Faulty(app(new_store(), SalesforceOptions(bulk_job_seconds=0.3)), lambda path, n: None)
    made = connection(serve(front))
    assert use(made, lambda c: by_bulk(c, "SELECT Id FROM Account"))
    job = next(path for path in front.seen if "/jobs/query/" in path and not path.endswith("results"))
    assert front.seen[job] > 3
    assert list(tmp_path.iterdir()) == []

    async def jobs(client: Salesforce) -> Any:
        return await client._get("jobs/query")

    assert use(made, jobs)["records"] == []


def test_an_object_without_records_has_no_bulk_rows(serve: Serve) -> None:
    assert use(connection(serve(app(new_store()))), lambda c: by_bulk(c, "SELECT Id FROM Account WHERE Name = 'nobody'")) == []


def test_a_failed_bulk_job_is_reported(serve: Serve) -> None:
    made = connection(serve(app(new_store(), SalesforceOptions(bulk_fails=frozenset({"Contact"})))))
    error = failure(made, by_bulk, RequestRejected)
    assert "the bulk query of Contact is Failed (InvalidBatch : Failed to process query)" in str(error)


@known_failure("airbytehq/airbyte#27048")
def test_bulk_rows_that_do_not_arrive_fail(serve: Serve) -> None:
    class Short:
        """Leaves the last line of each result page out."""

        def __init__(self, inner: ASGIApp):
            self.inner = inner

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if not scope["path"].endswith("results"):
                await self.inner(scope, receive, send)
                return
            body = b""

            async def hold(message: Any) -> None:
                nonlocal body
                if message["type"] == "http.response.start":
                    await send({**message, "headers": [h for h in message["headers"] if h[0] != b"content-length"]})
                    return
                body += message.get("body", b"")
                if not message.get("more_body"):
                    await send({"type": "http.response.body", "body": b"".join(body.splitlines(keepends=True)[:-1])})

            plain = {**scope, "headers": [h for h in scope["headers"] if h[0] != b"accept-encoding"]}
            await self.inner(plain, receive, hold)

    made = connection(serve(Short(app(new_store()))))
    failure(made, lambda c: by_bulk(c, "SELECT Id FROM Account"), IncompleteRead)


def test_the_reserve_of_daily_calls_is_left_to_others(serve: Serve) -> None:
    made = app(new_store(), SalesforceOptions(daily_calls=10))
    url = serve(made)

    async def work(client: Salesforce) -> None:
        for _ in range(10):
            await client.limits()

    error = failure(connection(url, daily_call_reserve=0.4), work, QuotaExhausted)
    assert "only 3 of the org's 10 API calls" in str(error)
    assert made.state.org.calls_today == 7


def test_deletions_are_listed_with_the_time_that_they_cover(serve: Serve) -> None:
    store = new_store()
    at = datetime.now(UTC).replace(second=30) - timedelta(minutes=10)
    person = next(p for p in store.live_people() if p.startswith("003"))
    store.delete_person(person, at)
    store.purge(person)
    url = serve(app(store))
    found = use(connection(url), lambda c: c.deleted("Contact", at - timedelta(minutes=2), at + timedelta(minutes=2)))
    assert found.ids == [person]
    assert found.covered == (at + timedelta(minutes=2)).replace(second=0, microsecond=0)


def test_fields_carry_what_describe_says(serve: Serve) -> None:
    fields = {f.name: f for f in use(connection(serve(app(new_store()))), lambda c: c.describe_fields("Contact"))}
    assert (fields["LeadScore__c"].type, fields["LeadScore__c"].custom) == ("double", True)
    assert fields["EmailDomain__c"].calculated
    assert fields["MailingAddress"].type == "address"


def test_record_counts_are_given_for_empty_objects_too(serve: Serve) -> None:
    store = new_store()
    counts = use(connection(serve(app(store))), lambda c: c.record_count(["Contact", "Task"]))
    assert counts == {"Contact": store.counts()["Contact"], "Task": 0}


def test_calls_are_counted(serve: Serve) -> None:
    async def work(client: Salesforce) -> int:
        await client.limits()
        await client.describe("Contact")
        await client.describe("Contact")
        return client.calls.total()

    assert use(connection(serve(app(new_store()))), work) == 3

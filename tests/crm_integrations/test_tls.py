"""TLS against real servers on this machine: who is spoken to, and who is refused."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cdp_pipelines.config import connection_from_config
from cdp_pipelines.crm_integrations import tls
from cdp_pipelines.crm_integrations.base_crm import ConnectionTest
from cdp_pipelines.sources import registry

TOKEN = "pat-na1-that-must-not-reach-a-stranger"


class Portal(BaseHTTPRequestHandler):
    """Answers every call as HubSpot's account details, and counts them."""

    calls = 0

    def do_GET(self) -> None:
        type(self).calls += 1
        body = b'{"portalId": 7}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A handshake that fails is what is tested."""


def certificate(folder: Path, *, host: str = "localhost", ends_in_days: int = 30) -> Path:
    """A self-signed certificate with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    names: list[x509.GeneralName] = [x509.DNSName(host)]
    if host == "localhost":
        names.append(x509.IPAddress(ip_address("127.0.0.1")))
    made = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=60)).not_valid_after(now + timedelta(days=ends_in_days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = folder / f"{host}.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


Serve = Callable[..., str]


@pytest.fixture
def serve_tls() -> Iterator[Serve]:
    """`serve_tls(certificate)` gives the base URL of a server with it; `newest` is the highest version of TLS that it speaks."""
    servers: list[ThreadingHTTPServer] = []

    def serve(path: Path, newest: ssl.TLSVersion | None = None) -> str:
        server = Quiet(("127.0.0.1", 0), Portal)
        servers.append(server)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        if newest is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, newest
            context.set_ciphers("ALL:@SECLEVEL=0")  # OpenSSL itself would not let it speak so old a version
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return f"https://localhost:{server.server_address[1]}"

    Portal.calls = 0
    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def tried(url: str) -> tuple[ConnectionTest, int]:
    """The test of a connection to a server, and how often it was tried."""

    async def go() -> tuple[ConnectionTest, int]:
        async with registry.client(
            connection_from_config("hubspot", {"access_token": TOKEN, "base_url": url, "timeout_seconds": 5})
        ) as client:
            return await client.test_connection(), client.calls.total()

    return asyncio.run(go())


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_with_a_certificate_of_a_known_authority_is_spoken_to(tmp_path, monkeypatch, serve_tls, newest):
    path = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    test, _ = tried(serve_tls(path, newest))
    assert test.ok, test.problem
    assert test.account == "portal 7"


@pytest.mark.parametrize(
    ("host", "ends_in_days", "known", "says"),
    [
        ("localhost", 30, False, "self-signed certificate"),
        ("localhost", -1, True, "certificate has expired"),
        ("elsewhere.example", 30, True, "Hostname mismatch"),
    ],
)
def test_a_certificate_that_proves_nothing_is_refused_at_once(tmp_path, monkeypatch, serve_tls, host, ends_in_days, known, says):
    path = certificate(tmp_path, host=host, ends_in_days=ends_in_days)
    if known:
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
    test, calls = tried(serve_tls(path))
    assert not test.ok
    assert test.problem is not None
    assert test.problem.startswith("localhost shows a certificate that is not accepted (")
    assert says in test.problem
    assert "verification cannot be turned off" in (test.remedy or "")
    assert (calls, Portal.calls) == (1, 0)


def test_a_server_that_speaks_nothing_newer_than_tls_1_1_is_refused(tmp_path, monkeypatch, serve_tls):
    path = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    url = serve_tls(path, ssl.TLSVersion.TLSv1_1)
    port = int(url.rpartition(":")[2])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old = ssl.create_default_context(cafile=str(path))
        old.minimum_version = ssl.TLSVersion.TLSv1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_connection(("127.0.0.1", port)) as plain, old.wrap_socket(plain, server_hostname="localhost") as spoken:
        assert spoken.version() == "TLSv1.1"  # it does answer whoever takes that
    test, calls = tried(url)
    assert test.problem == "localhost does not speak TLS 1.2 or later."
    assert (calls, Portal.calls) == (1, 0)


def test_a_client_that_would_take_old_versions_is_kept_from_it_by_our_own_minimum(tmp_path, monkeypatch, serve_tls):
    """The refusal is ours, not only that of how OpenSSL happens to be built here."""
    path = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    context = tls.context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    port = int(serve_tls(path, ssl.TLSVersion.TLSv1_1).rpartition(":")[2])
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        pytest.raises(ssl.SSLError, match=r"PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL"),
    ):
        context.wrap_socket(plain, server_hostname="localhost")
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname

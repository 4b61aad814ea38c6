"""How to sign in to Salesforce: the four grants, the assertion of the JWT one, and a refresh token that is renewed as it is used.

Source: Salesforce's OAuth pages (JWT bearer flow, refresh token rotation).
"""

from __future__ import annotations

import base64
import json
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cdp_pipelines.config import LOOPBACK, SalesforceConnection
from cdp_pipelines.crm_integrations.base_crm import AuthenticationError
from cdp_pipelines.private_files import write_private
from cdp_pipelines.scrubbing import know, know_key
from cdp_pipelines.secret_sources import BadSecretFile, check_private

log = logging.getLogger(__name__)

# Salesforce takes three minutes at most; clocks differ.
ASSERTION_SECONDS = 120


@dataclass(frozen=True)
class Session:
    """A sign-in: the token, where the org's API is, the identity URL that names org and user, and the token's scopes."""

    token: str = field(repr=False)
    instance_url: str
    identity: str
    scope: str = ""


class SignIn:
    """The token requests of one connection. `unsaved` is true once a renewed refresh token is known to this process only."""

    def __init__(self, connection: SalesforceConnection):
        self._connection = connection
        self._refresh_token: str | None = None
        self.unsaved = False

    @property
    def url(self) -> str:
        """The token endpoint."""
        return f"{self._connection.login_url}/services/oauth2/token"

    def form(self) -> dict[str, str]:
        """The token request's form, by the credentials that are there. Raises AuthenticationError for a key or token that cannot be read."""
        c = self._connection
        form = {"client_id": c.client_id or ""}
        if c.client_secret:
            form["client_secret"] = c.client_secret.get_secret_value()
        given = c.refresh_token.get_secret_value() if c.refresh_token else None
        if not self.unsaved:
            # What the file has may be newer than what this process knows: another one may have renewed it.
            self._refresh_token = _stored(c) or self._refresh_token or given
        know(self._refresh_token)
        if self._refresh_token:
            return form | {"grant_type": "refresh_token", "refresh_token": self._refresh_token}
        if c.private_key:
            know(assertion := self._assertion())
            return {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}
        if c.username and c.password:
            return form | {"grant_type": "password", "username": c.username, "password": c.password.get_secret_value()}
        return form | {"grant_type": "client_credentials"}

    def session(self, answer: dict[str, Any]) -> Session:
        """What the token endpoint gave; a renewed refresh token is stored. Raises AuthenticationError for an address that is not https."""
        know(str(answer.get("access_token") or ""), str(answer.get("refresh_token") or ""))
        if renewed := answer.get("refresh_token"):
            self._renewed(str(renewed))
        instance = str(answer.get("instance_url", "")).rstrip("/")
        parts = urlsplit(instance)
        if not answer.get("access_token") or not (parts.scheme == "https" or parts.hostname in LOOPBACK):
            raise AuthenticationError(self._connection.name, "the sign-in gave no token or no https address.", "Check login_url.")
        return Session(answer["access_token"], instance, answer.get("id", ""), str(answer.get("scope") or ""))

    def _renewed(self, token: str) -> None:
        if token == self._refresh_token:
            return
        self._refresh_token = token
        remedy = "Set %s to a file that keeps it."
        if path := self._connection.refresh_token_file:
            try:
                write_private(path.expanduser(), token.encode())
            except OSError as error:
                # This process goes on with it; the next one has to be told.
                remedy = f"The file of %s cannot be written ({error.strerror}): mend that while this process runs, which keeps the token."
            else:
                self.unsaved = False
                return
        self.unsaved = True
        log.warning(
            f"%s: Salesforce has renewed the refresh token, and the old one is no longer good. {remedy}",
            self._connection.name, self._connection.variable("refresh_token_file"),
        )  # fmt: skip

    def _assertion(self) -> str:
        c = self._connection
        test = "test.salesforce.com" in c.login_url or ".sandbox." in c.login_url
        audience = "https://test.salesforce.com" if test else "https://login.salesforce.com"
        claims = {"iss": c.client_id, "sub": c.username, "aud": audience, "exp": int(time.time()) + ASSERTION_SECONDS}
        signed = b".".join(_encoded(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT"}, claims))
        return b".".join([signed, _encoded(_sign(c, signed))]).decode()


def _sign(connection: SalesforceConnection, content: bytes) -> bytes:
    # Only this way of signing in needs the library.
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    given = connection.private_key.get_secret_value().strip() if connection.private_key else ""
    try:
        # A PEM in one line of an .env file has \n for its line ends.
        pem = given.replace("\\n", "\n") if given.startswith("-----") else _private_text(connection, "private_key", Path(given))
        know_key(pem)
        key = load_pem_private_key(pem.encode(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise _bad_key(connection) from error
    if not isinstance(key, RSAPrivateKey):
        raise _bad_key(connection)
    return key.sign(content, PKCS1v15(), SHA256())


def _private_text(connection: SalesforceConnection, field: str, path: Path) -> str:
    """What is in a file that only its owner, or a group, may read. Raises AuthenticationError, and OSError as reading does."""
    try:
        check_private(path.expanduser())
    except BadSecretFile as bad:
        problem = f"{connection.variable(field)} names {path}, which {bad.problem}."
        raise AuthenticationError(connection.name, problem, bad.remedy) from None
    return path.expanduser().read_text()


def _bad_key(connection: SalesforceConnection) -> AuthenticationError:
    remedy = f"Set {connection.variable('private_key')} to an RSA key in PEM without a passphrase, or to the path of one."
    return AuthenticationError(connection.name, "the private key cannot be read.", remedy)


def _encoded(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def _stored(connection: SalesforceConnection) -> str | None:
    path = connection.refresh_token_file
    try:
        return _private_text(connection, "refresh_token_file", path).strip() or None if path else None
    except FileNotFoundError:
        return None
    except OSError as error:
        problem = f"the file with the refresh token cannot be read ({type(error).__name__})."
        raise AuthenticationError(connection.name, problem, f"Check {connection.variable('refresh_token_file')}.") from error

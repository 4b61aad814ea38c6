"""Secrets that are made up to be looked for: one for every secret setting, an API that repeats whatever it is sent, and a search through files.

A canary begins and ends with letters and digits that no encoding but base64 and hexadecimal changes, so that a part of it that is cut off is found
too; between them is what addresses, forms, JSON and HTML escape.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import sqlite3
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cdp_pipelines import database
from cdp_pipelines.config import CONNECTION_CLASSES, Kind, Settings
from cdp_pipelines.secret_sources import is_secret

ENDS = 16


@dataclass
class Canaries:
    """Values by the name of their setting or of the answer that they come in."""

    values: dict[str, str] = field(default_factory=dict)

    def make(self, name: str, between: str = "/+=&%\"' <") -> str:
        """A new one."""
        value = f"cAn{uuid.uuid4().hex}"[:ENDS] + between + f"{uuid.uuid4().hex}yRa"[-ENDS:]
        self.values[name] = value
        return value

    def add(self, name: str, value: str) -> None:
        """One that somebody else made."""
        self.values[name] = value

    def needles(self) -> Iterator[tuple[str, bytes]]:
        """What to look for, with the name of the secret and how it is spelt."""
        for name, value in self.values.items():
            for end in {value[:ENDS], value[-ENDS:]} if len(value) > 2 * ENDS else {value}:
                raw = end.encode()
                yield f"{name}, as it is", raw
                yield f"{name}, in hexadecimal", binascii.hexlify(raw)
                for before in range(3):
                    encoded = base64.b64encode(b"\0" * before + raw)
                    part = encoded[(0, 2, 3)[before] : (before + len(raw)) * 8 // 6]
                    yield f"{name}, in base64", part
                    yield f"{name}, in base64", part.translate(bytes.maketrans(b"+/", b"-_"))


def settings_with(canaries: Canaries, private_key: str) -> dict[str, str]:
    """The environment with a canary in every setting that is a secret, and enough of the others that connections of every kind can be tried.

    Salesforce takes the first of several ways to sign in, so that it has a connection for each.
    """
    environment: dict[str, str] = {}
    for name, of in Settings.model_fields.items():
        if is_secret(of):
            variable = f"CDP_{name}".upper()
            environment[variable] = canaries.make(variable, "x")
    prefixes: dict[Kind, tuple[str, ...]] = {
        "salesforce": ("SALESFORCE", "RENEWED", "SIGNED"),
        "hubspot": ("HUBSPOT",),
        "marketo": ("MARKETO",),
    }
    for kind, names in prefixes.items():
        for prefix in names:
            for name, of in CONNECTION_CLASSES[kind].model_fields.items():
                variable = f"{prefix}_{name}".upper()
                if is_secret(of) and name not in ("refresh_token", "private_key"):
                    environment[variable] = canaries.make(variable)
    environment["RENEWED_REFRESH_TOKEN"] = canaries.make("RENEWED_REFRESH_TOKEN")
    environment["SIGNED_PRIVATE_KEY"] = private_key
    canaries.add("SIGNED_PRIVATE_KEY", private_key.splitlines()[2])
    return environment


@dataclass
class Echo:
    """An API of all three vendors that refuses with this status and repeats the whole request, in each vendor's form of an error.

    With `tokens` sign-ins succeed, with canaries for tokens, so that the calls after them are repeated.
    """

    canaries: Canaries
    status: int = 401
    tokens: bool = False
    seen: int = 0

    def app(self) -> Starlette:
        """The application."""
        methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
        return Starlette(routes=[Route("/{path:path}", self.answer, methods=methods)])

    async def answer(self, request: Request) -> Response:
        """One answer."""
        self.seen += 1
        if self.tokens and request.url.path in ("/services/oauth2/token", "/identity/oauth/token"):
            base = f"{request.url.scheme}://{request.url.netloc}"
            access, renewed = (self.canaries.make(f"{kind} {self.seen}", "/+=.") for kind in ("access token", "renewed refresh token"))
            return JSONResponse(
                {"access_token": access, "refresh_token": renewed, "instance_url": base, "id": f"{base}/id/o/u", "expires_in": 3600}
            )
        body = (await request.body()).decode(errors="replace")
        said = f"You sent {request.method} {request.url} {dict(request.headers)} {body}"
        return JSONResponse(
            {
                "status": "error", "message": said, "category": said, "errorCode": said, "error": said, "error_description": said,
                "success": False, "errors": [{"code": "1003", "message": said}], "correlationId": said,
            },
            self.status,
        )  # fmt: skip


def found(root: Path, canaries: Canaries, settings: Settings | None = None) -> list[str]:
    """Every canary in any file below a folder: which, how spelt, and where. Compressed, SQLite's and DuckDB's files are opened, the last with the
    settings' key.
    """
    needles = list(canaries.needles())
    hits = []
    for path in sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink()):
        content = b"\0".join(_contents(path, settings or Settings()))
        hits += [f"{name} in {path.relative_to(root)}: ...{_around(content, needle)}..." for name, needle in needles if needle in content]
    return hits


def _contents(path: Path, settings: Settings) -> Iterator[bytes]:
    raw = path.read_bytes()
    yield raw
    if raw[:2] == b"\x1f\x8b":
        yield gzip.decompress(raw)
    elif raw[8:12] == b"DUCK":
        with database.connect(settings, path, read_only=True) as db:
            tables = db.execute(
                "select schema_name, table_name from duckdb_tables() where not internal and database_name = current_database()"
            )
            for schema, table in tables.fetchall():
                for (row,) in db.execute(f'select t::varchar from "{schema}"."{table}" t').fetchall():
                    yield row.encode()
    elif raw.startswith(b"SQLite format 3"):
        # A value that is longer than a page is in pieces.
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            for (table,) in db.execute("select name from sqlite_master where type = 'table'").fetchall():
                for row in db.execute(f'select * from "{table}"'):
                    yield "\0".join(v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in row).encode()


def _around(content: bytes, needle: bytes) -> str:
    at = content.index(needle)
    return content[max(0, at - 80) : at].decode(errors="replace")


def planted(root: Path, canaries: Mapping[str, str]) -> list[bytes]:
    """The spellings by which the search itself is tried: one file each, below a folder."""
    value = next(iter(canaries.values())).encode()
    texts = [value, value[:ENDS], base64.b64encode(b"an-id:" + value), base64.urlsafe_b64encode(b"x" + value), binascii.hexlify(value)]
    root.mkdir(parents=True)
    for number, text in enumerate(texts):
        (root / f"{number}").write_bytes(b"before " + text + b" after")
    (root / "compressed.gz").write_bytes(gzip.compress(value))
    with duckdb.connect(str(root / "some.duckdb")) as db:
        db.execute("create table t as select ?::varchar as c from range(5000)", [value.decode()])
    with closing(sqlite3.connect(root / "some.sqlite")) as db:
        db.execute("create table t(c text)")
        db.execute("insert into t values (?)", ["x" * 9000 + value.decode()])
        db.commit()
    return texts

"""The log's files under `audit/`: `log.jsonl`, one entry a line, only ever added to; `anchor.json`, how long it is and how it ends, under a MAC.

Several processes may add: a lock file lets one at a time. A line is on the disk before the anchor speaks of it, and the operation goes on
only then. What a kill left behind the anchor is taken in when it is whole and ours, and cut off, with an entry that says so, when it is torn.
"""

from __future__ import annotations

import getpass
import hmac
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from filelock import FileLock, Timeout

from cdp_pipelines.audit import entry as entries
from cdp_pipelines.audit import keys
from cdp_pipelines.audit.entry import BEGINNING, Operation
from cdp_pipelines.audit.vault import Vault
from cdp_pipelines.config import Settings
from cdp_pipelines.private_files import write_private
from cdp_pipelines.scrubbing import scrub_all

VERIFIED = "verified.json"
"""Beside the log: until where it was last found right (`verifying.verify_new`)."""


class AuditBroken(Exception):
    """The log is not what was written, or cannot be written, so that nothing may be added. The text says what to do."""


@dataclass(frozen=True)
class Anchor:
    """How many entries and bytes the log has, and the hash of its last entry; `key` names the key."""

    count: int
    bytes: int
    head: str
    key: str


class AuditLog:
    """The log of a data directory."""

    def __init__(self, settings: Settings):
        self.folder = settings.audit_dir
        self.path, self.anchor_path = self.folder / "log.jsonl", self.folder / "anchor.json"
        self._settings = settings
        self.key = keys.load(settings)
        self.vault = Vault(self.folder, self.key)

    def append(self, operations: Sequence[Operation]) -> None:
        """Write operations down, in order; on return they are on the disk. Raises AuditBroken."""
        if not operations:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with FileLock(self.folder / "lock", timeout=self._settings.lock_wait_seconds, mode=0o600):
                self._add(self._tail(), [self._body(operation) for operation in operations])
        except Timeout:
            raise AuditBroken(f"{self.path} has been in use by another process for too long. Run this again when it has ended.") from None
        except OSError as error:
            raise AuditBroken(f"{self.path} cannot be written ({error.strerror}), and nothing is done that is not written down.") from error

    def entries(self) -> Iterator[dict[str, Any]]:
        """The entries that can be read, oldest first; `verify` says whether they are right."""
        if self.path.exists():
            with self.path.open("rb") as file:
                for line in file:
                    found, _ = entries.read(self.key, line.rstrip(b"\n"))
                    if found is not None:
                        yield found

    def anchor(self) -> Anchor | None:
        """The anchor; None where there is none. Raises AuditBroken for one that is not ours."""
        try:
            raw = orjson.loads(self.anchor_path.read_bytes())
            mac, anchor = raw.pop("mac"), Anchor(**raw)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise AuditBroken(f"{self.anchor_path} was changed: it is no anchor. {_REMEDY}") from None
        if anchor.key != self.key.id:
            raise AuditBroken(
                f"{self.anchor_path} was written with another key. Set CDP_PRIVACY_KEY (or {keys.key_file(self._settings)}) back."
            )
        if not hmac.compare_digest(self._mac(anchor), str(mac)):
            raise AuditBroken(f"{self.anchor_path} was changed after it was written. {_REMEDY}")
        return anchor

    def begin_anew(self, *, why: str) -> Path:
        """Set a log that cannot be added to aside, and begin another one, which says so. Gives where the old one is now."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(self.folder / "lock", timeout=self._settings.lock_wait_seconds, mode=0o600):
            aside = self.folder / f"set-aside-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
            aside.mkdir(mode=0o700)
            lines = self.path.read_bytes().count(b"\n") if self.path.exists() else 0
            for path in (self.anchor_path, self.path, self.folder / VERIFIED):
                if path.exists():
                    os.replace(path, aside / path.name)
            about = {"set_aside": aside.name, "lines": lines, "why": why}
            self._add(self._tail(), [self._body(Operation("audit_begun_anew", "audit log", "ok", about=about))])
        return aside

    def _body(self, operation: Operation) -> dict[str, Any]:
        body: dict[str, Any] = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"), "who": operation.who or login(), "via": _program(),
            "what": operation.what, "on": operation.on, "count": operation.count, "result": operation.result, "about": scrub_all(operation.about),
        }  # fmt: skip
        if operation.subjects:
            body["subjects"] = sorted(set(operation.subjects))
        if operation.payload is not None:
            body["sealed"] = operation.payload
        return body

    def _tail(self) -> Anchor:
        """Where the next entry goes, after a look at what the last writer left. Raises AuditBroken."""
        anchor = self.anchor()
        size = self.path.stat().st_size if self.path.exists() else 0
        if anchor is None:
            if size:
                raise AuditBroken(f"{self.anchor_path} is missing, and {self.path.name} is not empty. {_REMEDY}")
            anchor = Anchor(0, 0, BEGINNING, self.key.id)
            self._write_anchor(anchor)
        if size < anchor.bytes:
            raise AuditBroken(f"{self.path} was cut: it has {size:,} bytes of {anchor.bytes:,}. {_REMEDY}")
        return self._taken_in(anchor) if size > anchor.bytes else anchor

    def _taken_in(self, anchor: Anchor) -> Anchor:
        """The anchor after what stands behind it: whole entries of ours, and a torn one at the end."""
        with self.path.open("rb") as file:
            file.seek(anchor.bytes)
            *lines, torn = file.read().split(b"\n")
        for line in lines:
            found, wrong = entries.read(self.key, line)
            if found is None or wrong or found["prev"] != anchor.head or found["n"] != anchor.count + 1:
                raise AuditBroken(f"{self.path}, line {anchor.count + 1}: {wrong or 'does not follow the one before'}. {_REMEDY}")
            anchor = Anchor(anchor.count + 1, anchor.bytes + len(line) + 1, found["hash"], anchor.key)
        if torn:
            with self.path.open("rb+") as file:
                file.truncate(anchor.bytes)
                os.fsync(file.fileno())
            return self._add(anchor, [self._body(Operation("audit_repaired", "audit log", "ok", about={"torn_bytes_cut_off": len(torn)}))])
        return anchor

    def _add(self, anchor: Anchor, bodies: Sequence[dict[str, Any]]) -> Anchor:
        sealed = [body for body in bodies if "sealed" in body]
        for body, payload in zip(sealed, self.vault.seal([(body["subjects"], body["sealed"]) for body in sealed]), strict=True):
            body["sealed"] = payload
        count, head, lines = anchor.count, anchor.head, bytearray()
        for body in bodies:
            count += 1
            line, head = entries.line_of(self.key, {"n": count, **body}, head)
            lines += line + b"\n"
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
        made = Anchor(count, anchor.bytes + len(lines), head, anchor.key)
        self._write_anchor(made)
        return made

    def _write_anchor(self, anchor: Anchor) -> None:
        write_private(self.anchor_path, orjson.dumps({**asdict(anchor), "mac": self._mac(anchor)}))

    def _mac(self, anchor: Anchor) -> str:
        return self.key.mac("chain", orjson.dumps(asdict(anchor)))


_REMEDY = (
    "`cdp audit verify` says where; put the files back from a backup, or begin anew beside them with `cdp audit begin-anew --why ...`."
)


def login() -> str:
    """Who runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return f"user {os.getuid()}"


def _program() -> str:
    return os.path.basename(sys.argv[0]) or "python"

"""Is the log what was written? Every entry is looked at, and each place that is wrong is named."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import orjson

from cdp_pipelines.audit import entry as entries
from cdp_pipelines.audit.entry import BEGINNING
from cdp_pipelines.audit.log import VERIFIED, Anchor, AuditBroken, AuditLog
from cdp_pipelines.private_files import write_private

MOST = 50
"""Places that are named; more are counted."""
# A log of so many entries is looked at whole every time (about a tenth of a second), a longer one once a day.
SHORT, WHOLE_AFTER = 10_000, timedelta(days=1)


@dataclass
class Verified:
    """What was found. `problems` name places; `notes` are no fault. `head` is the last entry's hash: keep it elsewhere, and compare later."""

    count: int = 0
    head: str = BEGINNING
    problems: list[str] = field(default_factory=list)
    more: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.problems

    def wrong(self, text: str) -> None:
        """Note a problem."""
        if len(self.problems) < MOST:
            self.problems.append(text)
        else:
            self.more += 1


def verify(log: AuditLog, *, expected: tuple[int, str] | None = None) -> Verified:
    """Look at the whole log. `expected` is a number of entries and the hash of the last of them that were noted elsewhere before."""
    found = Verified()
    anchor: Anchor | None = None
    try:
        anchor = log.anchor()
        if anchor is None and log.path.exists() and log.path.stat().st_size:
            found.wrong(f"{log.anchor_path.name} is missing, so whether entries are missing at the end cannot be told.")
    except AuditBroken as error:
        found.wrong(str(error))
    hash_at = _chain(log, found, anchor, _Place())
    if anchor is not None:
        _against(found, anchor, hash_at)
    if expected and hash_at.get(expected[0]) != expected[1]:
        found.wrong(f"entry {expected[0]:,} is not the one that was noted: the log is older than that, or another one.")
    for aside in sorted(log.folder.glob("set-aside-*")):
        found.notes.append(f"an earlier log, found broken, lies in {aside.name}.")
    return found


@dataclass(frozen=True)
class _Place:
    """Until where a log was found to be right: how many entries and bytes, the hash of the last one, and when the whole of it was looked at."""

    count: int = 0
    bytes: int = 0
    head: str = BEGINNING
    whole_at: str = ""


def verify_new(log: AuditLog, now: datetime) -> list[str]:
    """What is wrong with a log, for whoever looks often: what was added since it was last found right, and the whole of a short log, or once a
    day. The place is kept beside the log, under its key. Raises AuditBroken.
    """
    path = log.folder / VERIFIED
    place, anchor = _place(log, path), log.anchor()
    short = anchor is None or anchor.count <= SHORT
    if short or place is None or place.count > anchor.count or now - datetime.fromisoformat(place.whole_at) > WHOLE_AFTER:
        found = verify(log, expected=(place.count, place.head) if place and place.count else None)
        place = _Place(whole_at=now.isoformat())
    else:
        found = Verified()
        _against(found, anchor, _chain(log, found, anchor, place))
    if found.ok and anchor is not None:
        made = _Place(anchor.count, anchor.bytes, anchor.head, place.whole_at)
        write_private(path, orjson.dumps({**asdict(made), "mac": _mac(log, made)}))
    return found.problems


def _place(log: AuditLog, path: Path) -> _Place | None:
    """The place; None where there is none, or one that is not ours."""
    try:
        raw = orjson.loads(path.read_bytes())
        mac, place = raw.pop("mac"), _Place(**raw)
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return place if hmac.compare_digest(_mac(log, place), str(mac)) else None


def _mac(log: AuditLog, place: _Place) -> str:
    return log.key.mac("chain", b"verified\n" + orjson.dumps(asdict(place)))


def _lines(log: AuditLog, start: int) -> Iterator[bytes]:
    if log.path.exists():
        with log.path.open("rb") as file:
            file.seek(start)
            yield from file


def _chain(log: AuditLog, found: Verified, anchor: Anchor | None, start: _Place) -> dict[int, str]:
    """Follow the chain from a place on; gives the hashes by number."""
    hash_at: dict[int, str] = {start.count: start.head} if start.count else {}
    # None: the line before cannot be read, so that nothing can be said of what follows it.
    previous: str | None = start.head
    number, place = start.count, start.bytes
    for position, line in enumerate(_lines(log, start.bytes), start=start.count + 1):
        behind = anchor is not None and place >= anchor.bytes
        place += len(line)
        if not line.endswith(b"\n") and behind:
            found.notes.append(
                f"line {position:,} is torn (a process was killed while it wrote); the next operation cuts it off and says so."
            )
            break
        whole = line.endswith(b"\n")
        one, wrong = entries.read(log.key, line.rstrip(b"\n"))
        if one is None:
            found.wrong(f"line {position:,} {wrong if whole else 'is torn'} (entry {number + 1:,} is expected there).")
            previous, number = None, number + 1
            continue
        if wrong or not whole:
            found.wrong(f"line {position:,}, entry {one['n']:,}, {wrong or 'has lost its end'}.")
        _follows(found, position, one["n"], number + 1, follows=previous is None or one["prev"] == previous)
        previous, number = one["hash"], one["n"]
        hash_at[number] = previous
        found.count, found.head = found.count + 1, previous
    return hash_at


def _follows(found: Verified, line: int, number: int, expected: int, *, follows: bool) -> None:
    if number > expected:
        missing = f"entry {expected:,} is" if number == expected + 1 else f"entries {expected:,} to {number - 1:,} are"
        found.wrong(f"line {line:,}: {missing} missing before entry {number:,}, or moved.")
    elif number < expected:
        found.wrong(f"line {line:,}: entry {number:,} stands where entry {expected:,} is expected; it was moved or copied.")
    elif not follows:
        found.wrong(f"line {line:,}: entry {number:,} does not follow the entry before it, which is another one than was written.")


def _against(found: Verified, anchor: Anchor, hash_at: dict[int, str]) -> None:
    last = max(hash_at, default=0)
    if last < anchor.count:
        found.wrong(f"entries {last + 1:,} to {anchor.count:,} are missing at the end: the anchor knows of {anchor.count:,}.")
    elif anchor.count and hash_at.get(anchor.count) != anchor.head:
        found.wrong(f"entry {anchor.count:,} is not the one that the anchor knows.")
    if last > anchor.count:
        found.notes.append(f"{last - anchor.count:,} entries stand behind the anchor (a process was killed before it moved it).")

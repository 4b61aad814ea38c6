"""Is the log what was written? Every entry is looked at, and each place that is wrong is named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from cdp_pipelines.audit import entry as entries
from cdp_pipelines.audit.entry import BEGINNING
from cdp_pipelines.audit.log import Anchor, AuditBroken, AuditLog

MOST = 50
"""Places that are named; more are counted."""


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
    hash_at = _chain(log, found, anchor)
    if anchor is not None:
        _against(found, anchor, hash_at)
    if expected and hash_at.get(expected[0]) != expected[1]:
        found.wrong(f"entry {expected[0]:,} is not the one that was noted: the log is older than that, or another one.")
    for aside in sorted(log.folder.glob("set-aside-*")):
        found.notes.append(f"an earlier log, found broken, lies in {aside.name}.")
    return found


def _lines(log: AuditLog) -> Iterator[bytes]:
    if log.path.exists():
        with log.path.open("rb") as file:
            yield from file


def _chain(log: AuditLog, found: Verified, anchor: Anchor | None) -> dict[int, str]:
    """Follow the chain; gives the hashes by number."""
    hash_at: dict[int, str] = {}
    # None: the line before cannot be read, so that nothing can be said of what follows it.
    previous: str | None = BEGINNING
    number = place = 0
    for position, line in enumerate(_lines(log), start=1):
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

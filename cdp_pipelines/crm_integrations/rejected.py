"""Rows that a CRM sent and that cannot be kept: how many, why, and which, by what they were read for. Never a value of one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from cdp_pipelines.crm_integrations.purpose import purpose

EXAMPLES = 10
NO_KEY = "the row has no key"
WRONG_WIDTH = "the line has another number of values than its file's header"


@dataclass
class Rejected:
    """Rows that were rejected for one reason, and the ids of up to ten of them, where an id could be made out for sure."""

    rows: int = 0
    keys: list[str] = field(default_factory=list)

    def add(self, rows: int, keys: Iterable[str] = ()) -> None:
        """Count some more."""
        self.rows += rows
        self.keys = list(dict.fromkeys([*self.keys, *keys]))[:EXAMPLES]


Reasons = defaultdict[str, Rejected]


def reasons() -> Reasons:
    """Nothing rejected yet, for any reason."""
    return defaultdict(Rejected)


class Rejections:
    """What one client could not make rows of."""

    def __init__(self) -> None:
        self._found: defaultdict[str, Reasons] = defaultdict(reasons)

    def note(self, reason: str, rows: int, keys: Iterable[str] = ()) -> None:
        """Count rows that are left out of what is being read."""
        if rows:
            self._found[purpose.get()][reason].add(rows, keys)

    def of(self, what: str) -> Reasons:
        """What was rejected of one raw table so far."""
        return self._found[what]

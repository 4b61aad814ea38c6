"""A person's values as they may stand in any text: found, and taken out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from cdp_pipelines.privacy.suppression import ERASED


class Needles:
    """What to look for: `values` with their kinds, and records by connection, which stand in texts as `connection:id` and in plans as table rows."""

    def __init__(self, values: Mapping[str, str], records: Mapping[str, Iterable[str]]):
        self.values = dict(values)
        self.records = {connection: sorted(ids) for connection, ids in records.items()}
        spellings = self._spellings()
        parts = [_bounded(text, spellings[text]) for text in sorted(spellings, key=len, reverse=True)]
        for connection, ids in self.records.items():
            one_of = "|".join(map(re.escape, ids))
            parts.append(rf"(?<!\w){re.escape(connection)}:(?:{one_of})(?!\w)")
            parts.append(rf"\| {re.escape(connection)} \| \w+ (?:{one_of}) \|.*?(?=\\n|\n|$)")
        self._pattern = re.compile("|".join(parts), re.IGNORECASE) if parts else None

    def __bool__(self) -> bool:
        return self._pattern is not None

    def without(self, text: str) -> str:
        """A text with each of them replaced."""
        return self._pattern.sub(ERASED, text) if self._pattern else text

    def found_in(self, text: str) -> bool:
        """Whether a text has one."""
        return bool(self._pattern and self._pattern.search(text))

    def encoded(self) -> dict[bytes, str]:
        """The values as bytes, and their kinds: as they are written, in lower case, and as JSON escapes them."""
        return {text.encode(): kind for text, kind in self._spellings().items()}

    def regex(self, *, with_records: bool = False) -> str:
        """The values as a regular expression for DuckDB, which knows no look-around: a value is found inside a longer one too, so that what is
        found is to be looked at again (`found_in`)."""
        parts = [_quoted(text) for text in sorted(self.values)]
        if with_records:
            parts += [f"{_quoted(connection)}:({'|'.join(map(_quoted, ids))})" for connection, ids in self.records.items()]
        return "|".join(parts)

    def of_kinds(self, *kinds: str) -> Needles:
        """The same records, and the values of some kinds."""
        return Needles({text: kind for text, kind in self.values.items() if kind in kinds}, self.records)

    def _spellings(self) -> dict[str, str]:
        return {
            spelling: kind
            for text, kind in self.values.items()
            for spelling in (text, text.lower(), json.dumps(text)[1:-1], json.dumps(text.lower())[1:-1])
        }


def _bounded(text: str, kind: str) -> str:
    """A value that is no part of another one: ann@acme.com is not in joann@acme.com, nor in ann@acme.com.au."""
    before, after = {
        "e-mail address": (r"(?<![\w.+%-])", r"(?![\w-]|\.\w)"),
        "telephone number": (r"(?<!\d)", r"(?!\d)"),
        # A Salesforce id with or without its last three characters. The first fifteen tell records apart by the case of a letter alone.
        "id": (r"(?<!\w)(?-i:", r")(?:\w{3})?(?!\w)"),
    }.get(kind, (r"(?<!\w)", r"(?!\w)"))
    return f"{before}{re.escape(text)}{after}"


def _quoted(text: str) -> str:
    """For RE2: whatever is no letter and no digit is quoted."""
    return "".join(c if c.isalnum() or not c.isascii() else f"\\{c}" for c in text)

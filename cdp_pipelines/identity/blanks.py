"""Words that stand for nothing: what forms, imports and other programs write where a value is missing."""

from __future__ import annotations

# As programs print a missing value (pandas, SQL, JavaScript, Excel), and as people write one. `na` is left out: it is a name too.
WORDS = frozenset({
    "n/a", "n.a.", "#n/a", "<na>", "nan", "null", "(null)", "[null]", "nil", "none", "(none)", "undefined", "unknown", "(unknown)", "[unknown]",
    "not provided", "[not provided]", "not available", "not applicable", "not specified", "unspecified", "no name", "noname", "anonymous",
    "tbd", "tba", "test", "xxx", "blank", "empty", "missing", "nat",
})  # fmt: skip


def filled(text: str | None) -> str | None:
    """The text without blanks around it; None where it says nothing: a word for nothing, or no letter and no digit."""
    if text is None:
        return None
    text = text.strip()
    return text if any(map(str.isalnum, text)) and text.casefold() not in WORDS else None

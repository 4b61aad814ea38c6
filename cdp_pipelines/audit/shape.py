"""A query without what may be personal in it: its words stay, its values and comments do not."""

from __future__ import annotations

import re

import duckdb

LONGEST = 1_000
# What of a token is kept; DuckDB counts a comment to the token before it, and what it cannot take apart as one word.
_KEPT = {
    duckdb.token_type.keyword: re.compile(r"[A-Za-z_]\w*"),
    duckdb.token_type.identifier: re.compile(r'"\w+"|\w+'),
    duckdb.token_type.operator: re.compile(r"""\$\d+|(?:(?!--|/\*)[^\w\s'"$])+"""),
}


def shape_of(query: str) -> str:
    """The query with `?` for each text and number, and for each name that is no single word; without comments."""
    # Offsets count bytes.
    text, tokens = query.encode(), duckdb.tokenize(query)
    parts = []
    for (start, kind), end in zip(tokens, [*(start for start, _ in tokens[1:]), len(text)], strict=True):
        found = _KEPT[kind].match(text[start:end].decode(errors="replace")) if kind in _KEPT else None
        parts.append(found[0] if found else "?")
    return " ".join(parts)[:LONGEST]

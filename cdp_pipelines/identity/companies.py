"""Company names as evidence: one key for every way to write a company, which its domain gives too."""

from __future__ import annotations

import re
import unicodedata

from cdp_pipelines.identity.blanks import filled

_LEGAL_FORMS = frozenset({
    "incorporated", "inc", "corporation", "corp", "company", "co", "limited", "ltd", "llc", "llp", "lp", "pllc", "plc", "pc", "gmbh", "mbh", "ag",
    "kg", "kgaa", "ohg", "ug", "se", "ev", "eg", "ek", "sa", "sas", "sasu", "sarl", "eurl", "srl", "spa", "sl", "slu", "bv", "nv", "vof", "ab",
    "as", "asa", "aps", "oy", "oyj", "kft", "zrt", "doo", "ooo", "oao", "pty", "pte", "pvt", "private", "bhd", "sdn", "kk", "ltda", "eireli",
    "cv", "de", "rl", "sro", "spzoo", "zoo", "sp",
})  # fmt: skip


def company_key(text: str | None) -> str | None:
    """The same text for `Acme, Inc.`, `ACME Inc` and `acme`: letters and digits without accents, blanks or a legal form at the end."""
    if (text := filled(text)) is None:
        return None
    plain = unicodedata.normalize("NFKD", text.casefold()).replace("&", " and ")
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    # S.A. and G.m.b.H. are one word each
    plain = re.sub(r"\b(\w)\.(?=\w\b)", r"\1", plain).replace("g.m.b.h", "gmbh").replace("'", "").replace("’", "")
    words = re.findall(r"\w+", plain)
    if len(words) > 1 and words[0] == "the":
        words = words[1:]
    while len(words) > 1 and words[-1] in (*_LEGAL_FORMS, "and"):
        words = words[:-1]
    return "".join(words) or None

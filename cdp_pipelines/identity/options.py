"""What the resolver can be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """How evidence is read.

    `region` is the two-letter country in which a telephone number is meant that has no country code and whose record names no country.
    `plus_tags` says whether `ann+news@acme.com` is the mailbox of `ann@acme.com` where the provider does not say so itself.

    `twins` matters for civil data alone: whether a family name, date of birth and address in common can be two people's, whose first names and
    national numbers differ. Say false for registers without twins whose first names are keyed badly.

    `put_aside` is a folder for what does not fit in memory, encrypted; None: DuckDB's own, plain.
    """

    region: str = "US"
    plus_tags: bool = True
    twins: bool = True
    put_aside: Path | None = None

"""What the resolver can be told."""

from __future__ import annotations

from dataclasses import dataclass

from cdp_pipelines.database import Aside


@dataclass(frozen=True)
class Options:
    """How evidence is read.

    `region` is the two-letter country in which a telephone number is meant that has no country code and whose record names no country.
    `plus_tags` says whether `ann+news@acme.com` is the mailbox of `ann@acme.com` where the provider does not say so itself.

    `twins` matters for civil data alone: whether a family name, date of birth and address in common can be two people's, whose first names and
    national numbers differ. Say false for registers without twins whose first names are keyed badly.

    `put_aside` is where what does not fit in memory goes; None: for contacts that do.
    """

    region: str = "US"
    plus_tags: bool = True
    twins: bool = True
    put_aside: Aside | None = None

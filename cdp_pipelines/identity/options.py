"""What the resolver can be told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """How evidence is read.

    `region` is the two-letter country in which a telephone number is meant that has no country code and whose record names no country.
    `plus_tags` says whether `ann+news@acme.com` is the mailbox of `ann@acme.com` where the provider does not say so itself.
    """

    region: str = "US"
    plus_tags: bool = True

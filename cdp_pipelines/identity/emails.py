"""E-mail addresses as evidence: one spelling for each mailbox, and whether it can be a person's own."""

from __future__ import annotations

import re
import sys
import unicodedata
from dataclasses import dataclass
from typing import Literal

from rapidfuzz.distance import OSA

from cdp_pipelines.identity.blanks import WORDS

Kind = Literal["personal", "role", "placeholder"]

# Mail providers for the public: colleagues do not share these domains. The last line is reserved for examples (RFC 2606).
_PROVIDERS = frozenset({
    "gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "msn.com", "icloud.com", "me.com", "mac.com", "aol.com", "mail.com",
    "protonmail.com", "proton.me", "pm.me", "fastmail.com", "hey.com", "zoho.com", "tutanota.com", "tuta.io", "gmx.com", "gmx.net", "gmx.de",
    "gmx.at", "gmx.ch", "web.de", "t-online.de", "freenet.de", "posteo.de", "mailbox.org", "orange.fr", "wanadoo.fr", "free.fr", "laposte.net",
    "sfr.fr", "libero.it", "virgilio.it", "tiscali.it", "terra.com.br", "uol.com.br", "bol.com.br", "comcast.net", "verizon.net", "att.net",
    "sbcglobal.net", "bellsouth.net", "cox.net", "charter.net", "earthlink.net", "rogers.com", "shaw.ca", "btinternet.com", "sky.com",
    "ntlworld.com", "bigpond.com", "optusnet.com.au", "xtra.co.nz", "yandex.ru", "yandex.com", "mail.ru", "rambler.ru", "qq.com", "163.com",
    "126.com", "sina.com", "naver.com", "hanmail.net", "daum.net", "rediffmail.com", "seznam.cz", "wp.pl", "o2.pl", "ziggo.nl", "kpnmail.nl",
    "telenet.be", "skynet.be", "bluewin.ch", "duck.com", "privaterelay.appleid.com", "yahoo.com", "ymail.com", "rocketmail.com",
    "example.com", "example.org", "example.net",
})  # fmt: skip
# With a country's ending: yahoo.co.uk, hotmail.fr.
_PROVIDERS_EVERYWHERE = ("yahoo.", "hotmail.", "outlook.", "live.")
# Documented: Gmail and Proton ignore dots (Proton hyphens and underscores too).
_IGNORED = {"gmail.com": ".", "proton.me": ".-_"}
_SAME_PROVIDER = {
    "googlemail.com": "gmail.com",
    "protonmail.com": "proton.me",
    "pm.me": "proton.me",
    "me.com": "icloud.com",
    "mac.com": "icloud.com",
}
# What comes after the sign is a tag of the owner's: Yahoo uses a hyphen.
_TAG = {"yahoo.com": "-"}

# Mailboxes of a function (RFC 2142, and what sites offer for contact); several people read them.
ROLES = frozenset({
    "abuse", "accounting", "accounts", "accountspayable", "admin", "administration", "administrator", "ap", "ar", "backoffice", "billing", "booking",
    "bookings", "careers", "compliance", "contact", "contactus", "customercare", "customerservice", "customersupport", "enquiries", "enquiry",
    "events", "feedback", "finance", "frontdesk", "general", "hello", "help", "helpdesk", "hostmaster", "hr", "info", "information", "inquiries",
    "inquiry", "invoice", "invoices", "it", "jobs", "kontakt", "legal", "list", "mail", "mailbox", "main", "manager", "marketing", "media",
    "members", "newsletter", "no-reply", "noreply", "do-not-reply", "donotreply", "office", "operations", "ops", "orders", "partners", "payroll",
    "postmaster", "pr", "press", "privacy", "procurement", "purchasing", "reception", "recruiting", "recruitment", "registrar", "reservations",
    "sales", "secretary", "security", "service", "services", "shop", "staff", "store", "studio", "subscriptions", "support", "team", "tech",
    "training", "vendors", "vertrieb", "web", "webmaster", "welcome", "buchhaltung", "verkauf", "bewerbung", "ventas", "ventes", "comercial",
})  # fmt: skip
PLACEHOLDERS = frozenset({
    "none", "no", "noone", "nobody", "null", "na", "n-a", "nil", "nomail", "noemail", "no-email", "no.email", "no_email", "noaddress", "nope",
    "notprovided", "notavailable", "notapplicable", "unknown", "undefined", "unspecified", "anonymous", "anon", "test", "test1", "test123",
    "testing", "tester", "testuser", "demo", "dummy", "fake", "sample", "example", "placeholder", "invalid", "email", "e-mail", "user", "username",
    "name", "firstname.lastname", "first.last", "asdf", "qwerty", "abc", "aaa", "abcd", "xyz", "x", "xx", "xxx", "xxxx", "tbd", "tba",
    "nan", "blank", "missing", "delete", "deleted", "remove", "spam",
})  # fmt: skip
PLACEHOLDER_DOMAINS = frozenset({
    "none.com", "noemail.com", "nomail.com", "no-email.com", "noemail.org", "nowhere.com", "test.com", "test.org", "unknown.com", "null.com",
    "na.com", "fake.com", "invalid.com", "invalid", "asdf.com", "abc.com", "xyz.com", "xxx.com", "email.com", "domain.com", "placeholder.com",
    "example", "localhost", "noreply.com", "donotreply.com", "notprovided.com", "dummy.com", "anonymous.com",
})  # fmt: skip
SHAPE = re.compile(r"[^@\s,;<>()\"]+@[^@\s,;<>()\"]+\.[^@\s,;<>()\".\d-][^@\s,;<>()\".]*")
# Second-level endings under a country: acme.co.uk is Acme's.
_SECOND_LEVEL = frozenset({"ac", "co", "com", "edu", "gob", "gov", "gv", "ne", "net", "nom", "or", "org", "plc"})


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One mailbox. `address` is the same for every spelling of it; `company` is None where the domain is a provider's."""

    address: str
    name: str
    domain: str
    kind: Kind
    company: str | None


def mailbox(text: str | None, *, plus_tags: bool = True) -> Mailbox | None:
    """The mailbox that an address as written leads to; None for what is no address.

    Case, blanks, `mailto:` and `Ann <ann@acme.com>` are seen through. Dots, tags and second domains are those of the provider; a `+tag` is
    cut off elsewhere too, unless `plus_tags` is false.
    """
    if not text or "@" not in text:
        return None
    plain = unicodedata.normalize("NFKC", text).strip().casefold().removeprefix("mailto:").strip(" \t\r\n'\"<>.,;")
    if "<" in plain:
        plain = plain.rpartition("<")[2].rstrip("> ")
    if not SHAPE.fullmatch(plain):
        return None
    name, _, domain = plain.rpartition("@")
    # One text for all mailboxes of a domain, of which there may be millions.
    domain = sys.intern(_SAME_PROVIDER.get(domain, domain))
    public = _is_public(domain)
    if plus_tags or public:
        name = name.split("+", 1)[0] or name
    if (sign := _TAG.get(domain)) and sign in name:
        name = name.split(sign, 1)[0] or name
    for ignored in _IGNORED.get(domain, ""):
        name = name.replace(ignored, "")
    if not name:
        return None
    return Mailbox(f"{name}@{domain}", name, domain, _kind(name, domain), None if public else sys.intern(company_of(domain)))


def is_slip(one: str, other: str) -> bool:
    """Whether two mailbox names differ as by a slip of one hand: a letter left out, doubled, wrong, or two of them the wrong way round.

    Dots and digits are no slips: they are how a second person of one name is told from the first.
    """
    letters = [re.sub(r"[a-z]", "", name) for name in (one, other)]
    return letters[0] == letters[1] and min(len(one), len(other)) >= 6 and OSA.distance(one, other, score_cutoff=1) == 1


def _is_public(domain: str) -> bool:
    """Whether a domain, or the one it is a part of, is a provider's."""
    return domain in _PROVIDERS or domain.startswith(_PROVIDERS_EVERYWHERE) or ".".join(domain.split(".")[-2:]) in _PROVIDERS


def company_of(domain: str) -> str:
    """What a company is called in its domain: `acme` of mail.acme.co.uk."""
    labels = domain.split(".")
    own = -3 if len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL else -2
    return labels[own].replace("-", "")


def _kind(name: str, domain: str) -> Kind:
    bare = name.strip("._-")
    squeezed = bare.replace(".", "").replace("-", "").replace("_", "")
    if (
        bare in PLACEHOLDERS
        or squeezed in WORDS
        or domain in PLACEHOLDER_DOMAINS
        or domain.endswith((".invalid", ".test", ".localhost"))
        or not any(map(str.isalnum, bare))
        or (len(set(squeezed)) == 1 and len(squeezed) > 1)
    ):
        return "placeholder"
    if bare in ROLES or squeezed in ROLES or squeezed.rstrip("0123456789") in ROLES or squeezed == company_of(domain):
        return "role"
    return "personal"

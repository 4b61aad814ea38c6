"""Whom an entry is about, without saying it: pseudonyms of records, mailboxes and customers."""

from __future__ import annotations

from cdp_pipelines.audit.keys import PrivacyKey
from cdp_pipelines.identity.emails import mailbox


def of_record(key: PrivacyKey, connection: str, record_id: str) -> str:
    """The pseudonym of a CRM's record."""
    return _pseudonym(key, f"record\n{connection}\n{record_id}")


def of_address(key: PrivacyKey, address: str) -> str:
    """The pseudonym of a mailbox, the same for every spelling of its address."""
    found = mailbox(address)
    return _pseudonym(key, f"mailbox\n{found.address if found else address.strip().casefold()}")


def of_customer(key: PrivacyKey, customer_key: str) -> str:
    """The pseudonym of a customer."""
    return _pseudonym(key, f"customer\n{customer_key}")


def of_text(key: PrivacyKey, text: str) -> list[str]:
    """The pseudonyms that a name people use may have: an e-mail address, connection:id, a customer key."""
    text = text.strip()
    connection, colon, record_id = text.partition(":")
    found = [of_customer(key, text)]
    if "@" in text:
        found.append(of_address(key, text))
    if colon:
        found.append(of_record(key, connection, record_id))
    return found


def _pseudonym(key: PrivacyKey, text: str) -> str:
    return key.mac("pseudonym", text.encode())[:32]

"""Off the suppression list again, with a reason."""

from __future__ import annotations

from cdp_pipelines.audit import keys, subjects
from cdp_pipelines.audit.entry import Operation
from cdp_pipelines.audit.recording import record as write_down
from cdp_pipelines.config import Settings
from cdp_pipelines.identity.references import NotFound
from cdp_pipelines.privacy.hashes import Hasher
from cdp_pipelines.privacy.suppression import SuppressionList


def lift(settings: Settings, *, email: str | None = None, record: str | None = None, reason: str, who: str) -> tuple[list[str], int]:
    """Take the person whom an address or record is of off the list: all that the erasures put there. Gives these, and how many hashes.

    Raises NotFound for who is not on the list.
    """
    hasher, listing = Hasher.of_settings(settings), SuppressionList(settings)
    key = keys.load(settings)
    if email is not None:
        mailbox = hasher.mailbox(email)
        hashes = [hasher.hash(kind, mailbox.address) for kind in ("mailbox", "shared_mailbox")] if mailbox else []
        subject = subjects.of_address(key, email)
    else:
        connection, _, one = (record or "").partition(":")
        hashes, subject = [hasher.id(connection, one)], subjects.of_record(key, connection, one)
    erasures = listing.erasures_with(hashes)
    if not erasures:
        raise NotFound("This person is not on the suppression list.")
    # Before it is done: what is not written down is not done.
    payload = {"reason": reason, "asked": email or record}
    write_down(settings, Operation("unsuppress", "suppression list", "ok", len(erasures), {"erasures": erasures}, (subject,), payload))
    return erasures, listing.lift(erasures, reason=reason, who=who)

"""Whether what lies beside the warehouse is as it should be: what was written back, what is due to go, and the audit log."""

from __future__ import annotations

from cdp_pipelines.audit.log import AuditBroken, AuditLog
from cdp_pipelines.audit.verifying import verify_new
from cdp_pipelines.privacy import retention
from cdp_pipelines.privacy.retention_rules import RetentionError
from cdp_pipelines.quality.looking import Check, Found, Look
from cdp_pipelines.writeback.drift import drifted


def _drifted(look: Look) -> Found:
    places = [f"{one.connection}:{one.id} {one.field}" for one in drifted(look.settings, look.db, "standardized.contacts")]
    return Found(len(places), sorted(places))


def _overdue(look: Look) -> Found:
    try:
        counts = retention.overdue(look.settings, look.now)
    except RetentionError as error:
        return Found(1, (), str(error))
    return Found(sum(counts.values()), [f"{name} ({count:,} rows)" for name, count in counts.items()])


def _broken(look: Look) -> Found:
    if not look.settings.audit_dir.exists():
        return Found()
    try:
        problems = verify_new(AuditLog(look.settings), look.now)
    except AuditBroken as broken:
        problems = [str(broken)]
    return Found(len(problems), (), problems[0] if problems else "")


HOLDS_WHAT_WE_WROTE = Check(
    17, "holds_what_we_wrote", "contacts", False, "Warns: a person's edit in a CRM is no fault of the data; it is to be known before the next write-back.",
    "The CRMs still hold what write-back put there last.", "`cdp writeback drift` shows ours and theirs; `cdp writeback plan` what the next run would do.",
    _drifted,
)  # fmt: skip
RETENTION = Check(
    19, retention.CHECK, "", False, "Warns: keeping back what is new makes nothing old go.",
    f"Nothing has been older than retention.yml keeps it for more than {retention.FORGOTTEN_AFTER.days} days.",
    "See why the last runs of the Dagster job `retain` failed, or run `cdp privacy retain`.", _overdue,
)  # fmt: skip
AUDIT_CHAIN = Check(
    20, "audit_chain", "", False, "Warns: the log says who did what; the tables are right all the same.",
    "The audit log's entries are as they were written.",
    "`cdp audit verify` names every place; put the log back from a backup, or begin anew beside it (`cdp audit begin-anew --why ...`).", _broken,
)  # fmt: skip

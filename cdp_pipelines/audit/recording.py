"""What the rest of the project calls to write an operation down."""

from __future__ import annotations

from cdp_pipelines.audit.entry import Operation
from cdp_pipelines.audit.log import AuditLog
from cdp_pipelines.config import Settings


def record(settings: Settings, *operations: Operation) -> None:
    """Write operations down; on return they are on the disk. Raises AuditBroken: what cannot be written down is not to go on."""
    AuditLog(settings).append(operations)

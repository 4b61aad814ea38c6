"""What all kinds of fault share.

A kind is a dataclass: its docstring says what happens, its fields are the parameters, `strike` does it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from cdp_pipelines.config import KINDS, Kind
from cdp_pipelines.sandbox.faults.calls import Call, Proceed


@dataclass(frozen=True)
class FaultKind(ABC):
    """A kind of fault: which CRMs have it, how many calls it strikes unless told, and whether it leaves calls for a token alone."""

    crms: ClassVar[tuple[Kind, ...]] = KINDS
    first: ClassVar[int | None] = None
    spares_sign_in: ClassVar[bool] = False

    def check(self, crm: Kind) -> None:  # noqa: B027 (most kinds take whatever their types allow)
        """Raise SwitchError when the parameters make no sense for this CRM."""

    @abstractmethod
    async def strike(self, call: Call, proceed: Proceed) -> None:
        """Answer the call, or let it go on with `proceed` (the faults set later, then the CRM) and alter the answer."""

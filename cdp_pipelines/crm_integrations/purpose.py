"""What calls are made for, and what is read is for: both are counted by it."""

from __future__ import annotations

from contextvars import ContextVar

purpose: ContextVar[str] = ContextVar("purpose", default="")
"""The raw table that what is done in this context is for; empty for the account as a whole."""

"""Corrections and new contacts flow to the CRMs: a plan, its application, and the way back. See docs/write-back.md."""

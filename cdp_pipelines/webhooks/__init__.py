"""Change notifications from the CRMs: received, checked and kept, so that a run can read again what they name."""

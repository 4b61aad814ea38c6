"""Faults as switches: the emulated CRMs misbehave as the real ones do, by CRM and call, for as long as wanted."""

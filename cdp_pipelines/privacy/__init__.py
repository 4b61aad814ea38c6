"""The rights of a person: erased everywhere, kept from coming back, and what is held of them handed out. See docs/security.md."""

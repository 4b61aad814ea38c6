"""The record of every data operation: who, when, what, how many and with which result, in a chain that shows any change. See docs/security.md."""

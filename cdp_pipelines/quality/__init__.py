"""Checks of the data and of how it comes: one module for each job. See docs/quality.md."""

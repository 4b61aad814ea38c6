"""Files for their owner alone: what this project writes holds people's data."""

from __future__ import annotations

import os
from pathlib import Path

OTHERS = 0o077


def keep_new_files_private() -> None:
    """From here on this process and those that it starts make files that only their owner may read. For entry points, never for a library."""
    os.umask(OTHERS)


def make_private(path: Path) -> None:
    """Take a file that is there from everybody but its owner."""
    mode = path.stat().st_mode & 0o777
    if mode & OTHERS:
        os.chmod(path, mode & ~OTHERS)

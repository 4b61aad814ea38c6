"""Ports of this machine's loopback."""

from __future__ import annotations

import socket
from contextlib import closing

from cdp_pipelines.scale.errors import ScaleError

HOST = "127.0.0.1"


def free_port() -> int:
    """A port that nobody has."""
    with closing(socket.create_server((HOST, 0))) as listener:
        return listener.getsockname()[1]


def is_taken(port: int) -> bool:
    """Whether somebody listens there."""
    try:
        # As the servers do, so that what is left of an ended connection counts for nothing.
        with closing(socket.create_server((HOST, port))):
            return False
    except OSError:
        return True


def answers(port: int) -> bool:
    """Whether a connection to it is taken."""
    try:
        with closing(socket.create_connection((HOST, port), timeout=2)):
            return True
    except OSError:
        return False


def chosen(service: str, asked: int | None, before: int | None) -> int:
    """The port that was asked for, else the one that the service had before, if it is still free, else any. Raises ScaleError."""
    if asked:
        if is_taken(asked):
            raise ScaleError(f"Port {asked}, asked for {service}, is taken on this machine. End what listens there, or ask for another.")
        return asked
    return before if before and not is_taken(before) else free_port()

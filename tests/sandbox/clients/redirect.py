"""Sends what a public client means for a vendor's host to the sandbox. Knows nothing of this project, so it works in any environment.

As a script it runs a client's command with that in place, in the client's own environment and without a change to its files:

    python redirect.py '{"api.hubapi.com": "http://127.0.0.1:1234"}' tap-hubspot --config config.json

A host may begin with `*`. Waits between polls are cut short, since the sandbox has nothing to wait for.
"""

from __future__ import annotations

import json
import sys
import time
from fnmatch import fnmatch
from importlib.metadata import entry_points
from urllib.parse import urlsplit, urlunsplit

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter

LONGEST_WAIT = 0.05


class Redirect(HTTPAdapter):
    """A transport for `requests` that takes these hosts' calls elsewhere, whatever their scheme."""

    def __init__(self, hosts: dict[str, str]):
        super().__init__()
        self.hosts = hosts

    def send(self, request: PreparedRequest, *args, **kwargs) -> Response:
        """Send the request to where its host is said to be."""
        request.url = redirected(request.url or "", self.hosts)
        return super().send(request, *args, **kwargs)


def redirected(url: str, hosts: dict[str, str]) -> str:
    """The same path at the address that stands for its host."""
    parts = urlsplit(url)
    for pattern, base in hosts.items():
        if fnmatch(parts.netloc, pattern):
            target = urlsplit(base)
            return urlunsplit((target.scheme, target.netloc, *parts[2:]))
    return url


def main() -> None:
    """Run the command named in the arguments."""
    hosts, command = json.loads(sys.argv[1]), sys.argv[2]
    plain_send, plain_sleep = HTTPAdapter.send, time.sleep

    # Every client here speaks through requests; its sessions have adapters of their own, so the class is what must be changed.
    def send(adapter: HTTPAdapter, request: PreparedRequest, *args, **kwargs) -> Response:
        request.url = redirected(request.url or "", hosts)
        return plain_send(adapter, request, *args, **kwargs)

    HTTPAdapter.send = send  # ty: ignore[invalid-assignment]
    time.sleep = lambda seconds: plain_sleep(min(seconds, LONGEST_WAIT))  # ty: ignore[invalid-assignment]
    sys.argv = [command, *sys.argv[3:]]
    (entry,) = entry_points(group="console_scripts", name=command)
    sys.exit(entry.load()())


if __name__ == "__main__":
    main()

"""The connections that are set up. Light to load: the receiver of change notifications stays small."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from cdp_pipelines.config import ConfigError, Connection, Kind, Settings, connection_from_config, connection_from_env
from cdp_pipelines.sandbox import hosting


@contextmanager
def configured(settings: Settings) -> Generator[list[Connection | ConfigError]]:
    """The connections that the environment names; one that cannot be used is given as its ConfigError.

    Where the environment names none at all, the built-in sandbox runs for the length of the block, and its three CRMs are the connections.
    """
    kinds = settings.connection_kinds()
    if kinds:
        from cdp_pipelines.audit.settings_seen import note_settings

        connections = [_from_env(name, kind) for name, kind in kinds.items()]
        note_settings(settings, [c for c in connections if isinstance(c, Connection)])
        yield connections
        return
    with hosting.hosted(settings) as sandbox:
        yield [connection_from_config(name, config) for name, config in sandbox.connections().items()]


def _from_env(name: str, kind: Kind) -> Connection | ConfigError:
    try:
        return connection_from_env(name, kind)
    except ConfigError as error:
        return error

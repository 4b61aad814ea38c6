"""What stops the services from starting."""


class ScaleError(Exception):
    """A service could not be started, or is not there. The text says why and what to do."""

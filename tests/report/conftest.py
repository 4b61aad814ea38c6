from tests.synced import synced

__all__ = ["synced"]

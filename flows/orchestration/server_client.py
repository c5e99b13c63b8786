"""Prefect's client for the keepers of server and workers, which have to hear their own signals: it gives up at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flows.errors import FlowError

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

TIMEOUT_SECONDS = 5.0


class ServerAway(FlowError):
    """The server did not answer, or not with what was asked for; the next look may find it well."""


@contextmanager
def asking() -> "Iterator[SyncPrefectClient]":
    """A client that repeats no request. ServerAway where one fails."""
    import httpx
    from prefect import get_client
    from prefect.exceptions import PrefectException
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    patience = {"timeout": TIMEOUT_SECONDS}
    try:
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}), get_client(httpx_settings=patience, sync_client=True) as client:
            yield client
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:  # the last is how Prefect says that nobody is there
        raise ServerAway(f"{type(error).__name__}: {error}") from error

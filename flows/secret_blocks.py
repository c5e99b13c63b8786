"""The platform's keys: from the environment, or from a Secret block of the Prefect server where the environment lacks them.

A worker on another machine needs no key in its shell then. Values are read where they are used and handed on in memory; they are
no parameter of a flow, so no run's record holds them.
"""

import os
import sys
from collections.abc import Mapping
from typing import Final

from flows.errors import FlowError

BLOCKS: Final = {
    "FAL_KEY": "lorasmith-fal-key",
    "LORASMITH_SMOKE_KEY": "lorasmith-smoke-key",
}


def secret(name: str) -> str | None:
    """The value of a name in BLOCKS; None where neither the environment nor the server of PREFECT_API_URL has it.

    A temporary server has no blocks, so none is asked. Only FAL_KEY is worth importing Prefect for; the other is looked up where
    Prefect is there already. FlowError where the server does not answer.
    """
    if value := os.environ.get(name):
        return value
    if not os.environ.get("PREFECT_API_URL") or not (name == "FAL_KEY" or "prefect" in sys.modules):
        return None
    return _block(name)


def platform_environment() -> Mapping[str, str]:
    """Our environment with the platform's keys in it, wherever they came from."""
    found = {name: secret(name) for name in BLOCKS}
    return {**os.environ, **{name: value for name, value in found.items() if value}}


def _block(name: str) -> str | None:
    import httpx
    from prefect.blocks.system import Secret
    from prefect.exceptions import PrefectException

    try:
        found = Secret.load(BLOCKS[name], validate=False)
    except ValueError:
        return None  # how Prefect says that there is no such block
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:
        raise FlowError(
            f"{name} is not set, and the Prefect server of PREFECT_API_URL could not be asked for the block {BLOCKS[name]!r} "
            f"({type(error).__name__}): export {name}, or start the server"
        ) from None
    value = found.get()  # type: ignore[union-attr]  # a coroutine only in async code
    return str(value).strip() or None

"""Who may call which app, and what of a request the app shall see."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

from starlette.requests import ClientDisconnect, Request

from ..accounts import Account, Keyring
from ..money.ledger import Entry, Ledger
from ..state import Alias, State, split_name
from .replies import CANCELLED, HOP_BY_HOP, Pairs, Refused
from .retries import YES, budgets_of

LARGEST_BODY = 100 * 1024 * 1024  # our own: fal documents none; larger files go through the storage
SHORTEST_START = 0.1
LONGEST_PATH = 500  # that a refusal's row keeps
# What a caller says about itself stays at the gateway; all of x-fal-* is the platform's own.
NOT_FORWARDED = HOP_BY_HOP | {"authorization", "cookie", "host", "content-length", "forwarded", "x-forwarded-for", "expect"}
OF_THE_PLATFORM = ("fal_webhook", "fal_max_queue_length")


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A request that was let in, as the app shall see it, and what its caller asks of the platform.

    start_by: Unix seconds until which a runner must have begun. retries: condition -> budget, where the owner asks for one.
    """

    alias: Alias
    caller: Account | None
    method: str
    path: str
    query: bytes
    headers: Pairs
    body: bytes
    request_id: str
    created_at: float = field(default_factory=time.time)
    queued: bool = False
    low: bool = False
    start_by: float | None = None
    hint: str | None = None
    no_retry: bool = False
    retries: dict[str, int] | None = None


class Admission:
    """Lets requests in; a refusal is written to the ledger with its status only, where a key or an app says whose it is."""

    def __init__(self, state: State, ledger: Ledger, keyring: Keyring) -> None:
        self._state = state
        self._ledger = ledger
        self._keyring = keyring

    def account(self, request: Request) -> Account | None:
        """The account of the request's key: None without a key, Refused (401) with one that was not issued here."""
        header = request.headers.get("authorization")
        if header is None:
            return None
        account = self._keyring.account_of_header(header)
        if account is None:
            raise Refused(
                status=401, detail="Invalid key: the sandbox accepts only keys that it issued.", error_type="unauthorized"
            )
        return account

    async def admit(self, request: Request, request_id: str, *, queued: bool = False) -> Call:
        """The call behind a request."""
        owner, name = request.path_params["owner"], request.path_params["app"]
        path = "/" + request.path_params.get("path", "")
        created, caller = time.time(), None
        try:
            caller = self.account(request)
            alias = self._authorise(caller, owner, name)
            return self._call(request, alias, caller, await _body(request), request_id, created, queued)
        except Refused as refusal:
            self._record_refusal(request_id, owner, name, caller, path, request.method, created, queued, refusal)
            raise

    def turn_away(self, call: Call, refusal: Refused) -> Refused:
        """Write down that a call was let in by its key and refused for what it asks."""
        at = (call.alias.owner, call.alias.name, call.caller, call.path, call.method, call.created_at, call.queued)
        self._record_refusal(call.request_id, *at, refusal)
        return refusal

    def _authorise(self, caller: Account | None, owner: str, name: str) -> Alias:
        alias = self._state.alias(owner, name)
        if caller is None and (alias is None or alias.auth_mode != "public"):
            raise Refused(status=401, detail="Authentication is required to access this application.", error_type="unauthorized")
        if alias is None:
            raise Refused(status=404, detail=f"Application '{owner}/{name}' not found.", error_type="not_found")
        if alias.auth_mode == "private" and caller is not None and caller.nickname != owner:
            raise Refused(status=403, detail=f"Application '{owner}/{name}' is private.", error_type="forbidden")
        if caller is not None and not caller.may("call"):
            raise Refused(status=403, detail="This key may not call applications.", error_type="forbidden")
        return alias

    def _call(
        self, request: Request, alias: Alias, caller: Account | None, body: bytes, request_id: str, created: float, queued: bool
    ) -> Call:
        asked = request.headers
        is_owner = caller is not None and caller.nickname == alias.owner
        start_within = _start_within(asked.get("x-fal-request-timeout"))
        if start_within is None and is_owner:
            start_within = alias.settings.get("request_start_timeout")
        return Call(
            alias=alias,
            caller=caller,
            method=request.method,
            path="/" + request.path_params.get("path", ""),
            query=_own_query(request.url.query),
            headers=_forwarded(asked.items(), encoding=None if queued else asked.get("accept-encoding")),
            body=body,
            request_id=request_id,
            created_at=created,
            queued=queued,
            low=_is_low(asked.get("x-fal-queue-priority")),
            start_by=None if start_within is None else created + float(start_within),
            hint=asked.get("x-fal-runner-hint"),
            no_retry=asked.get("x-fal-no-retry", "").lower() in YES,
            retries=budgets_of(asked.get("x-fal-retry-config")) if is_owner else None,
        )

    def _record_refusal(
        self,
        request_id: str,
        owner: str,
        name: str,
        caller: Account | None,
        path: str,
        method: str,
        created: float,
        queued: bool,
        refusal: Refused,
    ) -> None:
        if caller is None and self._state.alias(owner, name) is None:
            return  # nobody asked for nothing: whoever reaches the port could fill the ledger with names and paths
        app, environment = split_name(name)
        entry = Entry(
            request_id=request_id,
            owner=owner,
            app=app,
            environment=environment,
            revision=None,
            caller=caller.nickname if caller else None,
            path=path[:LONGEST_PATH],
            method=method,
            status=refusal.status,
            units=None,
            seconds=0.0,
            created_at=created,
            queued=queued,
            attempts=0,
            error_type=refusal.error_type,
        )
        self._ledger.record(entry)


def _forwarded(headers: Iterable[tuple[str, str]], *, encoding: str | None) -> Pairs:
    """The caller's own headers; what is kept for later is asked for as it is, not compressed."""
    pairs = list(headers)
    hop = {word.strip().lower() for name, value in pairs if name == "connection" for word in value.split(",")}
    dropped = NOT_FORWARDED | hop | {"accept-encoding"}
    kept = [pair for pair in pairs if pair[0] not in dropped and not pair[0].startswith("x-fal-")]
    return (*kept, ("accept-encoding", encoding or "identity"))


def _own_query(query: str) -> bytes:
    """The query without the platform's parameters; unchanged where there are none."""
    if not any(name in query for name in OF_THE_PLATFORM):
        return query.encode()
    return urlencode([pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] not in OF_THE_PLATFORM]).encode()


async def _body(request: Request) -> bytes:
    """The whole body, refused as soon as it is known to be too large."""
    length = request.headers.get("content-length", "0")
    chunks: list[bytes] = []
    size = int(length) if length.isdigit() and int(length) > LARGEST_BODY else 0
    try:
        if not size:
            async for chunk in request.stream():
                chunks.append(chunk)
                size += len(chunk)
                if size > LARGEST_BODY:
                    break
    except ClientDisconnect as error:
        detail = "The caller left before its request had arrived."
        raise Refused(status=CANCELLED, detail=detail, error_type="client_disconnected") from error
    if size > LARGEST_BODY:
        detail = f"The body has more than {LARGEST_BODY} bytes: upload large files to the storage and send their addresses."
        raise Refused(status=413, detail=detail, error_type="bad_request")
    return b"".join(chunks)


def _start_within(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not SHORTEST_START < seconds < float("inf"):
        detail = f"X-Fal-Request-Timeout: '{value}' is not a number of seconds above {SHORTEST_START}."
        raise Refused(status=400, detail=detail, error_type="bad_request")
    return seconds


def _is_low(value: str | None) -> bool:
    if value not in (None, "low", "normal"):
        raise Refused(status=400, detail=f"X-Fal-Queue-Priority: 'low' or 'normal', not '{value}'.", error_type="bad_request")
    return value == "low"

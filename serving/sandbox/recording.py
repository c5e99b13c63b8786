"""Records what clients send: one JSON line an RPC or REST call, with the names and types of its fields and never a value."""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import grpc
from google.protobuf.descriptor import FieldDescriptor  # type: ignore[import-untyped]
from google.protobuf.message import Message  # type: ignore[import-untyped]
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

BODY_BYTES = 1 << 20
NO_ROUTE = "(no route)"
# Of the headers only those that mean something to the platform are told from those of the HTTP library.
HEADERS = ("authorization", "x-fal-", "x-app-", "fal-")
LABELS = {FieldDescriptor.CPPTYPE_STRING: "text", FieldDescriptor.CPPTYPE_BOOL: "bool", FieldDescriptor.CPPTYPE_ENUM: "enum"}


class Record:
    """Appends to a file; what one call wrote is one line, whole."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def add(self, **line: Any) -> None:
        os.write(self._fd, json.dumps(line).encode() + b"\n")

    def close(self) -> None:
        os.close(self._fd)


class RecordedRpcs(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Looks at each request where it is read from its bytes."""

    def __init__(self, record: Record) -> None:
        self._record = record

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        handler = await continuation(details)
        if handler is None or handler.request_deserializer is None:
            return handler
        method = details.method.rpartition("/")[2]

        def read(content: bytes) -> Any:
            message = handler.request_deserializer(content)
            self._record.add(rpc=method, fields=message_fields(message))
            return message

        return handler._replace(request_deserializer=read)


class RecordedRest:
    """ASGI middleware in front of `app`; `routes` give the pattern of a path, which is what is written."""

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute], record: Record) -> None:
        self._app = app
        self._routes = list(routes)
        self._record = record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        seen = _Seen(receive, send, lambda body: self._record.add(**_rest_line(scope, self._pattern(scope), body)))
        try:
            await self._app(scope, seen.receive, seen.send)
        finally:
            seen.tell()

    def _pattern(self, scope: Scope) -> str:
        for route in self._routes:
            match, _ = route.matches(scope)
            if match is Match.FULL:
                return str(getattr(route, "path", NO_ROUTE))
        return NO_ROUTE


class _Seen:
    """One exchange. It is told once: before its answer goes out, so that who has the answer finds the line."""

    def __init__(self, receive: Receive, send: Send, told: Callable[[bytes], None]) -> None:
        self._receive = receive
        self._send = send
        self._told: Callable[[bytes], None] | None = told
        self._body = bytearray()

    async def receive(self) -> Any:
        message = await self._receive()
        self._body.extend(message.get("body", b"")[: BODY_BYTES - len(self._body)])
        return message

    async def send(self, message: Any) -> None:
        self.tell()
        await self._send(message)

    def tell(self) -> None:
        if self._told is not None:
            self._told(bytes(self._body))
            self._told = None


def message_fields(message: Message, prefix: str = "") -> dict[str, str]:
    """Dotted name -> kind of every field that is set; keys inside a Struct are told where they are names of settings."""
    found: dict[str, str] = {}
    for field, value in message.ListFields():
        name = f"{prefix}{field.name}"
        many = "[]" if _is_repeated(field) else ""
        if field.message_type is None:
            kind = "bytes" if field.type == FieldDescriptor.TYPE_BYTES else LABELS.get(field.cpp_type, "number")
            found[name] = kind + many
        elif field.message_type.full_name == "google.protobuf.Struct":
            found |= {f"{name}.{key}": "any" for key in sorted(value.fields)} or {name: "empty"}
        elif field.message_type.full_name.startswith("google.protobuf."):
            found[name] = field.message_type.name.lower() + many
        else:
            for item in value if many else [value]:
                found |= message_fields(item, f"{name}{many}.") or {f"{name}{many}": "empty"}
    return dict(sorted(found.items()))


def json_fields(value: Any) -> Any:
    """The shape of a JSON body: names and kinds, one example for a list."""
    if isinstance(value, dict):
        return {key: json_fields(item) for key, item in sorted(value.items())}
    if isinstance(value, list):
        return [json_fields(value[0])] if value else []
    return "null" if value is None else {str: "text", bool: "bool"}.get(type(value), "number")


def _rest_line(scope: Scope, pattern: str, body: bytes) -> dict[str, Any]:
    headers = {key.decode().lower(): value.decode() for key, value in scope["headers"]}
    line: dict[str, Any] = {"rest": f"{scope['method']} {pattern}"}
    told: dict[str, Callable[[], Any]] = {
        "headers": lambda: sorted(name for name in headers if name.startswith(HEADERS)),
        "query": lambda: sorted({key for key, _ in parse_qsl(scope["query_string"].decode(), keep_blank_values=True)}),
        "body": lambda: _body_shape(headers.get("content-type", ""), body),
    }
    return line | {name: shape for name, find in told.items() if (shape := find())}


def _body_shape(content_type: str, body: bytes) -> Any:
    if not body:
        return None
    if content_type.startswith("application/json"):
        try:
            return json_fields(json.loads(body))
        except (ValueError, RecursionError):
            return "json that does not parse"
    return content_type.partition(";")[0] or "bytes"


def _is_repeated(field: Any) -> bool:
    return bool(field.is_repeated) if hasattr(field, "is_repeated") else field.label == FieldDescriptor.LABEL_REPEATED

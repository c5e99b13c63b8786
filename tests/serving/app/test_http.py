"""What a stranger can send over HTTP: the answer is in form, costs nothing unless it holds images, and the app lives on."""

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from serving.app.requests.inputs import MAX_BODY
from tests.serving.app.asking import JSON, OK, asked, raw
from tests.serving.app.fuzz import UNITS, small_whole
from tests.serving.app.surfaces import served

HEAD = b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/json\r\n"
PATHS = ["/", "/image-to-image", "/verify"]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with served(tmp_path_factory.mktemp("app"), small_whole()) as url:
        yield int(url.rpartition(":")[2])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"prompt"',
        b"1",
        b"NaN",
        b'{"prompt":"ok",}',
        b'{"prompt":"ok"}{',
        b"{'prompt':'ok'}",
        bytes(range(256)),
        '{"prompt":"é"}'.encode("latin-1"),
        b"\xff\xfe{",
        b"[" * 60_000,
        b'{"prompt":' + b"[" * 60_000 + b"]" * 60_000 + b"}",
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b'{"prompt":"ok","seed":' + b"9" * 5000 + b"}",
        b'{"prompt":"ok","seed":1e400}',
        b'{"prompt":"ok","seed":' + b"9" * 300 + b"}",
        b'{"prompt":"ok","seed":1e308}',
        b'{"prompt":"ok","num_images":-0.5}',
        b'{"prompt":"ok","guidance_scale":1e309}',
        b'{"prompt":"ok","guidance_scale":"nan"}',
        b'{"prompt":"ok","image_size":{"width":{"a":1},"height":[]}}',
        b'{"prompt":"ok","image_size":"\\ud800"}',
        b'{"prompt":"ok","output_format":"\\ud800"}',
        b'{"prompt":"\\ud800"}',
        b'{"prompt":"a\\u0000b"}',
        b'{"prompt":"' + b"a" * 2_000_000 + b'"}',
        b'{"prompt":["ok"]}',
        b'{"prompt":{"ok":1}}',
        b'{"prompt":null}',
    ],
    ids=lambda body: repr(body[:40]),
)
@pytest.mark.parametrize("path", PATHS)
def test_a_body_that_is_no_request_is_refused_in_form(port: int, path: str, body: bytes) -> None:
    status, answer = asked(port, path, body)
    assert status == 422
    for detail in json.loads(answer)["detail"]:
        assert set(detail) == {"loc", "msg", "type"}
        assert detail["loc"][0] == "body"
    assert len(answer) < 2000


@pytest.mark.parametrize(
    "body",
    [
        '{"prompt":"ok"}'.encode("utf-16"),
        b"\xef\xbb\xbf" + OK,
        b'{"prompt":"crash","prompt":"ok"}',
        b'{"\\ud800":1,"prompt":"ok"}',
        b'{"prompt":"ok","x":' + b"9" * 4000 + b"}",
        b'{"prompt":"ok","x":NaN}',
        b'{"prompt":"ok","__proto__":{},"x-fal-billable-units":7,"LIMITS":{},"model_config":1}',
        b'{"prompt":"ok","seed":"3","num_images":true,"num_inference_steps":2.0,"guidance_scale":"1","sync_mode":"yes"}',
        b'{"prompt":"ok","seed":-0.0,"guidance_scale":1e-400}',
        b'{"prompt":"ok","seed":null}',
        b'{"prompt":"ok",' + b",".join(b'"k%d":1' % index for index in range(20_000)) + b"}",
    ],
    ids=lambda body: repr(body[:40]),
)
def test_what_only_looks_odd_is_read_as_json_says(port: int, body: bytes) -> None:
    status, answer = asked(port, "/", body, units="1")
    assert (status, json.loads(answer)["prompt"]) == (200, "ok")


@pytest.mark.parametrize("length", [MAX_BODY + 1, 10**20 - 1])
@pytest.mark.parametrize("path", PATHS)
def test_a_body_past_the_cap_is_refused_before_it_is_read(port: int, path: str, length: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.putrequest("POST", path)
    connection.putheader("content-length", str(length))
    connection.endheaders()
    response = connection.getresponse()
    assert (response.status, response.headers.get_all(UNITS)) == (413, ["0"])
    connection.close()


@pytest.mark.parametrize("filler", [b"[],", b"{},", b"1,", b'"":1,'])
def test_a_body_of_very_many_values_is_refused_before_it_is_parsed(port: int, filler: bytes) -> None:
    """Some megabytes of them would keep the parser, and with it every other caller, waiting for seconds."""
    assert asked(port, "/verify", b'{"x":[' + filler * 110_000 + b"1]}")[0] == 413


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=x",
        "image/png",
        "x",
        "a/b/c",
        "application/json, text/plain",
        "\xff",
        ";" * 1000,
    ],
)
def test_a_body_that_does_not_say_it_is_json_is_refused(port: int, content_type: str | None) -> None:
    assert asked(port, "/", OK, headers={} if content_type is None else {"content-type": content_type})[0] == 422


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-16", "application/problem+json", "application/json;;;"])
def test_json_by_other_names_is_json(port: int, content_type: str) -> None:
    assert asked(port, "/", OK, headers={"content-type": content_type}, units="1")[0] == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "PATCH", "FOO"])
@pytest.mark.parametrize("path", PATHS)
def test_other_methods_cost_nothing(port: int, method: str, path: str) -> None:
    assert asked(port, path, b"", method=method)[0] == 405


@pytest.mark.parametrize(
    "path",
    [
        "//",
        "/../",
        "/%00",
        "/%ff",
        "/%2e%2e/",
        "/verify/",
        "/image-to-image/",
        "/HEALTH",
        "/metrics",
        "/" + "a" * 8000,
        "http://evil/",
    ],
)
def test_other_paths_cost_nothing_and_lead_nowhere(port: int, path: str) -> None:
    assert asked(port, path, OK)[0] == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"x-fal-billable-units": "99"},
        {"x-fal-request-id": "a" * 5000},
        {"x-fal-request-id": "\xff\xfe"},
        {"x-fal-caller-user-id": "\xff"},
        {"x-fal-object-lifecycle-preference": "nonsense"},
        {"x-forwarded-for": "10.0.0.1", "x-forwarded-proto": "gopher"},
        {"cookie": "a" * 30_000},
        {f"x-{index}": "y" * 50 for index in range(500)},
        {"origin": "null"},
        {"range": "bytes=0-1"},
        {"accept": "nothing", "accept-encoding": "gzip"},
        {"expect": "100-continue"},
        {"upgrade": "h2c", "connection": "upgrade"},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_headers_change_nothing_about_an_answer(port: int, headers: dict[str, str]) -> None:
    status, answer = asked(port, "/", OK, headers={**JSON, **headers}, units="1")
    assert (status, len(json.loads(answer)["images"])) == (200, 1)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ([HEAD + b"transfer-encoding: chunked\r\n\r\n", b'5\r\n{"pro\r\n', b'a\r\nmpt":"ok"}\r\n', b"0\r\n\r\n"], 200),
        ([HEAD + b"transfer-encoding: chunked\r\n\r\n", b"f\r\n" + OK + b"\r\n0\r\n" + UNITS.encode() + b": 9\r\n\r\n"], 200),
        ([HEAD.replace(b"1.1", b"1.0") + b"content-length: 15\r\n\r\n", OK], 200),
        ([HEAD + b"x: a\r\n b\r\ncontent-length: 15\r\n\r\n" + OK], 200),
        ([HEAD + b"transfer-encoding: chunked\r\n\r\n", b"zz\r\n"], 400),
        ([HEAD + b"transfer-encoding: gzip\r\n\r\n"], 400),
        ([HEAD + b"content-length: 3\r\ncontent-length: 4\r\n\r\n", b"abcd"], 400),
        ([HEAD + b"content-length: -1\r\n\r\n"], 400),
        ([HEAD + b"content-length: 15\r\nno colon\r\n\r\n" + OK], 400),
        ([b"POST / HTTP/1.1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"], 400),
        ([b"\x16\x03\x01\x02\x00" * 20 + b"\r\n\r\n"], 400),
    ],
    ids=range(11),
)
def test_a_message_that_is_no_http_never_reaches_the_app(port: int, sent: list[bytes], status: int) -> None:
    """The server refuses it; the app's own answers state their units."""
    head, _, _ = raw(port, sent).partition(b"\r\n\r\n")
    assert int(head.split()[1]) == status
    assert head.lower().count(UNITS.encode()) == (1 if status == 200 else 0)


def test_two_requests_in_one_breath_are_two(port: int) -> None:
    one = HEAD.replace(b"connection: close\r\n", b"") + b"content-length: 15\r\n\r\n" + OK
    answer = raw(port, [one + HEAD + b"content-length: 15\r\n\r\n" + OK])
    assert answer.count(UNITS.encode() + b": 1") == 2


@pytest.mark.parametrize(
    "sent", [HEAD + b"content-length: 300\r\n\r\n{", HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\n{", HEAD, b""]
)
def test_a_caller_who_leaves_in_the_middle_harms_nobody(port: int, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(sent)
    assert asked(port, "/", OK, units="1")[0] == 200


STRINGS = [
    "",
    " ",
    "\t",
    "a",
    "é",
    "ﷺ" * 50,
    "\u202e",
    "\ufeff",
    "\U0001f469\u200d\U0001f4bb",
    "a\u0300" * 60,
    "\u2028",
    "\x7f",
    "\x85",
    "ａ",
]


@pytest.mark.parametrize("text", STRINGS, ids=ascii)
@pytest.mark.parametrize(
    "field", ["prompt", "negative_prompt", "image_size", "output_format", "seed", "adapter", "sync_mode", "image_url"]
)
def test_any_text_in_any_field_is_drawn_or_refused(port: int, field: str, text: str) -> None:
    path = "/image-to-image" if field == "image_url" else "/"
    status, answer = asked(port, path, json.dumps({"prompt": "ok", field: text}).encode(), units=None)
    assert status in (200, 422)
    assert status == 422 or field in ("prompt", "negative_prompt")
    assert "detail" in json.loads(answer) or json.loads(answer)["prompt"] in ("ok", text)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
_NAMES = """prompt negative_prompt image_size num_inference_steps guidance_scale seed num_images lora_scale enable_safety_checker
output_format sync_mode adapter image_url strength"""


@given(path=st.sampled_from(PATHS), body=st.dictionaries(st.sampled_from(_NAMES.split()), _json, max_size=5) | _json)
@hypothesis_settings(deadline=None, max_examples=100, derandomize=True)
def test_any_json_is_answered(port: int, path: str, body: Any) -> None:
    assert asked(port, path, json.dumps(body).encode(), units=None)[0] in (200, 422)


@given(path=st.sampled_from(PATHS), body=st.binary(max_size=200))
@hypothesis_settings(deadline=None, max_examples=100, derandomize=True)
def test_any_bytes_are_answered(port: int, path: str, body: bytes) -> None:
    assert asked(port, path, body)[0] == 422

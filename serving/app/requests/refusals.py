"""Requests that can not be read are refused in fal's form: where, what and which kind, without an echo of what was sent."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

_SIZE_MESSAGE = 'Input should be sides in pixels, as {"width": 512, "height": 512}, or a preset where the app has any'


def refuse_in_form(app: FastAPI) -> None:
    """Put this form in place of the SDK's, which echoes the input, and of FastAPI's for a body that its parser gives up on."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(400, _unparsed)
    app.router.redirect_slashes = False  # a redirect would name this runner's own host


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return _refused(*({"loc": _place(item["loc"]), "msg": _message(item), "type": item["type"]} for item in error.errors()))


async def _unparsed(_request: Request, _error: Exception) -> JSONResponse:
    """JSON that is nested too deeply, has a number of too many digits, or is no Unicode: the parser fails in its own ways."""
    return _refused({"loc": ["body"], "msg": "The body can not be read as JSON", "type": "json_invalid"})


def _refused(*detail: dict[str, object]) -> JSONResponse:
    return JSONResponse({"detail": list(detail)}, 422)


def _message(item: dict[str, Any]) -> str:
    """pydantic's words, but where they speak of classes that a caller has never seen."""
    return _SIZE_MESSAGE if item["type"] == "model_attributes_type" and "image_size" in item["loc"] else item["msg"]


def _place(loc: tuple[str | int, ...]) -> list[str | int]:
    """The path to a field as the caller knows it: without the name of the alternative that `image_size` was read as."""
    if loc[1:2] == ("image_size",):
        return [*loc[:2], *(part for part in loc[2:] if part not in ("size", "preset"))]
    return list(loc)

"""Answers that are one JSON value, and every problem as one of them: no client ever sees a traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from bench.observe.text import printable
from bench.service.problems import Problem
from bench.service.values import PoolView

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request

#: As many faults of one body as somebody mends at a time, and the longest text of one in columns.
_MOST_FAULTS: Final = 5
_LONGEST_FAULT_COLUMNS: Final = 200


#: How the framework names a body that it cannot read; its place is that of the character.
_NO_JSON: Final = "JSON decode error"


class Pools(msgspec.Struct, frozen=True):
    """The pools of slots."""

    pools: tuple[PoolView, ...]


class Health(msgspec.Struct, frozen=True):
    """The service takes tasks."""

    status: Literal["ok"]


def json_answer(value: msgspec.Struct) -> Response:
    """Return a value as an answer."""
    return Response(msgspec.json.encode(value), headers={"Cache-Control": "no-store"}, media_type="application/json")


def answer_problems(app: FastAPI) -> None:
    """Let an application answer with a problem whatever goes wrong."""
    app.add_exception_handler(Problem, _of_ours)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_framework)
    app.add_exception_handler(Exception, _of_bug)


async def _of_ours(_request: Request, problem: Exception) -> Response:
    if not isinstance(problem, Problem):
        raise problem
    return problem.response()


async def _of_validation(_request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    faults = [_fault(each["loc"], each["msg"]) for each in error.errors()[:_MOST_FAULTS]]
    return Problem(422, "; ".join(faults)).response()


def _fault(where: tuple[int | str, ...], what: str) -> str:
    """Return one fault in words; a name that nobody knows is the client's own, whatever it holds."""
    if what == _NO_JSON:
        return f"the body is no JSON (at character {where[-1]})"
    named = ".".join(str(part) for part in where[1:]) or where[0]
    return printable(f"{named}: {what}", _LONGEST_FAULT_COLUMNS)


async def _of_framework(_request: Request, error: Exception) -> Response:
    """Answer what the framework refuses: a wrong address, a method, a body that is no text."""
    if not isinstance(error, HTTPException):
        raise error
    answer = Problem(error.status_code, error.detail).response()
    answer.headers.update(error.headers or {})
    return answer


async def _of_bug(_request: Request, _bug: Exception) -> Response:
    """Answer a failure of this program; the server logs it."""
    return Problem(500, "the service failed; its log says why").response()

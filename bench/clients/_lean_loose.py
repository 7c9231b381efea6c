"""JSON read as the SDK's objects are read: any field may be missing or anything."""

from __future__ import annotations

import json
from typing import Any


class Loose:
    """A JSON object whose fields are attributes; one that is missing is None.

    Attributes:
        model_extra: The object as a dictionary; the SDK keeps there what it has no field for.
    """

    __slots__ = ("model_extra",)

    def __init__(self, fields: dict[str, Any]) -> None:
        self.model_extra = fields

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - a field of JSON
        """Return the field of that name."""
        return loose(self.model_extra.get(name))


def loose(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return a decoded JSON value with its objects as `Loose`, also within lists."""
    if isinstance(value, dict):
        return Loose(value)
    if isinstance(value, list):
        return [loose(element) for element in value]
    return value


def error_in(body: bytes) -> object:
    """Return what an error body says: its error object where it is JSON, else its text."""
    text = body.decode(errors="replace").strip()
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return parsed.get("error", parsed) if isinstance(parsed, dict) else parsed


def answer_in(body: bytes, content_type: str) -> object:
    """Return a body as the SDK would: JSON, or its text where it is neither said to be JSON nor looks like it.

    Raises:
        ValueError: It is said to be JSON and is not.
        RecursionError: It is nested too deeply.
    """
    if content_type.partition(";")[0].endswith("json"):
        return loose(json.loads(body))
    try:
        return loose(json.loads(body))
    except ValueError:
        return body.decode(errors="replace")

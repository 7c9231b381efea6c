"""JSON read as the SDK's objects are read: any field may be missing or anything."""

from __future__ import annotations

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

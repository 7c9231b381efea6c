"""How many tokens a prompt is to the local model, as its server counts them."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from bench.errors import EndpointError

if TYPE_CHECKING:
    from bench.providers import Endpoint
    from bench.records import JsonObject

T = TypeVar("T")

#: Counting takes milliseconds; the server may be busy with its start.
_TIMEOUT_S: Final = 30.0


class _Prompt(msgspec.Struct, frozen=True):
    prompt: str


class _Tokens(msgspec.Struct, frozen=True):
    tokens: list[int]


def prompt_tokens(endpoint: Endpoint, messages: tuple[JsonObject, ...]) -> int:
    """Return how many tokens messages are, with all that the model's chat template adds.

    Args:
        endpoint: The local model; it runs.
        messages: As they are sent.

    Raises:
        EndpointError: The server does not tell.
    """
    prompt = _ask(endpoint, "/apply-template", {"messages": messages}, _Prompt).prompt
    return len(_ask(endpoint, "/tokenize", {"content": prompt, "add_special": True}, _Tokens).tokens)


def _ask(endpoint: Endpoint, path: str, body: object, kind: type[T]) -> T:
    # Its own paths stand beside the API's, not below it.
    connection = http.client.HTTPConnection(urlsplit(endpoint.base_url).netloc, timeout=_TIMEOUT_S)
    try:
        connection.request("POST", path, msgspec.json.encode(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        said = answer.read()
        return msgspec.json.decode(said, type=kind)
    except (OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
        raise EndpointError(f"the local model does not count the tokens of a prompt: {error}") from error
    finally:
        connection.close()

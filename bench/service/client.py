"""The service's client for programs: a stream of events, or the whole result; for threads and for event loops.

```python
with ServiceClient("http://127.0.0.1:8000") as client:
    for event in client.stream("generate", {"topic": "城市的黎明"}):
        print(event.data.get("text", ""), end="")
    result = client.generate("chat", {"topic": "你好"}, "pooled")
```
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final, Generic, Self, TypedDict, TypeVar

import httpx2

from bench.clients.classify import classify
from bench.clock import NS_PER_S, MonotonicClock
from bench.errors import CallError, ConfigError
from bench.policy.retry import RetryPolicy
from bench.service.access import Access
from bench.service.following import Following
from bench.service.results import Gathering
from bench.stop import StopSignal

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Mapping

    from bench.clock import Clock
    from bench.service.following import Asked
    from bench.service.results import Result
    from bench.service.values import Event, Path

#: How long a task may take for its client, in seconds: waiting in the queue and being done at their longest, and more.
DEFAULT_WITHIN_S: Final = 600.0

#: The service gives a sign of life every 15 s: after three that did not come the connection is dead.
READ_TIMEOUT_S: Final = 45.0

_TIMEOUT: Final = httpx2.Timeout(5.0, read=READ_TIMEOUT_S)

#: How long somebody who leaves may be held up by saying so.
_LEAVE_TIMEOUT_S: Final = 1.0

Http = TypeVar("Http", httpx2.Client, httpx2.AsyncClient)


class _Opening(TypedDict):
    """How a connection is made."""

    base_url: str
    headers: dict[str, str]
    verify: ssl.SSLContext
    timeout: httpx2.Timeout
    trust_env: bool


class _Client(ABC, Generic[Http]):
    """What both clients have in common: whom they ask, and when they ask again."""

    def __init__(
        self,
        base_url: str,
        access: Access | None = None,
        *,
        policy: RetryPolicy | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._access = Access() if access is None else access
        self._base_url = _checked(base_url)
        self._policy = RetryPolicy() if policy is None else policy
        self._clock = MonotonicClock() if clock is None else clock
        self._never = StopSignal()
        self._http: Http = self._opened(
            _Opening(
                base_url=self._base_url,
                headers=self._access.headers(),
                verify=self._trust(),
                timeout=_TIMEOUT,
                # Proxies and certificates are named to the client or not used.
                trust_env=False,
            )
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._base_url}>"

    @abstractmethod
    def _opened(self, opening: _Opening) -> Http:
        """Return what sends requests."""

    def _trust(self) -> ssl.SSLContext:
        if self._access.ca_file is None:
            return httpx2.create_ssl_context()
        return ssl.create_default_context(cafile=self._access.ca_file)

    def _due_ns(self, within_s: float) -> int:
        return self._clock.now_ns() + int(within_s * NS_PER_S)

    def _left_s(self, due_ns: int) -> float:
        return (due_ns - self._clock.now_ns()) / NS_PER_S

    def _wait_ns(self, task: Following, error: Exception, due_ns: int) -> int:
        """Return until when to wait after a connection that failed; see `Following.wait_s`."""
        failure = classify(error) or CallError("internal", f"{type(error).__name__}: {error}")
        wait_s = task.wait_s(failure, left_s=self._left_s(due_ns), draw=random.random())  # noqa: S311 - jitter
        return self._due_ns(wait_s)


class ServiceClient(_Client[httpx2.Client]):
    """Asks the service from threads; any number may share one, and one task is followed by one thread.

    A lost connection, a full queue (429) and a failing service (5xx) are tried again by the policy that runs have:
    never before a Retry-After has passed. A task is begun once: a stream that broke is taken up where it broke, for as
    long as the service keeps it for a client that is away. Closing a stream before its end cancels the task.

    Args:
        base_url: Where the service is, such as `http://127.0.0.1:8000`.
        access: Token and certificates.
        policy: How often a connection in succession is tried again, and the waits.
        clock: What waits.

    Raises:
        ConfigError: The address is none, or the certificates cannot be read.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _opened(self, opening: _Opening) -> httpx2.Client:
        return httpx2.Client(**opening)

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def generate(
        self, kind: Asked, body: Mapping[str, object], path: Path = "direct", *, within_s: float = DEFAULT_WITHIN_S
    ) -> Result:
        """Return what a task came to; see `stream`.

        Raises:
            RefusedError: The service did not take it.
            TaskFailedError: It ended with an error.
            LostError: The service is out of reach.
        """
        gathering = Gathering()
        for event in self.stream(kind, body, path, within_s=within_s):
            gathering.add(event)
        return gathering.result()

    def stream(
        self, kind: Asked, body: Mapping[str, object], path: Path = "direct", *, within_s: float = DEFAULT_WITHIN_S
    ) -> Generator[Event, None, None]:
        """Begin a task and yield its events as they come; the last one is `complete` or `error`.

        Args:
            kind: What is wanted.
            body: The particulars, as the service takes them: `topic`, and what its description names besides.
            path: `direct` begins at once; `pooled` waits for one of few slots.
            within_s: Time for it all, waits among it.

        Raises:
            RefusedError: The service did not take it.
            LostError: The service is out of reach.
        """
        task = Following(kind, body, path, self._policy)
        due_ns = self._due_ns(within_s)
        try:
            while not task.is_over:
                try:
                    yield from self._connection(task, due_ns)
                except (CallError, httpx2.HTTPError) as error:
                    self._clock.sleep_until(self._wait_ns(task, error, due_ns), self._never)
        except GeneratorExit:
            self._leave(task)
            raise

    def _leave(self, task: Following) -> None:
        """Have the service cancel a task, if it can be told; else it notices by itself that nobody reads."""
        ask = task.leave()
        if ask is None or self._http.is_closed:
            return
        with (
            contextlib.suppress(httpx2.HTTPError),
            self._http.stream(ask.method, ask.address, timeout=_LEAVE_TIMEOUT_S),
        ):
            pass

    def _connection(self, task: Following, due_ns: int) -> Generator[Event, None, None]:
        """Yield what comes over one connection."""
        ask = task.ask()
        with self._http.stream(ask.method, ask.address, headers=ask.headers, content=ask.body) as answer:
            task.head(answer.status_code, answer.headers, b"" if answer.is_success else answer.read())
            for data in answer.iter_bytes():
                yield from task.take(data, left_s=self._left_s(due_ns))
                if task.is_over:
                    return
        task.end()


class AsyncServiceClient(_Client[httpx2.AsyncClient]):
    """Asks the service from one event loop; see `ServiceClient`, whose arguments it takes."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _opened(self, opening: _Opening) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(**opening)

    async def aclose(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def generate(
        self, kind: Asked, body: Mapping[str, object], path: Path = "direct", *, within_s: float = DEFAULT_WITHIN_S
    ) -> Result:
        """Return what a task came to; see `ServiceClient.generate`."""
        gathering = Gathering()
        async with contextlib.aclosing(self.stream(kind, body, path, within_s=within_s)) as events:
            async for event in events:
                gathering.add(event)
        return gathering.result()

    async def stream(
        self, kind: Asked, body: Mapping[str, object], path: Path = "direct", *, within_s: float = DEFAULT_WITHIN_S
    ) -> AsyncGenerator[Event, None]:
        """Begin a task and yield its events as they come; see `ServiceClient.stream`.

        Iterate it within `contextlib.aclosing`: one that is left half-read keeps its connection until it is collected.
        """
        task = Following(kind, body, path, self._policy)
        due_ns = self._due_ns(within_s)
        try:
            while not task.is_over:
                try:
                    async with contextlib.aclosing(self._connection(task, due_ns)) as events:
                        async for event in events:
                            yield event
                except (CallError, httpx2.HTTPError) as error:
                    await self._clock.asleep_until(self._wait_ns(task, error, due_ns), self._never)
        except (GeneratorExit, asyncio.CancelledError):
            await self._leave(task)
            raise

    async def _leave(self, task: Following) -> None:
        """Have the service cancel a task; see `ServiceClient._leave`."""
        ask = task.leave()
        if ask is None or self._http.is_closed:
            return
        with contextlib.suppress(httpx2.HTTPError):
            async with self._http.stream(ask.method, ask.address, timeout=_LEAVE_TIMEOUT_S):
                pass

    async def _connection(self, task: Following, due_ns: int) -> AsyncGenerator[Event, None]:
        """Yield what comes over one connection."""
        ask = task.ask()
        async with self._http.stream(ask.method, ask.address, headers=ask.headers, content=ask.body) as answer:
            task.head(answer.status_code, answer.headers, b"" if answer.is_success else await answer.aread())
            async for data in answer.aiter_bytes():
                for event in task.take(data, left_s=self._left_s(due_ns)):
                    yield event
                if task.is_over:
                    return
        task.end()


def _checked(base_url: str) -> str:
    """Return the service's address.

    Raises:
        ConfigError: It is none.
    """
    try:
        url = httpx2.URL(base_url)
    except httpx2.InvalidURL as error:
        raise ConfigError(f"the service's address is malformed, got {base_url!r}: {error}") from error
    if url.scheme not in {"http", "https"} or not url.host or url.userinfo:
        raise ConfigError(f"the service's address must be like http://127.0.0.1:8000, got {base_url!r}")
    return base_url

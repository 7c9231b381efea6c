"""The service's client for programs: a stream of events, or the whole result; for threads and for event loops.

```python
with ServiceClient("http://127.0.0.1:8000") as client:
    for event in client.stream("generate", {"topic": "城市的黎明"}):
        print(event.data.get("text", ""), end="")
    result = client.generate("chat", {"topic": "你好"}, "pooled")
```
"""

from __future__ import annotations

import contextlib
import random
import ssl
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Final, Self

import httpx2
import msgspec

from bench.clients.classify import classify
from bench.clock import NS_PER_S, MonotonicClock
from bench.errors import CallError, ConfigError
from bench.policy.retry import RetryPolicy
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


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """How a client is let in, and whom it trusts.

    Attributes:
        token: The service's token, or None where it asks for none.
        ca_file: Certificates (PEM) to trust instead of the system's, for a service with a certificate of one's own.
            There is no way to trust nobody's.
    """

    token: str | None = None
    ca_file: FilePath | None = None


class _Client:
    """What both clients have in common."""

    def __init__(self, base_url: str, access: Access | None, policy: RetryPolicy | None, clock: Clock | None) -> None:
        self._access = Access() if access is None else access
        self._base_url = _checked(base_url)
        self._policy = RetryPolicy() if policy is None else policy
        self._clock = MonotonicClock() if clock is None else clock
        self._never = StopSignal()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._base_url}>"

    def _headers(self) -> dict[str, str]:
        # Whoever compresses a stream collects it first.
        headers = {"Accept-Encoding": "identity"}
        if self._access.token is not None:
            headers["Authorization"] = f"Bearer {self._access.token}"
        return headers

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


class ServiceClient(_Client):
    """Asks the service from threads; any number may share one, and one task is followed by one thread.

    A lost connection, a full queue (429) and a failing service (5xx) are tried again by the policy that runs have:
    never before a Retry-After has passed. A task is begun once: a stream that broke is taken up where it broke.
    Closing a stream before its end leaves the task: the service cancels it, unless somebody else follows it.

    Args:
        base_url: Where the service is, such as `http://127.0.0.1:8000`.
        access: Token and certificates.
        policy: How often a connection in succession is tried again, and the waits.
        clock: What waits.

    Raises:
        ConfigError: The address is none, or the certificates cannot be read.
    """

    def __init__(
        self,
        base_url: str,
        access: Access | None = None,
        *,
        policy: RetryPolicy | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(base_url, access, policy, clock)
        self._http = httpx2.Client(
            base_url=self._base_url, headers=self._headers(), verify=self._trust(), timeout=_TIMEOUT, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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
        while not task.is_over:
            try:
                yield from self._connection(task, due_ns)
            except (CallError, httpx2.HTTPError) as error:
                self._clock.sleep_until(self._wait_ns(task, error, due_ns), self._never)

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


class AsyncServiceClient(_Client):
    """Asks the service from one event loop; see `ServiceClient`, whose arguments it takes."""

    def __init__(
        self,
        base_url: str,
        access: Access | None = None,
        *,
        policy: RetryPolicy | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(base_url, access, policy, clock)
        self._http = httpx2.AsyncClient(
            base_url=self._base_url, headers=self._headers(), verify=self._trust(), timeout=_TIMEOUT, trust_env=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

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
        while not task.is_over:
            try:
                async with contextlib.aclosing(self._connection(task, due_ns)) as events:
                    async for event in events:
                        yield event
            except (CallError, httpx2.HTTPError) as error:
                await self._clock.asleep_until(self._wait_ns(task, error, due_ns), self._never)

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

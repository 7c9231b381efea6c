"""How a client of the service is let in, and whom it trusts."""

from __future__ import annotations

from pathlib import Path

import msgspec


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """How a client is let in, and whom it trusts.

    Attributes:
        token: The service's token, or None where it asks for none.
        ca_file: Certificates (PEM) to trust instead of the system's, for a service with a certificate of one's own.
            There is no way to trust nobody's.
    """

    token: str | None = None
    ca_file: Path | None = None

    def headers(self) -> dict[str, str]:
        """Return what every request has."""
        # Whoever compresses a stream collects it first.
        headers = {"Accept-Encoding": "identity"}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        return headers

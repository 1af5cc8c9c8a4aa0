"""Where a node listens."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

DEFAULT_PORT = 7379


@dataclass(frozen=True)
class Endpoint:
    """A host and port, or a Unix socket's path; with it what the address said of the user."""

    host: str = ""
    port: int = DEFAULT_PORT
    path: str = ""
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @property
    def is_unix(self) -> bool:
        """Whether it is a Unix socket: on this host, and able to pass descriptors."""
        return bool(self.path)

    @property
    def is_on_this_host(self) -> bool:
        """Whether it is known to be, by the address alone."""
        if self.is_unix or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_endpoint(text: str) -> Endpoint:
    """Reads `host`, `host:port`, `[v6]:port`, `redis://user:password@host:port`, `unix:///path`, `unix:/path` or a path
    that begins with `/`; raises ``ValueError``, which never shows the password, for the rest."""
    if not isinstance(text, str):
        raise TypeError("an endpoint is a str")
    if text.startswith("/"):
        return Endpoint(path=text)
    if text.startswith("unix:") and not text.startswith("unix://"):
        text = "unix://" + text[5:]
    scheme, mark, _ = text.partition("://")
    if not mark:
        text, scheme = "redis://" + text, "redis"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("the endpoint's host or port cannot be read") from None
    username = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password is not None else None
    if scheme == "unix":
        if not parts.path or parts.hostname:
            raise ValueError("a Unix socket is unix:///PATH")
        return Endpoint(path=unquote(parts.path), username=username, password=password)
    if scheme not in ("redis", "larder"):
        raise ValueError(f"no endpoint: the scheme {scheme!r} is none of redis and unix; nodes speak no TLS")
    if not parts.hostname or parts.path not in ("", "/", "/0") or parts.query or parts.fragment:
        raise ValueError("an endpoint is HOST:PORT, redis://USER:PASSWORD@HOST:PORT or unix:///PATH")
    if port == 0:
        raise ValueError("a port is 1 to 65535")
    return Endpoint(host=parts.hostname, port=port or DEFAULT_PORT, username=username, password=password)

"""What a service is told: where it listens, who may write, and its limits."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from crossbit.errors import UserError


@dataclass(frozen=True)
class Settings:
    """Settings of a service.

    Attributes:
        host, port: where it listens; port 0 takes a free one.
        token: lets who sends it write; None where nobody may.
        public: the name by which a proxy in front is reached; None where there is none.
        workers: processes that answer.
        max_body: bytes of a request's body.
        max_picture_pixels: of a picture that is sent.
        max_k: hits of each modality.
        request_seconds: a request that takes longer is ended, and so is one whose head or body does not arrive in time.
        concurrent: requests worked on at the same time, in each process.
        queued: requests that wait for their turn; a further one is told to come again.
        connections: open at the same time, in each process.
        thumbnails_mb: of small pictures kept in memory.
        uri: where the index is, a folder or an address; None for the run's.
        exact: compare all codes, though there is an approximate tier.

    Raises:
        UserError: a host that others can reach, and no token.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    public: str | None = None
    workers: int = 1
    max_body: int = 20_000_000
    max_picture_pixels: int = 50_000_000
    max_k: int = 100
    request_seconds: float = 10.0
    concurrent: int = 2
    queued: int = 32
    connections: int = 500
    thumbnails_mb: int = 64
    uri: str | None = field(default=None, repr=False)  # may hold a password
    exact: bool = False

    def __post_init__(self) -> None:
        if not self.token and (not self.is_loopback or self.public):
            where = self.public or self.host
            raise UserError(
                f"others can reach {where}, so a token is needed: --token-file FILE, or CROSSBIT_TOKEN in the "
                "environment; without one, only this machine is served: --host 127.0.0.1"
            )
        if self.workers < 1:
            raise UserError(f"--workers is {self.workers}; it must be at least 1")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    @property
    def is_everywhere(self) -> bool:
        """Whether it listens at every address of this machine."""
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_unspecified
        except ValueError:
            return False

    @property
    def is_private(self) -> bool:
        """Whether whoever reaches it sits at this machine."""
        return self.is_loopback and not self.public


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this machine alone.

    >>> [is_loopback(host) for host in ("localhost", "127.0.0.2", "::1", "0.0.0.0", "example.org")]
    [True, True, True, False, False]
    """
    if host.casefold() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False

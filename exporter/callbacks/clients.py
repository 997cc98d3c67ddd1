"""
Whose request it is: the peer, or whoever a trusted proxy says that it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

Client: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Admission:
    """
    From where callbacks are taken.

    Args:
        allow: Empty: from everywhere.
        trusted_proxies: Whose ``X-Forwarded-For`` is believed.
    """

    allow: tuple[Network, ...] = ()
    trusted_proxies: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, allow: Iterable[str], trusted_proxies: Iterable[str]) -> Admission:
        """
        The networks in the config's text.

        Raises:
            ValueError: One is not a network.
        """
        return cls(*(tuple(ip_network(text, strict=False) for text in texts) for texts in (allow, trusted_proxies)))

    def admits(self, peer: str, forwarded_for: Sequence[str]) -> bool:
        """
        Whether a client may send callbacks.

        Args:
            forwarded_for: Values of ``X-Forwarded-For`` in their order.
        """
        if not self.allow:
            return True
        client = self._client(peer, forwarded_for)
        return client is not None and _is_in(client, self.allow)

    def _client(self, peer: str, forwarded_for: Sequence[str]) -> Client | None:
        """
        The last address that no trusted proxy has; ``None`` if the header of a trusted proxy is not understood.

        A proxy appends the address of its own peer, so only what stands behind the first stranger is known to be true.
        """
        client = _parse(peer)
        hops = [hop for value in forwarded_for for hop in value.split(",")]
        while client is not None and hops and _is_in(client, self.trusted_proxies):
            client = _parse(hops.pop())
        return client


def _parse(text: str) -> Client | None:
    try:
        address = ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _is_in(client: Client, networks: Iterable[Network]) -> bool:
    return any(client in network for network in networks)

"""
The same vendors over HTTPS.
"""

import ssl

import aiohttp
import pytest
import trustme

from exporter.simulator import Settings, Simulator


class Vault:
    """
    A certificate authority that a simulator's certificate is of, until it is replaced by another one.
    """

    def __init__(self) -> None:
        self.authority = trustme.CA()
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("127.0.0.1").configure_cert(self.server)

    def replace(self) -> None:
        """
        New connections are shown a certificate of another authority.
        """
        self.authority = trustme.CA()
        self.authority.issue_cert("127.0.0.1").configure_cert(self.server)

    def client(self) -> ssl.SSLContext:
        """
        What trusts the present authority, and no other.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.authority.configure_trust(context)
        return context


async def rooms(url: str, trust: ssl.SSLContext | None = None) -> int:
    """
    How many rooms the control API knows, asked for over a new connection.
    """
    address = f"{url}/_sim/rooms?api=zego_rtc"
    async with aiohttp.ClientSession() as session, session.get(address, ssl=trust or True) as response:
        return int((await response.json())["total"])


async def test_both_ports_show_the_same_world():
    """
    Over HTTP and over HTTPS the same rooms, also after the simulator was dark for a while.
    """
    vault = Vault()
    simulator = Simulator(Settings(rooms={"zego_rtc": 7}))
    await simulator.start(tls=vault.server)
    assert [7, 7] == [await rooms(simulator.url), await rooms(simulator.tls_url, vault.client())]

    await simulator.go_dark()
    with pytest.raises(aiohttp.ClientConnectorError):
        await rooms(simulator.tls_url, vault.client())
    await simulator.wake()
    assert 7 == await rooms(simulator.tls_url, vault.client())
    await simulator.stop()
    assert "" == simulator.tls_url


async def test_a_replaced_certificate_is_shown_to_new_connections():
    """
    Whoever trusts the old authority alone cannot connect any more; whoever trusts the new one can.
    """
    vault = Vault()
    old = vault.client()
    simulator = Simulator(Settings(rooms={"zego_rtc": 7}))
    await simulator.start(tls=vault.server)

    vault.replace()

    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        await rooms(simulator.tls_url, old)
    assert 7 == await rooms(simulator.tls_url, vault.client())
    await simulator.stop()

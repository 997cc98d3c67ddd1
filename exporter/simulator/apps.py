"""
The apps of the simulated vendors, and their credentials.

The demo credentials are fixed and obviously fake: they work with this simulator only.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

Vendor = Literal["zego", "tencent", "volcengine", "janus"]


@dataclass(frozen=True, slots=True)
class ZegoApp:
    """
    Attributes:
        server_secret: 32 characters. Empty: the vendor cannot find it (code 100000010).
        production: False for a project of the test environment: calls need `IsTest=true`.
        services: The products that are enabled in the console.
    """

    app_id: int
    server_secret: str = field(repr=False)
    production: bool = True
    services: frozenset[str] = frozenset({"zego_rtc", "zego_zim"})


@dataclass(frozen=True, slots=True)
class TencentApp:
    """
    Attributes:
        identifier: The app's admin account; REST calls of other accounts are refused.
        secret_key: Used as text, never hex-decoded.
    """

    sdk_app_id: int
    identifier: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class VolcengineApp:
    """One app. Apps with the same access key belong to one account, and share one limit."""

    app_id: str
    access_key_id: str
    secret_access_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class JanusServer:
    """A server of its own, told apart from others by the path of its admin API."""

    admin_path: str
    admin_secret: str = field(repr=False)
    admin_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Apps:
    """Every app of every vendor."""

    zego: tuple[ZegoApp, ...] = ()
    tencent: tuple[TencentApp, ...] = ()
    volcengine: tuple[VolcengineApp, ...] = ()
    janus: tuple[JanusServer, ...] = ()

    def ids(self) -> dict[str, tuple[str, ...]]:
        """The app ids of each vendor, as text, in their order; a Janus server's is its path."""
        return {
            "zego": tuple(str(app.app_id) for app in self.zego),
            "tencent": tuple(str(app.sdk_app_id) for app in self.tencent),
            "volcengine": tuple(app.app_id for app in self.volcengine),
            "janus": tuple(server.admin_path for server in self.janus),
        }


DEFAULT_APPS = Apps(
    zego=(ZegoApp(app_id=1234567890, server_secret="0123456789abcdef0123456789abcdef"),),
    tencent=(
        TencentApp(
            sdk_app_id=1400000000,
            identifier="administrator",
            secret_key="5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e",
        ),
    ),
    volcengine=(
        VolcengineApp(
            app_id="661e000000000000000543cf",
            access_key_id="AKLTEXAMPLEaccesskeyid0000000000",
            secret_access_key="RXhhbXBsZVNlY3JldEtleUV4YW1wbGVTZWNyZXQ9PQ==",
        ),
    ),
    janus=(JanusServer("/admin", admin_secret="example-admin-secret", admin_key="example-admin-key"),),
)

SEVERAL_APPS = Apps(
    zego=(
        *DEFAULT_APPS.zego,
        ZegoApp(app_id=1234567891, server_secret="fedcba9876543210fedcba9876543210"),
    ),
    tencent=(
        *DEFAULT_APPS.tencent,
        TencentApp(
            sdk_app_id=1400000001,
            identifier="manager",
            secret_key="1f0c2e5d4b3a69788796a5b4c3d2e1f00112233445566778899aabbccddeeff0",
        ),
    ),
    volcengine=(
        *DEFAULT_APPS.volcengine,
        replace(DEFAULT_APPS.volcengine[0], app_id="661e000000000000000543d0"),
        VolcengineApp(
            app_id="661e000000000000000543d1",
            access_key_id="AKLTEXAMPLEaccesskeyid0000000001",
            secret_access_key="QW5vdGhlckV4YW1wbGVTZWNyZXRLZXkwMDAwMDAwMA==",
        ),
    ),
    janus=(
        *DEFAULT_APPS.janus,
        JanusServer("/other/admin", admin_secret="another-admin-secret", admin_key="another-admin-key"),
    ),
)
"""The default apps, and for each vendor a second one; at Volcengine on the same account, and a third on another."""


class Credentials:
    """The vendors' own record of apps: looked up at every call, changed when a secret is rotated."""

    def __init__(self, apps: Apps) -> None:
        self.zego = {str(app.app_id): app for app in apps.zego}
        self.tencent = {str(app.sdk_app_id): app for app in apps.tencent}
        self.volcengine = {app.app_id: app for app in apps.volcengine}
        self.janus = {server.admin_path: server for server in apps.janus}
        self.access_keys = {app.access_key_id: app.secret_access_key for app in apps.volcengine}

    def rotate(self, vendor: Vendor, app: str, secret: str) -> None:
        """
        Give an app a new secret; the old one is worthless from now on.

        Args:
            app: The app id as text. At Volcengine the secret is its account's, so all apps of that access key follow.

        Raises:
            KeyError: The vendor has no such app.
        """
        rotations: dict[Vendor, Callable[[], None]] = {
            "zego": lambda: self.zego.update({app: replace(self.zego[app], server_secret=secret)}),
            "tencent": lambda: self.tencent.update({app: replace(self.tencent[app], secret_key=secret)}),
            "janus": lambda: self.janus.update({app: replace(self.janus[app], admin_secret=secret)}),
            "volcengine": lambda: self.access_keys.update({self.volcengine[app].access_key_id: secret}),
        }
        rotations[vendor]()

"""
Who may come in at the port: TLS, passwords, headers and a rate limit, in the exporter-toolkit's web config.

::

    schema, document    what may stand in the file, and problems with their lines
    config              the file and all that it names, as the server uses it
    guard               that, read anew; middleware for requests
    acceptor, tls       handshakes; each takes the certificate of the moment
    users, rate_limit   passwords, and the token bucket
    client              the same from the other side, for ``rtc-room-exporter healthy``
"""

from exporter.web.security.acceptor import Acceptor
from exporter.web.security.client import ClientConfig, load_client_config
from exporter.web.security.config import WebConfig, load_web_config
from exporter.web.security.guard import Guard

__all__ = ["Acceptor", "ClientConfig", "Guard", "WebConfig", "load_client_config", "load_web_config"]

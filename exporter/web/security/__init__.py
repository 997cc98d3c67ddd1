"""
Who may come in at the port: TLS, passwords, headers and a rate limit, in the exporter-toolkit's web config.

::

    schema, files       what may stand in the file, and the files that it names
    config              all of that, as the server uses it
    guard               that, read anew; middleware for requests
    acceptor, tls       handshakes; each takes the certificate of the moment
    users, rate_limit   passwords, and the token bucket
    client              the same from the other side, for ``rtc-room-exporter healthy``
"""

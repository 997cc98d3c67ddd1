"""
Access to the port: TLS, passwords, headers and a rate limit, configured in the exporter-toolkit's web config file.

::

    schema, files       the keys of the file; reading it and the files that it names
    config              the result, as the server uses it
    guard               reloads the config when a file changes; middleware for requests
    acceptor, tls       TLS handshakes, each with the present certificate
    users, rate_limit   passwords; the token bucket
    client              the config of a client, for ``rtc-room-exporter healthy``
"""

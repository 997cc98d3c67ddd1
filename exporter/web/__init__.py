"""The HTTP server: scrapes, health, the JSON API, and in ``page`` the status page."""

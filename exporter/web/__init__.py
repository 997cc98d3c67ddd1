"""The HTTP side: scrapes, health, the JSON API and the status page."""

"""The metrics: their catalogue, the last reading of every room, and the bytes of a scrape."""

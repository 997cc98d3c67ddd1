"""The status page: overview, list of rooms, view of one room, and the handbook."""

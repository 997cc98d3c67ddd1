"""Deployment files that are made from others. ``make generate`` writes them again."""

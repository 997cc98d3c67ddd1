"""Generates deployment files from other files. ``make generate`` runs it."""

"""
How many people are in each live room right now, from five vendor APIs to Prometheus.

Data walks one way: ``config → rooms → polling → vendors → polling → metrics → web``; imports point down and never up.
"""

__version__ = "0.1.0"

"""
The dashboards, written in Python and committed as JSON: ``python grafana/generate.py`` writes them anew.

Metric names and their help come from the catalogue, so that a dashboard cannot show what the exporter does not publish.
"""

"""
The dashboards, written in Python and committed as JSON. ``make generate`` writes them again.

Metric names and their help come from the exporter's catalogue, so a dashboard cannot show what is not published.
"""

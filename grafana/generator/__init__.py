"""
Generates the dashboards: they are written in Python and committed as JSON. ``make generate`` writes the files.

Metric names and help texts come from the exporter's catalogue, so a dashboard cannot query an unknown metric.
"""

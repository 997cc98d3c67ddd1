"""Write every dashboard into ``grafana/dashboards``: ``python -m grafana.generator``."""

from grafana.generator.dashboards import write

write()

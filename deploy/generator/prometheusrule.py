"""
Converts the rules of ``deploy/prometheus/rules`` into a manifest for the Prometheus operator.

Each file of rules becomes one PrometheusRule, unchanged and with its comments. They are not merged into one, since
names of groups must be unique within a PrometheusRule, as within a file.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Final

_DEPLOY: Final = Path(__file__).resolve().parents[1]
FILE: Final = _DEPLOY / "kubernetes" / "prometheusrule.yaml"
RULES: Final = _DEPLOY / "prometheus" / "rules"

_HEAD: Final = """\
# Made from deploy/prometheus/rules by `make generate`: edit those files, and run it again.
# For the Prometheus operator. Many installations only look at PrometheusRules with a certain label, often `release`.
"""
_MANIFEST: Final = """\
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: rtc-room-exporter-{name}
  labels:
    app.kubernetes.io/name: rtc-room-exporter
spec:
"""


def rendered() -> str:
    """The text of all manifests."""
    return _HEAD + "".join(
        _MANIFEST.format(name=path.stem) + textwrap.indent(path.read_text(encoding="utf-8"), "  ")
        for path in sorted(RULES.glob("*.yml"))
    )

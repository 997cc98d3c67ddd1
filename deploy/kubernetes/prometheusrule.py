#!/usr/bin/env python3
"""
Write ``prometheusrule.yaml`` beside this script: the rules of ``deploy/prometheus/rules`` for the Prometheus operator.

Run it after every change of a rule. Each file of rules becomes a PrometheusRule of its own, word for word and with its
comments: the operator, like Prometheus, wants the names of groups to differ within one.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Final

FILE: Final = Path(__file__).resolve().with_suffix(".yaml")
RULES: Final = FILE.parents[1] / "prometheus" / "rules"

_HEAD: Final = """\
# Made by deploy/kubernetes/prometheusrule.py from deploy/prometheus/rules: edit those, run it again.
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
    """The text of the manifests."""
    return _HEAD + "".join(
        _MANIFEST.format(name=path.stem) + textwrap.indent(path.read_text(encoding="utf-8"), "  ")
        for path in sorted(RULES.glob("*.yml"))
    )


if __name__ == "__main__":
    FILE.write_text(rendered(), encoding="utf-8")

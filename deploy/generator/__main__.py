"""Write all generated files: ``python -m deploy.generator``."""

from deploy.generator import prometheusrule

prometheusrule.FILE.write_text(prometheusrule.rendered(), encoding="utf-8")

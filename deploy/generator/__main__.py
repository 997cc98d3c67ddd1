"""Write every file that this package makes: ``python -m deploy.generator``."""

from deploy.generator import prometheusrule

prometheusrule.FILE.write_text(prometheusrule.rendered(), encoding="utf-8")

"""
Several exporters with one config: which of them polls what.
"""

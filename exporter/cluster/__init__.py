"""
Several replicas share the budgets of one config: who may call, what the next one inherits, and what each publishes.
"""

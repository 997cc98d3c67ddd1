"""When to call which vendor: which rooms are due, when the budget allows a call, and how to react to a failure."""

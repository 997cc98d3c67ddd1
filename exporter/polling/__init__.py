"""When to call whom: which rooms are due, when the vendor's limit allows a call, and what to do when it fails."""

"""
What the user can mend. The command line prints it without a traceback; any other exception is a bug.
"""

from __future__ import annotations


class UserError(Exception):
    """
    A config, an address or a vendor's answer is wrong, and the text says so: what was found, where, what is accepted.
    """

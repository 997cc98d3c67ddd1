"""
Errors that the user can correct. The command line prints their text without a traceback. Any other exception is a bug.
"""

from __future__ import annotations


class UserError(Exception):
    """
    A config, an address or a vendor's answer is wrong. The text says where, what was found and what is accepted.
    """

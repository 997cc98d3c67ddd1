"""
How many examples each parser of outside bytes is given: few in every run of the tests, 10,000 in a soak.
"""

from __future__ import annotations

import pytest

EDITIONS = [100, pytest.param(10_000, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])]

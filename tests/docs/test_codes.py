"""
`docs/failure-codes.md` has every code that the codecs know.
"""

from __future__ import annotations

import pytest

from tests.docs.codes import PAGE, page

pytestmark = pytest.mark.docs


def test_the_page_is_as_the_code_has_it() -> None:
    """
    Code, reason and meaning of every one, for who finds it in a log. ``python -m tests.docs.codes`` writes the page.
    """
    assert page() == PAGE.read_text(encoding="utf-8")

"""
A page as a browser reads it: elements with their attributes and text, in order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {"meta", "link", "input", "img", "br", "wbr", "rect", "path"}


@dataclass
class Element:
    """
    One element; ``text`` is that of all it holds.
    """

    tag: str
    attributes: dict[str, str | None]
    text: str = ""
    path: tuple[str, ...] = field(default=(), repr=False)

    @property
    def classes(self) -> set[str]:
        """
        The names in its ``class``.
        """
        return set((self.attributes.get("class") or "").split())


class Html(HTMLParser):
    """
    A parsed page.
    """

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(text)
        self.close()
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """
        Note an element.
        """
        element = Element(tag, dict(attrs), path=tuple(f"{of.tag}#{of.attributes.get('id', '')}" for of in self._open))
        assert len(element.attributes) == len(attrs), f"an attribute twice: {attrs}"
        self.elements.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """
        Note an element without content.
        """
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        """
        Note where an element ends; elements must be nested.
        """
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        """
        Note text.
        """
        for element in self._open:
            element.text += data

    def find(self, tag: str, **attributes: str) -> list[Element]:
        """
        Elements of a tag with these attributes (``class_``: among its classes).
        """
        wanted = attributes.pop("class_", None)
        return [
            element
            for element in self.elements
            if element.tag == tag
            and (wanted is None or wanted in element.classes)
            and all(value == element.attributes.get(name.replace("_", "-")) for name, value in attributes.items())
        ]

    def rows(self, table: str) -> list[str]:
        """
        The rows of a table's body, as their text with single spaces.
        """
        rows = [element for element in self.find("tr") if element.path[-1] == "tbody#"]
        tables = [element for element in self.elements if element.tag == "table"]
        assert table in {name for of in tables for name in of.classes} or not rows
        section = f"section#{table}"
        return [" ".join(row.text.split()) for row in rows if section in row.path]

"""The names that code written for Antenna imports, as docs/reference/antenna.md lists them."""

import ast
import re
from functools import reduce
from importlib import import_module

import pytest
from django.conf import settings

PAGE = (settings.ROOT / "docs" / "reference" / "antenna.md").read_text()
MARK = "Names for code that was written for Antenna."
ROWS = re.findall(r"^\| `(ami\.[\w.]+)` \| ([^|]+) \|", PAGE, flags=re.MULTILINE)
NAMES = [(module, name) for module, names in ROWS for name in re.findall(r"`([\w.]+)`", names)]


@pytest.mark.parametrize(("module", "name"), NAMES, ids=map(".".join, NAMES))
def test_name_is_there(module: str, name: str) -> None:
    reduce(getattr, name.split("."), import_module(module))


def test_modules_that_exist_only_for_antenna_are_listed_and_marked() -> None:
    table = PAGE.partition("## Names that exist only")[2].partition("These members")[0]
    listed = re.findall(r"^\| `(ami\.[\w.]+)` ", table, flags=re.MULTILINE)
    marked = [
        ".".join(path.relative_to(settings.ROOT).with_suffix("").parts)
        for path in (settings.ROOT / "ami").rglob("*.py")
        if ast.get_docstring(ast.parse(path.read_text())) == MARK
    ]
    assert sorted(marked) == sorted(listed)
    for module in marked:
        exported = {(module, name) for name in import_module(module).__all__}
        assert exported <= set(NAMES)

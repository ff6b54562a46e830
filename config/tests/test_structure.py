"""Rules of the project that no linter checks."""

import ast
import pkgutil
import re
from collections.abc import Iterator

from django.conf import settings
from markdown_it import MarkdownIt

LONGEST_MODULE = 350
LONGEST_FUNCTION = 50
MODULES = sorted(
    path.relative_to(settings.ROOT)
    for pattern in ("*.py", "ami/**/*.py", "config/**/*.py", "benchmarks/**/*.py")
    for path in settings.ROOT.glob(pattern)
    if "migrations" not in path.parts
)
PAGES = sorted(
    path.relative_to(settings.ROOT)
    for pattern in ("*.md", "docs/**/*.md")
    for path in settings.ROOT.glob(pattern)
    if "_build" not in path.parts
)
# `ami.jobs.tasks.tick` in a sentence, or `from ami.jobs.models import Job` in an example.
NAME = re.compile(r"`~?(ami(?:\.\w+)+)(?:\(\))?`")
IMPORT = re.compile(r"from (ami[\w.]*) import ([\w, ]+)")
FILE = re.compile(r"`((?:ami|benchmarks|config|docs|requirements)/[\w./-]+)`")


def long_functions(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > LONGEST_FUNCTION:
            yield f"{node.name}: {lines} lines"


def test_modules_and_their_functions_are_short() -> None:
    sources = {str(module): (settings.ROOT / module).read_text() for module in MODULES}
    lines = {module: len(source.splitlines()) for module, source in sources.items()}
    assert {module: number for module, number in lines.items() if number > LONGEST_MODULE} == {}
    functions = {module: list(long_functions(source)) for module, source in sources.items()}
    assert {module: found for module, found in functions.items() if found} == {}
    assert len(sources) > 800


def test_long_function_is_found() -> None:
    source = "def long():\n" + "    pass\n" * LONGEST_FUNCTION
    assert list(long_functions(source)) == ["long: 51 lines"]


def test_tests_that_detect_faults_are_where_the_table_says() -> None:
    page = (settings.ROOT / "docs" / "how-to" / "test.md").read_text()
    rows = re.findall(r"`(test_\w+\.py)`: `(test_\w+)` \|$", page, flags=re.MULTILINE)
    assert rows
    tests = {
        (module.name, name)
        for module in MODULES
        if module.name.startswith("test_")
        for name in re.findall(r"^ *def (test_\w+)", (settings.ROOT / module).read_text(), re.M)
    }
    assert set(rows) <= tests


def unnamed_fences(text: str) -> list[str]:
    """Return the first line of each code block whose fence names no language."""
    tokens = MarkdownIt().parse(text)
    return [t.content.partition("\n")[0] for t in tokens if t.type == "fence" and not t.info]


def test_every_code_block_names_its_language() -> None:
    found = {str(page): unnamed_fences((settings.ROOT / page).read_text()) for page in PAGES}
    assert {page: fences for page, fences in found.items() if fences} == {}
    assert len(found) > 40


def test_code_block_without_a_language_is_found() -> None:
    assert unnamed_fences("```python\npass\n```\n\n1. Run\n\n   ```\n   ls\n   ```\n") == ["ls"]


def unknown_names(text: str) -> list[str]:
    """Return the names of this project and the paths in the text that do not exist."""
    names = NAME.findall(text)
    names += [f"{module}.{name}" for module, some in IMPORT.findall(text) for name in _split(some)]
    files = [path for path in FILE.findall(text) if not (settings.ROOT / path).exists()]
    return [name for name in names if not _exists(name)] + files


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _exists(name: str) -> bool:
    try:
        pkgutil.resolve_name(name)
    except (AttributeError, ImportError):
        return False
    return True


def test_names_and_paths_in_the_documentation_exist() -> None:
    pages = [page for page in PAGES if page.name != "CHANGELOG.md"]  # it also names former ones
    found = {str(page): unknown_names((settings.ROOT / page).read_text()) for page in pages}
    assert {page: names for page, names in found.items() if names} == {}


def test_name_that_does_not_exist_is_found() -> None:
    text = (
        "`ami.jobs.gone`, `ami.jobs.tasks.tick()`, `ami/gone.py`\nfrom ami.jobs import a, tasks\n"
    )
    assert unknown_names(text) == ["ami.jobs.gone", "ami.jobs.a", "ami/gone.py"]

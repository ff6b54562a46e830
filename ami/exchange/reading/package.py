"""Data packages: a datapackage.json that names tables. See https://specs.frictionlessdata.io."""

import json
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from ami.exchange.base import ImportRefusedError
from ami.exchange.reading.files import Files
from ami.exchange.reading.rows import Row, rows_of

DESCRIPTION = "datapackage.json"
# What stands for an empty cell where the schema is that of the standard.
MISSING = frozenset({"NA", "NaN", "nan"})


class Resource(NamedTuple):
    """A table, in one or several files; `encoding` is None if it is to be recognised.

    `missing` are the texts that stand for an empty cell.
    """

    paths: tuple[str, ...]
    encoding: str | None
    missing: frozenset[str] = frozenset()


class Package:
    """The tables of a package by their names."""

    def __init__(self, files: Files) -> None:
        """Raises ImportRefusedError if the description cannot be read."""
        self._files = files
        content = files.text(DESCRIPTION)
        try:
            self.description: Any = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise ImportRefusedError(f"{DESCRIPTION} is not JSON in UTF-8: {error}.") from None
        named = self.description.get("resources") if isinstance(self.description, dict) else None
        if not isinstance(named, list) or not all(isinstance(one, dict) for one in named):
            raise ImportRefusedError(f"{DESCRIPTION} must have a list of objects as resources.")
        self._resources = {str(one.get("name")): _resource(one) for one in named}

    def __contains__(self, name: str) -> bool:
        return name in self._resources

    def rows(self, name: str, columns: Collection[str]) -> Iterator[Row]:
        """Yield the rows of a table, which must have the columns. Raises ImportRefusedError."""
        if name not in self._resources:
            raise ImportRefusedError(f"{DESCRIPTION} names no resource {name}.")
        resource = self._resources[name]
        if not resource.paths:
            raise ImportRefusedError(
                f"{DESCRIPTION}: the resource {name} must have the path of a CSV file."
            )
        for path in resource.paths:
            with self._files.open(path) as file:
                for row in rows_of(path, file, columns, encoding=resource.encoding):
                    if not resource.missing.isdisjoint(row.cells.values()):
                        row.cells = {
                            name: "" if cell in resource.missing else cell
                            for name, cell in row.cells.items()
                        }
                    yield row


def _missing(schema: Any) -> frozenset[str]:
    """Return what a schema says; one that is only named is that of the standard."""
    if not isinstance(schema, dict):
        return MISSING
    told = schema.get("missingValues")
    return frozenset(map(str, told)) if isinstance(told, list) else frozenset()


def _resource(described: dict[str, Any]) -> Resource:
    paths = described.get("path")
    paths = paths if isinstance(paths, list) else [paths]
    encoding, missing = described.get("encoding"), _missing(described.get("schema"))
    if not all(isinstance(path, str) and path for path in paths):
        return Resource((), None)
    if not isinstance(encoding, str) or encoding.lower().replace("_", "-") in {"utf-8", "utf8"}:
        return Resource(tuple(paths), None, missing)
    return Resource(tuple(paths), encoding.lower(), missing)

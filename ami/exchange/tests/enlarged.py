"""Large files for tests of memory, made of the samples."""

import json
import shutil
from pathlib import Path
from typing import Any

# Copies of a row differ in these, so that they stay apart and keep their links to each other.
OWN = ("id", "image_id", "individual_id", "source_image_id", "occurrence_id")
DWC = ("mediaID", "eventID", "individualID", "observationID", "occurrenceID")
IDS = frozenset({*OWN, *DWC})
# Lists that grow with the captures; others, such as categories, stay as they are.
LISTS = frozenset({"images", "annotations", "detections", "source_images"})
SMALL = frozenset({"deployments.csv"})


def enlarge(sample: Path, folder: Path, times: int) -> Path:
    """Write the sample into the folder with each of its rows as many times, and return its path."""
    target = folder / f"{times}" / sample.name
    if sample.is_dir():
        shutil.copytree(sample, target)
    else:
        target.parent.mkdir()
        shutil.copy(sample, target)
    for file in target.rglob("*") if target.is_dir() else [target]:
        if file.suffix in {".csv", ".txt"} and file.name not in SMALL:
            file.write_text(_table(file.read_text(), times))
        elif file.suffix == ".json" and file.name != "datapackage.json":
            file.write_text(json.dumps(_document(json.loads(file.read_text()), times)))
    return target


def _document(value: Any, times: int) -> Any:
    if isinstance(value, list):
        return [_copy(one, number) for number in range(times) for one in value]
    return {
        key: _document(one, times) if key in LISTS and isinstance(one, list) else one
        for key, one in value.items()
    }


def _copy(value: Any, number: int) -> Any:
    if isinstance(value, dict):
        return {
            key: f"{one}-{number}" if key in IDS and one is not None else _copy(one, number)
            for key, one in value.items()
        }
    return [_copy(one, number) for one in value] if isinstance(value, list) else value


def _table(text: str, times: int) -> str:
    header, *lines = text.splitlines()
    separator = max(",;\t", key=header.count)
    ids = [index for index, name in enumerate(header.split(separator)) if name in IDS]
    rows = [header]
    for number in range(times):
        for line in lines:
            cells = line.split(separator)
            for index in ids:
                cells[index] += f"-{number}" if cells[index] else ""
            rows.append(separator.join(cells))
    return "\n".join(rows) + "\n"

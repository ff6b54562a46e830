"""What a project contains, in words that do not depend on its ids.

Two projects agree in a fact if its function returns the same for both.
"""

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from ami.exchange.importing.people import IMPORTER
from ami.main.models import Classification, Detection, Identification, Project, SourceImage
from ami.main.taxonomy import IMPORT_ALGORITHM


class Contents:
    """The captures and detections of a project that a file can carry.

    `path` returns the path that a capture has in the file.
    """

    def __init__(
        self,
        project: Project,
        *,
        holds_capture: Callable[[SourceImage], bool] = lambda one: True,
        holds_detection: Callable[[Detection], bool] = lambda one: True,
        path: Callable[[str], str] = str,
    ) -> None:
        self._path = path
        captures = project.captures.select_related("deployment", "event").order_by("pk")
        self.captures = list(filter(holds_capture, captures))
        detections = Detection.objects.filter(source_image__in=self.captures)
        rows = detections.select_related("source_image__deployment", "occurrence__determination")
        self.detections = list(filter(holds_detection, rows.order_by("pk")))
        self.occurrences: dict[Any, list[Detection]] = {}
        for one in self.detections:
            self.occurrences.setdefault(one.occurrence_id or ("none", one.pk), []).append(one)

    def capture(self, one: SourceImage) -> tuple[str, str]:
        return str(one.deployment), self._path(one.path)

    def detection(self, one: Detection) -> tuple[Any, ...]:
        """A detection by its capture and its box."""
        box = (round(number, 4) for number in one.bbox or ())
        return *self.capture(one.source_image), *box

    def classifications(self, one: Detection) -> Any:
        rows = Classification.objects.filter(detection=one)
        return rows.select_related("taxon", "algorithm", "applied_to")

    def answers(self) -> list[tuple[Any, Identification]]:
        """The identification that counts of each occurrence, with its detections."""
        found = []
        for pk, detections in self.occurrences.items():
            if isinstance(pk, int):
                rows = Identification.objects.filter(
                    occurrence=pk, withdrawn=False, taxon__isnull=False
                )
                if last := rows.order_by("created_at", "pk").last():
                    found.append((tuple(sorted(map(self.detection, detections))), last))
        return found


def person(one: Identification) -> str:
    """Who identified an occurrence; an import keeps the name as the comment."""
    if one.user is None or one.user.email == IMPORTER:
        return one.comment
    return one.user.name.strip() or f"Person {one.user.pk}"


def algorithm(one: Classification) -> tuple[str, int | None]:
    row = one.algorithm
    if row is None or row.name == IMPORT_ALGORITHM:
        return "", None
    return row.name.strip(), row.version


def said(one: Classification | None) -> Any:
    if one is None or one.taxon is None:
        return None
    return one.taxon.name, one.score, algorithm(one), one.terminal, one.timestamp


def local(one: SourceImage) -> Any:
    """The local time, which is the same twice when a clock is set back."""
    if one.timestamp is None or one.deployment is None:
        return None
    return one.timestamp.astimezone(ZoneInfo(one.deployment.time_zone)).replace(tzinfo=None)


def best(contents: Contents, one: Detection) -> Classification | None:
    row: Classification | None = (
        contents.classifications(one).filter(taxon__isnull=False).best_first().first()
    )
    return row


def identification(one: Detection) -> Identification | None:
    """The identification that counts."""
    rows = Identification.objects.filter(occurrence=one.occurrence_id, withdrawn=False)
    return rows.filter(taxon__isnull=False).order_by("created_at", "pk").last()


def is_identified(one: Detection) -> bool:
    return identification(one) is not None


def name(contents: Contents, one: Detection) -> str:
    """The name that a person gave, or else that of the best classification."""
    named = identification(one) or best(contents, one)
    return named.taxon.name if named and named.taxon else ""


def determination(contents: Contents, one: Detection) -> str:
    """The name of the occurrence; a detection without one becomes an occurrence of its own."""
    if one.occurrence is None:
        return name(contents, one)
    return one.occurrence.determination.name if one.occurrence.determination else ""

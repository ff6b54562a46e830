"""Writing of the records of an occurrence export.

Existing rows are found by natural keys and left unchanged: a capture by deployment and path, a
detection by capture and crop (or box), an occurrence by its detections, a classification by
detection and algorithm, a night by deployment and day, and all others by name.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from django.db import transaction

from ami.base import audit
from ami.base.words import counted
from ami.exchange.base import refresh_statistics, wait_for_turn
from ami.exchange.occurrence_file import Example, Record, detection_key
from ami.exchange.occurrence_parents import (
    BATCH,
    CaptureKey,
    ImportReport,
    NightKey,
    ensure_algorithm,
    ensure_captures,
    ensure_deployments,
    ensure_nights,
    ensure_project,
    ensure_taxa,
)
from ami.main.counts import refresh_counts
from ami.main.determinations import update_determinations
from ami.main.events import update_event_times
from ami.main.models import (
    Classification,
    Detection,
    Event,
    Occurrence,
    Project,
    SourceImage,
    SourceImageCollection,
)
from ami.ml.models import Algorithm
from ami.users.models import User

CAPTURE_SET = "All captures"
DetectionKey = tuple[int, str | tuple[float, ...]]


@dataclass
class _Import:
    """The rows that all batches of one import use."""

    algorithm: Algorithm
    nights: dict[NightKey, Event]
    captures: dict[CaptureKey, SourceImage]
    taxa: dict[str, int]
    report: ImportReport
    touched: set[int] = field(default_factory=set)

    def capture(self, record: Record, example: Example) -> SourceImage:
        return self.captures[record.deployment, example.capture_path]

    def key(self, record: Record, example: Example) -> DetectionKey:
        return self.capture(record, example).pk, detection_key(example)


def import_occurrences(
    records: list[Record],
    *,
    project_name: str,
    user: User | None = None,
    on_batch: Callable[[int], object] | None = None,
) -> ImportReport:
    """Add the missing `records` to the project, in one transaction.

    The project is created if there is none of that name, with `user` as its owner. The audit
    records `user`. Raises ImportRefusedError if there are
    two. `on_batch` is called with the number of records of each batch.
    """
    report = ImportReport()
    with transaction.atomic():
        wait_for_turn("import_occurrences")
        project = ensure_project(project_name, report, owner=user)
        state = _prepare(records, project, report)
        for start in range(0, len(records), BATCH):
            batch = records[start : start + BATCH]
            _write_batch(batch, state)
            if on_batch:
                on_batch(len(batch))
        _finish(state, project, user)
    return report


def _prepare(records: list[Record], project: Project, report: ImportReport) -> _Import:
    """Create the rows that the detections refer to."""
    deployments = ensure_deployments({record.deployment for record in records}, project)
    nights = ensure_nights(records, deployments)
    taxa = ensure_taxa(records, project, report)
    return _Import(
        algorithm=ensure_algorithm(taxa),
        nights=nights,
        captures=ensure_captures(records, nights, report),
        taxa=taxa,
        report=report,
    )


def _write_batch(records: list[Record], state: _Import) -> None:
    known = _known_detections(records, state)
    occurrences = _occurrences(records, known, state)
    missing = [
        Detection(
            source_image=state.capture(record, example),
            bbox=example.bbox,
            timestamp=example.timestamp,
            path=example.crop_path or "",
            occurrence_id=occurrences[record.id],
        )
        for record in records
        for example in record.examples
        if state.key(record, example) not in known
    ]
    Detection.objects.bulk_create(missing)
    state.report.detections += len(missing)
    known |= {_key(detection): detection for detection in missing}
    _classify(records, known, state)


def _key(detection: Detection) -> DetectionKey:
    return detection.source_image_id, detection.path or tuple(detection.bbox or ())


def _known_detections(records: list[Record], state: _Import) -> dict[DetectionKey, Detection]:
    examples = [(record, example) for record in records for example in record.examples]
    keys = {state.key(*pair) for pair in examples}
    captures = {capture for capture, _ in keys}
    rows = Detection.objects.filter(source_image__in=captures).order_by("-pk")
    found = {_key(row): row for row in rows.defer("similarity_vector")}
    return {key: row for key, row in found.items() if key in keys}


def _occurrences(
    records: list[Record], known: dict[DetectionKey, Detection], state: _Import
) -> dict[str, int | None]:
    """Return the occurrence of each record: that of its detections, or a new one."""
    found: dict[str, int | None] = {}
    missing: dict[str, Occurrence] = {}
    for record in records:
        rows = [known.get(state.key(record, example)) for example in record.examples]
        found[record.id] = next(
            (row.occurrence_id for row in rows if row and row.occurrence_id), None
        )
        if found[record.id] is None and None in rows:
            night = state.nights[record.deployment, record.event.day.isoformat()]
            missing[record.id] = Occurrence(
                event=night, deployment_id=night.deployment_id, project_id=night.project_id
            )
    Occurrence.objects.bulk_create(missing.values())
    state.report.occurrences += len(missing)
    return found | {record_id: row.pk for record_id, row in missing.items()}


def _classify(
    records: list[Record], detections: dict[DetectionKey, Detection], state: _Import
) -> None:
    classified = set(
        Classification.objects.filter(
            algorithm=state.algorithm, detection__in=[row.pk for row in detections.values()]
        ).values_list("detection_id", flat=True)
    )
    missing = [
        Classification(
            detection=detection,
            taxon_id=state.taxa[example.label],
            score=example.score,
            timestamp=example.timestamp,
            algorithm=state.algorithm,
            category_map_id=state.algorithm.category_map_id,
        )
        for record in records
        for example in record.examples
        if (detection := detections[state.key(record, example)]).pk not in classified
    ]
    Classification.objects.bulk_create(missing)
    state.report.classifications += len(missing)
    state.touched |= {row.detection.occurrence_id for row in missing if row.detection.occurrence_id}


def _finish(state: _Import, project: Project, user: User | None) -> None:
    """Update determinations, nights and counts, if rows were added."""
    if state.touched or state.report.captures:
        refresh_statistics(SourceImage, Detection, Classification, Occurrence)
        update_determinations(state.touched)
        update_event_times(event.pk for event in state.nights.values())
        _capture_set(project).populate_sample()
        refresh_counts()
        imported = counted(state.report.occurrences, "occurrence")
        audit.record(
            [project],
            kind=audit.Kind.BULK_EDIT,
            user=user,
            message=f"Imported {imported} from a file.",
        )


def _capture_set(project: Project) -> SourceImageCollection:
    known = SourceImageCollection.objects.filter(project=project, name=CAPTURE_SET)
    return known.order_by("pk").first() or SourceImageCollection.objects.create(
        project=project, name=CAPTURE_SET, method=SourceImageCollection.Method.FULL
    )

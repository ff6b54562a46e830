"""The captures of a batch: found by deployment and path, compared, or created."""

from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection
from django.utils import timezone

from ami.base.copying import copy_rows, next_ids
from ami.base.models import change_rows
from ami.exchange.importing.media import look
from ami.exchange.importing.options import ImportOptions
from ami.exchange.importing.parents import Parents
from ami.exchange.plan import Change, ImportPlan, Outcome
from ami.exchange.reading.records import CaptureRecord
from ami.main.checks.time_outside_night import FIRST_CAMERAS
from ami.main.models import SourceImage

DAY = timedelta(days=1)
COLUMNS = (
    "id",
    "project_id",
    "deployment_id",
    "event_id",
    "path",
    "timestamp",
    "width",
    "height",
)
# A detection has the time of its capture.
DETECTION_TIMES = """
UPDATE main_detection d SET timestamp = s.timestamp, updated_at = now()
FROM main_sourceimage s
WHERE s.id = d.source_image_id AND s.id = ANY(%s) AND d.timestamp IS DISTINCT FROM s.timestamp
"""
CaptureKey = tuple[str, str]


class Placed(NamedTuple):
    """A capture of the file, and the first place where it stands."""

    place: str
    capture: CaptureRecord


def ensure_captures(
    found: Mapping[CaptureKey, Placed],
    parents: Parents,
    plan: ImportPlan,
    options: ImportOptions,
    *,
    sized: Iterable[CaptureKey],
) -> tuple[dict[CaptureKey, SourceImage], set[int]]:
    """Return the row of each capture, and the deployments with captures whose time was changed.

    Captures of `sized` get a size, from the pictures if need be.
    """
    known = known_captures(found, parents)
    _take_sizes(found, known, options.media, sized, plan=plan, told=parents.told)
    untold = {
        key: placed
        for key, placed in found.items()
        if key not in known or known[key].pk not in parents.told
    }
    _tell_odd_times(untold, parents, plan)
    moved = _compare(known, untold, parents, plan, update=options.update)
    missing = [key for key in found if key not in known]
    parents.ensure_nights((found[key].capture for key in missing), plan)
    ids = next_ids(SourceImage, len(missing))
    new = {
        key: SourceImage(
            pk=pk,
            project_id=parents.project.pk,
            deployment_id=parents.deployments[key[0]].pk,
            event_id=parents.event_of(capture := found[key].capture),
            path=capture.path,
            timestamp=parents.aware(capture.timestamp, capture),
            width=capture.width,
            height=capture.height,
        )
        for pk, key in zip(ids, missing, strict=True)
    }
    if new:
        values = ([getattr(row, name) for name in COLUMNS] for row in new.values())
        copy_rows(SourceImage, COLUMNS, values)
    plan.count(Outcome.CREATED, SourceImage, len(new))
    rows = known | new
    parents.told |= {row.pk for row in rows.values()}
    return rows, moved


def known_captures(keys: Iterable[CaptureKey], parents: Parents) -> dict[CaptureKey, SourceImage]:
    """Return the captures that exist."""
    names = {row.pk: name for name, row in parents.deployments.items()}
    wanted = set(keys)
    rows = SourceImage.objects.filter(
        deployment__in={parents.deployments[name].pk for name, _ in wanted},
        path__in={path for _, path in wanted},
    )
    found = {(names[row.deployment_id or 0], row.path): row for row in rows}
    return {key: row for key, row in found.items() if key in wanted}


def _take_sizes(
    found: Mapping[CaptureKey, Placed],
    known: Mapping[CaptureKey, SourceImage],
    media: str | None,
    sized: Iterable[CaptureKey],
    *,
    plan: ImportPlan,
    told: Collection[int],
) -> None:
    """Complete the records with sizes of the database and of the pictures.

    Pictures that cannot be read are listed, unless other batches have `told` of the capture.
    """
    needed = set(sized) if not media else set(found)
    for key in found:
        place, capture = found[key]
        if key not in needed or (capture.width and capture.height):
            continue
        row = known.get(key)
        if row and row.width and row.height:
            capture.width, capture.height = row.width, row.height
            continue
        size, fault = look(media, capture.path)
        capture.width, capture.height = size or (None, None)
        if size is None and (row is None or row.pk not in told):
            reason = f"The size of capture {capture.path!r} is not known: the picture {fault}."
            plan.add(Outcome.CONTRADICTION, SourceImage, capture.path, place, reason=reason)


def _tell_odd_times(found: Mapping[CaptureKey, Placed], parents: Parents, plan: ImportPlan) -> None:
    """List the captures whose time is not plausible; they are imported as they are."""
    now = timezone.now()
    for place, capture in found.values():
        at, night = parents.aware(capture.timestamp, capture), parents.night_of(capture)
        if at is None:
            continue
        if at < FIRST_CAMERAS:
            fault = f"before {FIRST_CAMERAS:%Y}"
        elif at > now:
            fault = "in the future"
        elif night and not _is_near(at.date(), night):
            fault = f"more than a day away from the night of {night}"
        else:
            continue
        reason = f"The time {at:%Y-%m-%d %H:%M} of capture {capture.path!r} is {fault}."
        plan.add(Outcome.CONTRADICTION, SourceImage, capture.path, place, reason=reason)


def _is_near(day: date, night: date) -> bool:
    return night - DAY <= day <= night + 2 * DAY


def _compare(
    known: Mapping[CaptureKey, SourceImage],
    found: Mapping[CaptureKey, Placed],
    parents: Parents,
    plan: ImportPlan,
    *,
    update: bool,
) -> set[int]:
    """Tell the plan what differs for captures that exist, and change it if that is asked for.

    What the database does not tell yet is filled in either way. Returns the deployments with
    captures whose time was changed.
    """
    changed, moved = [], set()
    for key, (place, capture) in found.items():
        if (row := known.get(key)) is None:
            continue
        told = {
            "width": capture.width,
            "height": capture.height,
            "timestamp": parents.aware(capture.timestamp, capture),
        }
        differs = {name: new for name, new in told.items() if new not in (None, getattr(row, name))}
        if not differs:
            plan.count(Outcome.UNCHANGED, SourceImage)
            continue
        fills = all(getattr(row, name) is None for name in differs)
        changes = [
            Change(name, _plain(getattr(row, name)), _plain(new)) for name, new in differs.items()
        ]
        outcome = Outcome.CHANGED if update or fills else Outcome.DIFFERS
        plan.add(outcome, SourceImage, row.path, place, changes=changes)
        if outcome == Outcome.CHANGED:
            for name, new in differs.items():
                setattr(row, name, new)
            changed.append(row)
            if "timestamp" in differs:
                moved.add(row.deployment_id or 0)
    change_rows(changed, ["width", "height", "timestamp"])
    if moved:
        with connection.cursor() as cursor:
            cursor.execute(DETECTION_TIMES, [[row.pk for row in changed]])
    return moved


def _plain(value: Any) -> Any:
    return f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else value

"""The rows that captures and detections refer to: found by their natural keys, or created."""

import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ami.exchange.base import ImportRefusedError, one_name
from ami.exchange.importing.decided import ALGORITHMS, OWN, TAXA, Decided, key_of
from ami.exchange.importing.places import compare
from ami.exchange.label_taxa import take_labels
from ami.exchange.plan import ImportPlan, Outcome
from ami.exchange.reading.records import AlgorithmRecord, CaptureRecord, DeploymentRecord
from ami.main.models import Deployment, Event, Project, Taxon
from ami.ml.models import Algorithm, AlgorithmCategoryMap
from ami.users.models import User


def find_project(name: str) -> Project | None:
    """Return the project of that name. Raises ImportRefusedError if there are two."""
    known = list(Project.objects.filter(name=name).order_by("pk"))
    one_name(known, noun="project", name=name)
    return known[0] if known else None


def create_project(name: str, plan: ImportPlan, *, owner: User | None) -> Project:
    """Return a new project, which belongs to `owner`."""
    plan.count(Outcome.CREATED, Project)
    return Project.objects.create(name=name, owner=owner)


@dataclass
class Parents:
    """What the batches of one import have found or created; forgotten after a rollback.

    `places` holds what the file says about deployments, by their names. `told` are the captures of
    which the plan has told: other batches may contain them, too.
    `decided` tells what names stand for.
    `new_to_statistics` is the number of detections of which PostgreSQL's statistics do not know.
    """

    project: Project
    decided: Decided = field(default_factory=Decided)
    places: dict[str, DeploymentRecord] = field(default_factory=dict)
    deployments: dict[str, Deployment] = field(default_factory=dict)
    nights: dict[tuple[int, str], int] = field(default_factory=dict)
    taxa: dict[str, int] = field(default_factory=dict)
    algorithms: dict[AlgorithmRecord, Algorithm] = field(default_factory=dict)
    told: set[int] = field(default_factory=set)
    new_to_statistics: int = 0

    def ensure_deployments(
        self,
        places: Mapping[str, str],
        plan: ImportPlan,
        *,
        local: Collection[str],
        update: bool,
    ) -> set[int]:
        """Find or create the deployments of names, whose places in the file `places` holds.

        Those of `local` have times without a zone. With `update`, what differs in the file is
        changed. Returns the deployments whose captures are now divided into other nights. Raises
        ImportRefusedError if two deployments have one name.
        """
        unknown = sorted(places.keys() - self.deployments.keys())
        if not unknown:
            return set()
        known: dict[str, list[Deployment]] = {name: [] for name in unknown}
        rows = Deployment.objects.filter(project=self.project).order_by("pk")
        similar: dict[str, str] = {}
        for row in rows:
            similar.setdefault(_folded(row.name), row.name)
            if row.name in known:
                known[row.name].append(row)
        for name, found in known.items():
            one_name(found, noun="deployment", name=name)
        missing = [
            Deployment(project=self.project, name=name, **self._facts(name))
            for name, found in known.items()
            if not found
        ]
        for row in missing:
            naive = row.name in local and "time_zone" not in self._facts(row.name)
            reason = _caveats(row, similar.setdefault(_folded(row.name), row.name), is_local=naive)
            plan.add(Outcome.CREATED, Deployment, row.name, places[row.name], reason=reason)
        created = Deployment.objects.bulk_create(missing)
        there = {row.name: row for rows in known.values() for row in rows}
        self.deployments |= there | {row.name: row for row in created}
        return compare(there, self.places, plan, update=update)

    def _facts(self, name: str) -> dict[str, Any]:
        return self.places[name].facts if name in self.places else {}

    def ensure_nights(self, captures: Iterable[CaptureRecord], plan: ImportPlan) -> None:
        """Find or create the nights of captures that have one."""
        days = {
            (self.deployments[one.deployment].pk, day.isoformat())
            for one in captures
            if (day := self.night_of(one))
        }
        unknown = sorted(days - self.nights.keys())
        if not unknown:
            return
        self._find_nights(unknown)
        missing = [key for key in unknown if key not in self.nights]
        if missing:
            plan.count(Outcome.CREATED, Event, len(missing))
            Event.objects.bulk_create(
                [
                    Event(project=self.project, deployment_id=pk, group_by=day)
                    for pk, day in missing
                ],
                ignore_conflicts=True,
            )
            self._find_nights(missing)

    def _find_nights(self, keys: Iterable[tuple[int, str]]) -> None:
        wanted = set(keys)
        rows = Event.objects.filter(
            deployment__in={pk for pk, _ in wanted}, group_by__in={day for _, day in wanted}
        ).values_list("deployment_id", "group_by", "pk")
        self.nights |= {
            (pk, day): event for pk, day, event in rows if pk is not None and (pk, day) in wanted
        }

    def event_of(self, capture: CaptureRecord) -> int | None:
        """Return the id of the night of a capture."""
        day = self.night_of(capture)
        if day is None:
            return None
        return self.nights[self.deployments[capture.deployment].pk, day.isoformat()]

    def night_of(self, capture: CaptureRecord) -> date | None:
        """Return the date on which its night begins: that of the file, or that of its time."""
        if capture.night or capture.timestamp is None:
            return capture.night
        deployment = self.deployments[capture.deployment]
        local = capture.timestamp
        if local.tzinfo:
            local = local.astimezone(ZoneInfo(deployment.time_zone))
        begins = deployment.night_starts
        return (local - timedelta(hours=begins.hour, minutes=begins.minute)).date()

    def aware(self, time: datetime | None, capture: CaptureRecord) -> datetime | None:
        """Return a time of the file in UTC; without a zone, it is local to the deployment.

        A local time that a change of the clocks repeats is the first of the two.
        """
        if time is None:
            return None
        if time.tzinfo is None:
            time = time.replace(tzinfo=ZoneInfo(self.deployments[capture.deployment].time_zone))
        # Python calls a repeated or skipped local time unequal to the same time in another zone.
        return time.astimezone(UTC)

    def ensure_taxa(self, places: Mapping[str, str], plan: ImportPlan) -> None:
        """Find or create the taxa of labels, whose places in the file `places` holds."""
        unknown = {label: place for label, place in places.items() if label not in self.taxa}
        if not unknown:
            return
        found = take_labels(unknown, plan, decided=self.decided.taxa(unknown))
        for label, pk in found.items():
            self.decided.decide(TAXA, label, pk)
        through = Taxon.projects.through
        through.objects.bulk_create(
            [through(taxon_id=pk, project_id=self.project.pk) for pk in set(found.values())],
            ignore_conflicts=True,
        )
        self.taxa |= found

    def ensure_algorithms(
        self, wanted: Mapping[AlgorithmRecord, Iterable[str]], plan: ImportPlan
    ) -> None:
        """Find or create algorithms, and add new labels to the category map of the import's own."""
        for record, labels in wanted.items():
            if record not in self.algorithms:
                self.algorithms[record] = _algorithm(record, plan, self.decided)
            algorithm = self.algorithms[record]
            if record == OWN:
                _add_labels(algorithm, labels)
            ids = [algorithm.pk, algorithm.category_map_id]
            self.decided.decide(ALGORITHMS, key_of(record), ids)


def _folded(name: str) -> str:
    """A name without what people write differently: case and blanks."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _caveats(row: Deployment, similar: str, *, is_local: bool) -> str:
    """What a person should know about a new deployment, as a predicate of its name.

    `is_local` says that it has local times, and that the file does not tell its time zone.
    """
    told = []
    if similar != row.name:
        told.append(
            f"is new, although {similar!r} differs only in case or blanks. If they are the same, "
            "import with the option Deployment."
        )
    if is_local:
        told.append(
            f"is new and has the time zone {row.time_zone}, in which its times without a zone are "
            "read. If that is wrong, create the deployment with its time zone before the import."
        )
    return " It ".join(told)


def _algorithm(record: AlgorithmRecord, plan: ImportPlan, decided: Decided) -> Algorithm:
    """Return the algorithm with a category map of the labels, if the file tells them.

    The category map of an algorithm that exists is not changed: its scores refer to it. Raises
    ImportRefusedError if the decided algorithm, or its category map, no longer exists.
    """
    pk, map_pk = decided.algorithm(record)
    if pk is not None:
        algorithm = _decided(record, pk, map_pk)
    else:
        algorithm, is_new = Algorithm.objects.select_related("category_map").get_or_create(
            name=record.name, version=record.version, defaults={"task_type": record.task_type}
        )
        plan.count(Outcome.CREATED, Algorithm, int(is_new))
    if record.labels and algorithm.category_map is None:
        keys = record.gbif_keys or (None,) * len(record.labels)
        algorithm.category_map = AlgorithmCategoryMap.objects.create(
            data=[
                {"index": index, "label": label, **({"gbif_key": key} if key else {})}
                for index, (label, key) in enumerate(zip(record.labels, keys, strict=True))
            ],
            description=record.name,
        )
        algorithm.save()
    return algorithm


def _decided(record: AlgorithmRecord, pk: int, map_pk: int | None) -> Algorithm:
    algorithm = Algorithm.objects.select_related("category_map").filter(pk=pk).first()
    if algorithm and map_pk not in (None, algorithm.category_map_id):
        # For this import; the row has another one by now.
        algorithm.category_map = AlgorithmCategoryMap.objects.filter(pk=map_pk).first()
    if algorithm is None or (map_pk and algorithm.category_map is None):
        raise ImportRefusedError(
            f"The algorithm {record.name!r}, version {record.version}, or its category map, was "
            "deleted since the import was planned. Import the file again."
        )
    return algorithm


def _add_labels(algorithm: Algorithm, labels: Iterable[str]) -> None:
    category_map = algorithm.category_map
    known = category_map.labels if category_map else []
    added = sorted(set(labels) - set(known))
    if not added:
        return
    data = [{"index": index, "label": label} for index, label in enumerate([*known, *added])]
    if category_map is None:
        algorithm.category_map = AlgorithmCategoryMap.objects.create(
            data=data, description=OWN.name
        )
        algorithm.save()
    else:
        category_map.data = data
        category_map.save()

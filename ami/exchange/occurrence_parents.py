"""Creation of the rows that the detections of an occurrence export refer to."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ami.exchange.base import one_name, option_name
from ami.exchange.occurrence_file import Example, Record
from ami.main.models import Deployment, Event, Project, SourceImage, Taxon, TaxonRank
from ami.main.models.taxon import NOT_IDENTIFIABLE
from ami.main.taxonomy import IMPORT_ALGORITHM
from ami.ml.models import Algorithm, AlgorithmCategoryMap
from ami.users.models import User

BATCH = 500
BINOMIAL = re.compile(r"[A-Z][a-z-]+ [a-z-]+")

CaptureKey = tuple[str, str]
NightKey = tuple[str, str]


@dataclass
class ImportReport:
    """How many rows an import added."""

    project_created: bool = False
    captures: int = 0
    occurrences: int = 0
    detections: int = 0
    classifications: int = 0
    taxa: int = 0


def ensure_project(name: str, report: ImportReport, *, owner: User | None = None) -> Project:
    """Return the project of that name; a new one belongs to `owner`."""
    name = option_name("--project", name)
    known = list(Project.objects.filter(name=name).order_by("pk"))
    one_name(known, noun="project", name=name)
    if known:
        return known[0]
    report.project_created = True
    return Project.objects.create(name=name, owner=owner)


def ensure_deployments(names: set[str], project: Project) -> dict[str, Deployment]:
    known: dict[str, list[Deployment]] = {name: [] for name in sorted(names)}
    for deployment in Deployment.objects.filter(project=project, name__in=names).order_by("pk"):
        known[deployment.name].append(deployment)
    for name, rows in known.items():
        one_name(rows, noun="deployment", name=name)
    missing = [Deployment(project=project, name=name) for name, rows in known.items() if not rows]
    created = Deployment.objects.bulk_create(missing)
    return {row.name: row for row in [*created, *(row for rows in known.values() for row in rows)]}


def ensure_nights(
    records: list[Record], deployments: dict[str, Deployment]
) -> dict[NightKey, Event]:
    names = {deployment.pk: name for name, deployment in deployments.items()}
    days = dict.fromkeys((record.deployment, record.event.day.isoformat()) for record in records)
    Event.objects.bulk_create(
        [
            Event(
                project_id=deployments[name].project_id,
                deployment=deployments[name],
                group_by=day,
            )
            for name, day in days
        ],
        ignore_conflicts=True,
        batch_size=BATCH,
    )
    events = Event.objects.filter(deployment__in=names, group_by__in={day for _, day in days})
    nights = ((names[event.deployment_id or 0], event) for event in events)
    return {(name, event.group_by): event for name, event in nights}


def ensure_taxa(records: list[Record], project: Project, report: ImportReport) -> dict[str, int]:
    """Return the taxon id of each label."""
    labels = dict.fromkeys(example.label for record in records for example in record.examples)
    known = set(Taxon.objects.filter(name__in=labels).values_list("name", flat=True))
    missing = [_taxon(label) for label in labels if label not in known]
    Taxon.objects.bulk_create(missing, ignore_conflicts=True, batch_size=BATCH)
    report.taxa = len(missing)
    taxa = dict(Taxon.objects.filter(name__in=labels).values_list("name", "pk"))
    Taxon.projects.through.objects.bulk_create(
        [Taxon.projects.through(taxon_id=pk, project_id=project.pk) for pk in taxa.values()],
        ignore_conflicts=True,
        batch_size=BATCH,
    )
    return taxa


def _taxon(label: str) -> Taxon:
    """Return a new taxon: a species for a binomial, and otherwise one of rank UNKNOWN."""
    identifiable = label != NOT_IDENTIFIABLE
    is_species = identifiable and BINOMIAL.fullmatch(label)
    rank = TaxonRank.SPECIES if is_species else TaxonRank.UNKNOWN
    return Taxon(name=label, rank=rank, identifiable=identifiable)


def ensure_captures(
    records: list[Record], nights: dict[NightKey, Event], report: ImportReport
) -> dict[CaptureKey, SourceImage]:
    found: dict[CaptureKey, tuple[Event, Example]] = {}
    for record in records:
        night = nights[record.deployment, record.event.day.isoformat()]
        for example in record.examples:
            found.setdefault((record.deployment, example.capture_path), (night, example))
    known = _known_captures(found, nights)
    missing = [
        SourceImage(
            project_id=night.project_id,
            deployment_id=night.deployment_id,
            event=night,
            path=example.capture_path,
            timestamp=example.timestamp,
            width=example.width,
            height=example.height,
        )
        for key, (night, example) in found.items()
        if key not in known
    ]
    SourceImage.objects.bulk_create(missing, ignore_conflicts=True, batch_size=BATCH)
    report.captures = len(missing)
    return _known_captures(found, nights) if missing else known


def _known_captures(
    keys: Iterable[CaptureKey], nights: dict[NightKey, Event]
) -> dict[CaptureKey, SourceImage]:
    names = {event.deployment_id: name for (name, _), event in nights.items()}
    rows = SourceImage.objects.filter(
        deployment__in=list(names), path__in={path for _, path in keys}
    )
    return {(names[row.deployment_id], row.path): row for row in rows}


def ensure_algorithm(labels: Iterable[str]) -> Algorithm:
    """Return the algorithm of all imports, and add new labels to its category map."""
    algorithms = Algorithm.objects.select_related("category_map")
    algorithm, _ = algorithms.get_or_create(
        name=IMPORT_ALGORITHM, version=1, defaults={"task_type": "classification"}
    )
    category_map = algorithm.category_map
    known = category_map.labels if category_map else []
    added = sorted(set(labels) - set(known))
    if not added:
        return algorithm
    data = [{"index": index, "label": label} for index, label in enumerate([*known, *added])]
    if category_map is None:
        algorithm.category_map = AlgorithmCategoryMap.objects.create(
            data=data, description=IMPORT_ALGORITHM
        )
        algorithm.save()
    else:
        category_map.data = data
        category_map.save()
    return algorithm

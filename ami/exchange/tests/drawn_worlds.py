"""Small projects that hypothesis draws, with what an import has to bring back."""

from datetime import UTC, datetime, time, timedelta
from itertools import chain
from typing import Any, NamedTuple

from hypothesis import strategies as st

from ami.base.tests.factories import make_capture, make_deployment, make_project, make_user
from ami.main.determinations import update_determinations
from ami.main.events import group_captures
from ami.main.models import (
    Classification,
    Deployment,
    Detection,
    Identification,
    Occurrence,
    Project,
    SourceImage,
    Taxon,
)
from ami.ml.models import Algorithm

ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Asia/Kathmandu", "Pacific/Apia")
# An evening, and the nights in which clocks in Europe and America are changed.
EVENINGS = tuple(
    datetime.fromisoformat(f"{day}T22:00Z").astimezone(UTC)
    for day in ("2022-06-20", "2022-03-26", "2022-10-29", "2022-11-05")
)
TAXA = (
    "Noctua pronuba",
    "noctua pronuba",
    "Noctua",
    "Noctua cf. comes",
    "Unknown moth",
    "Saturnia pavonia × pyri",
    "=1+1",
    "'quoted', \"both\"; and more",
    "Zygène\N{COMBINING ACUTE ACCENT}\u00a0 d\u2019été ",
    "Not identifiable",
)
ALGORITHMS = (
    ("Moth net", 3),
    ("Moth net", 1),
    ("Moth net v2", 1),
    ("Moth-net", 3),
    ("=Clustering, |;", 7),
)
DETECTOR = ("Box finder", 2)

texts = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=12)
names = st.sampled_from(
    ["Ada", "=Ada", "'Ada: Lovelace", 'A "B", C; D', "Trap 1 (2)", "001", "None", "Ада 李"]
) | texts.map(str.strip).filter(bool)
file_names = st.sampled_from(["a", "a b", "ü%20+?#", "'=x", "1,2;3"]) | texts.filter(
    lambda one: not {"/", "\\"} & set(one) and ".." not in one
)
scores = st.none() | st.floats(0, 1) | st.sampled_from([0.0, 0.5, 1.0])


class Said(NamedTuple):
    """A classification. `applied` says that it applies to the one before."""

    taxon: int | None
    score: float | None
    algorithm: int | None
    terminal: bool
    applied: bool
    minutes: int


class Box(NamedTuple):
    """A detection; its corners are in eighths of the size of its capture."""

    capture: int
    corner: tuple[int, int]
    score: float | None
    has_detector: bool
    crop: str
    says: list[Said]


class Answer(NamedTuple):
    """An identification. `agrees` says that the person confirmed a name."""

    person: int
    taxon: int | None
    withdrawn: bool
    blind: bool
    agrees: bool
    minutes: int


class Moth(NamedTuple):
    """An occurrence; without `known`, its detections belong to none."""

    known: bool
    boxes: list[Box]
    answers: list[Answer]


class Picture(NamedTuple):
    """A capture."""

    name: str
    size: tuple[int, int] | None
    minutes: int | None


class Trap(NamedTuple):
    """A deployment with its captures, all after the same evening."""

    name: str
    zone: str
    hour: int
    is_placed: bool
    evening: datetime
    pictures: list[Picture]
    moths: list[Moth]


class World(NamedTuple):
    """A project."""

    people: list[str]
    traps: list[Trap]


pictures = st.builds(
    Picture,
    name=file_names,
    size=st.none() | st.tuples(*[st.sampled_from([800, 801, 4096, 97])] * 2),
    minutes=st.none() | st.integers(0, 3 * 24 * 60),
)
says = st.builds(
    Said,
    taxon=st.none() | st.integers(0, len(TAXA) - 1),
    score=scores,
    algorithm=st.none() | st.integers(0, len(ALGORITHMS) - 1),
    terminal=st.booleans(),
    applied=st.booleans(),
    minutes=st.integers(0, 3),
)
boxes = st.builds(
    Box,
    capture=st.integers(0, 3),
    corner=st.tuples(st.integers(0, 6), st.integers(0, 6)),
    score=scores,
    has_detector=st.booleans(),
    crop=st.sampled_from(["", "crops/1.jpg", "https://example.org/crop.jpg?size=1"]),
    says=st.lists(says, max_size=3),
)
answers = st.builds(
    Answer,
    person=st.integers(0, 1),
    taxon=st.none() | st.integers(0, len(TAXA) - 1),
    withdrawn=st.booleans(),
    blind=st.booleans(),
    agrees=st.booleans(),
    minutes=st.integers(0, 3),
)
moths = st.builds(
    Moth,
    known=st.booleans(),
    boxes=st.lists(boxes, min_size=1, max_size=5),
    answers=st.lists(answers, max_size=2),
)
traps = st.builds(
    Trap,
    name=names,
    zone=st.sampled_from(ZONES),
    hour=st.sampled_from([12, 12, 0, 5]),
    is_placed=st.sampled_from([True, True, False]),
    evening=st.sampled_from(EVENINGS),
    pictures=st.lists(pictures, min_size=1, max_size=4),
    moths=st.lists(moths, max_size=3),
)


def worlds(*, most_traps: int = 2) -> st.SearchStrategy[World]:
    return st.builds(
        World,
        people=st.lists(st.just("") | names, min_size=2, max_size=2),
        traps=st.lists(traps, min_size=1, max_size=most_traps, unique_by=lambda one: one.name),
    )


class Built:
    """The project of a drawn world."""

    def __init__(self, world: World) -> None:
        self.project = make_project(name="Drawn")
        self._people = [make_user(name=name) for name in world.people]
        self._taxa = [_taxon(name) for name in TAXA]
        self._algorithms = [
            Algorithm.objects.create(name=name, version=version) for name, version in ALGORITHMS
        ]
        name, version = DETECTOR
        self._detector = Algorithm.objects.create(name=name, version=version)
        for number, trap in enumerate(world.traps):
            self._add_trap(number, trap)
        update_determinations(self.project.occurrences.values_list("pk", flat=True))

    def _add_trap(self, number: int, trap: Trap) -> None:
        place = {"latitude": -8.5, "longitude": 179.25} if trap.is_placed else {}
        note = 'A trap:\u00a0in the garden, "old" | new' if trap.hour else ""
        deployment = make_deployment(
            project=self.project,
            name=trap.name,
            time_zone=trap.zone,
            night_starts=time(trap.hour),
            description=note,
            **place,
        )
        captures = [
            make_capture(
                deployment=deployment,
                path=f"{number}/{index}/{one.name}.jpg",
                timestamp=_later(trap.evening, one.minutes),
                width=one.size and one.size[0],
                height=one.size and one.size[1],
            )
            for index, one in enumerate(trap.pictures)
        ]
        group_captures(deployment.pk)
        for capture in captures:
            capture.refresh_from_db()
        taken: set[Any] = set()
        for moth in trap.moths:
            self._add_moth(moth, captures, taken)

    def _add_moth(self, moth: Moth, captures: list[SourceImage], taken: set[Any]) -> None:
        """Add the detections that are on captures of one night, each box once."""
        night = captures[moth.boxes[0].capture % len(captures)].event_id
        found = []
        for box in moth.boxes:
            capture = captures[box.capture % len(captures)]
            if capture.event_id == night and (capture.pk, box.corner) not in taken:
                taken.add((capture.pk, box.corner))
                found.append((capture, box))
        if not found:
            return
        occurrence = None
        if moth.known:
            capture = found[0][0]
            occurrence = Occurrence.objects.create(
                deployment_id=capture.deployment_id, event_id=night, project=self.project
            )
        said = [self._add_box(box, capture, occurrence) for capture, box in found]
        if occurrence:
            self._add_answers(moth.answers, occurrence, list(chain.from_iterable(said)))

    def _add_box(
        self, box: Box, capture: SourceImage, occurrence: Occurrence | None
    ) -> list[Classification]:
        wide, high = capture.width or 800, capture.height or 800
        x, y = (corner / 8 for corner in box.corner)
        detection = Detection.objects.create(
            source_image=capture,
            bbox=[x * wide, y * high, (x + 0.25) * wide, (y + 0.125) * high],
            timestamp=capture.timestamp,
            path=box.crop,
            occurrence=occurrence,
            detection_algorithm=self._detector if box.has_detector else None,
            detection_score=box.score,
        )
        rows: list[Classification] = []
        for said in box.says:
            row = Classification.objects.create(
                detection=detection,
                taxon=None if said.taxon is None else self._taxa[said.taxon],
                score=said.score,
                algorithm=None if said.algorithm is None else self._algorithms[said.algorithm],
                terminal=said.terminal,
                applied_to=rows[-1] if rows and said.applied else None,
                timestamp=_later(EVENINGS[0], said.minutes),
            )
            rows.append(row)
        return rows

    def _add_answers(
        self, answers: list[Answer], occurrence: Occurrence, said: list[Classification]
    ) -> None:
        for answer in answers:
            taxon = None if answer.taxon is None else self._taxa[answer.taxon]
            row = Identification.objects.create(
                occurrence=occurrence,
                user=self._people[answer.person],
                taxon=taxon,
                withdrawn=answer.withdrawn,
                blind=answer.blind,
                agreed_with_prediction=said[0] if answer.agrees and said else None,
            )
            at = _later(EVENINGS[1], answer.minutes)
            Identification.objects.filter(pk=row.pk).update(created_at=at)

    def copy(self, *, is_whole: bool) -> Project:
        """A new project. If `is_whole`, it has the same deployments, which people set up before an
        import of a file that does not describe them."""
        project = make_project(name="Copy")
        for one in Deployment.objects.filter(project=self.project) if is_whole else ():
            make_deployment(
                project=project,
                name=one.name,
                time_zone=one.time_zone,
                night_starts=one.night_starts,
            )
        return project


def _later(evening: datetime, minutes: int | None) -> Any:
    return None if minutes is None else evening + timedelta(minutes=minutes)


def _taxon(name: str) -> Taxon:
    return Taxon.objects.create(name=name, identifiable=name != "Not identifiable")

"""The identifications of some of the demo's occurrences."""

from collections.abc import Iterator

from ami.main.management.demo.species import Species, load_species
from ami.main.management.demo.story import Moth
from ami.main.models import Classification, Identification, Occurrence, Project, Taxon
from ami.users.models import User

PEOPLE = (("ada@example.org", "Ada Morris"), ("tomas@example.org", "Tomas Berg"))
AGREEING = 9
# Of the other moths, people have answered about every third, and looked up most of those whose name
# is doubtful. Of the sure names, every second answer is an agreement with the classifier, right or
# wrong. Every twentieth answer of the others is a slip.
ANSWERED, CONFIRMED, SLIPS = 3, 2, 20
DOUBTFUL, LEFT = 0.6, 3  # the score below which a name is doubtful; every third is not looked up


def identify(
    project: Project,
    occurrences: list[Occurrence],
    moths: list[Moth],
    taxa: dict[str, int],
    classifications: list[Classification],
) -> None:
    """Identify the moths with the most captures: most of them correctly, one only to its genus.

    One identification differs from the classifier's species, and another one is withdrawn. Some of
    the other moths are identified as people do it: they look up doubtful names, agree with others,
    and are not always right.
    """
    ada, tomas = _people(project)
    order = sorted(range(len(moths)), key=lambda index: -len(moths[index].sightings))
    named = [(occurrences[index], moths[index].species) for index in order]
    rows = [
        Identification(
            user=(ada, tomas)[number % 2], occurrence=occurrence, taxon_id=taxa[species.name]
        )
        for number, (occurrence, species) in enumerate(named[:AGREEING])
    ]
    (coarse, species), (other, mistaken), (withdrawn, doubted) = named[AGREEING : AGREEING + 3]
    genus = Taxon.objects.get(name=species.genus)
    rows += [
        Identification(
            user=ada, occurrence=coarse, taxon=genus, comment="Worn; the genus is sure."
        ),
        Identification(
            user=tomas,
            occurrence=other,
            taxon_id=taxa[_another(mistaken.name)],
            comment="The classifier is wrong here.",
        ),
        Identification(
            user=ada,
            occurrence=withdrawn,
            taxon_id=taxa[_another(doubted.name)],
            withdrawn=True,
            comment="I mixed up two frames.",
        ),
    ]
    rows += _answers(named[AGREEING + 3 :], (ada, tomas), taxa, _best(classifications))
    Identification.objects.bulk_create(rows)


def _answers(
    others: list[tuple[Occurrence, Species]],
    people: tuple[User, ...],
    taxa: dict[str, int],
    best: dict[int, Classification],
) -> Iterator[Identification]:
    doubtful = [row for row in others if (best[row[0].pk].score or 0) < DOUBTFUL]
    sure = [row for row in others if row not in doubtful]
    looked_up = [row for number, row in enumerate(doubtful) if number % LEFT]
    answered = [*looked_up, *sure[::ANSWERED]]
    for number, (occurrence, species) in enumerate(answered):
        agrees = number >= len(looked_up) and number % CONFIRMED == 0
        prediction = best[occurrence.pk] if agrees else None
        name = _another(species.name) if number % SLIPS == SLIPS - 1 else species.name
        yield Identification(
            user=people[number % len(people)],
            occurrence=occurrence,
            taxon_id=prediction.taxon_id if prediction else taxa[name],
            agreed_with_prediction=prediction,
        )


def _best(classifications: list[Classification]) -> dict[int, Classification]:
    """The classification of each occurrence that decides its name."""
    ascending = sorted(classifications, key=lambda row: (row.score or 0, row.timestamp, row.pk))
    return {row.detection.occurrence_id or 0: row for row in ascending}


def _people(project: Project) -> list[User]:
    people = []
    for email, name in PEOPLE:
        user, created = User.objects.get_or_create(email=email, defaults={"name": name})
        if created:
            user.set_unusable_password()
            user.save(update_fields=["password"])
        people.append(user)
    project.members.add(*people)
    return people


def _another(name: str) -> str:
    """Return a species of another family, always the same one."""
    known = load_species()
    family = next(species.family for species in known if species.name == name)
    return next(species.name for species in known if species.family != family)

"""The identifications of some of the demo's occurrences."""

from ami.main.management.demo.species import load_species
from ami.main.management.demo.story import Moth
from ami.main.models import Identification, Occurrence, Project, Taxon
from ami.users.models import User

PEOPLE = (("ada@example.org", "Ada Morris"), ("tomas@example.org", "Tomas Berg"))
AGREEING = 9


def identify(
    project: Project, occurrences: list[Occurrence], moths: list[Moth], taxa: dict[str, int]
) -> None:
    """Identify the moths with the most captures: most of them correctly, one only to its genus.

    One identification differs from the classifier's species, and another one is withdrawn.
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
    Identification.objects.bulk_create(rows)


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

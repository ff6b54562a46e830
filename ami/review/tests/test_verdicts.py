import pytest

from ami.base.tests.factories import make_taxon
from ami.main.models import Taxon
from ami.review.verdicts import verdict_of

pytestmark = pytest.mark.django_db


def taxonomy() -> dict[str, Taxon]:
    family = make_taxon(name="Erebidae", rank="FAMILY")
    genus = make_taxon(name="Zale", rank="GENUS", parent=family)
    lunata, galbanata = (
        make_taxon(name=name, parent=genus) for name in ("Zale lunata", "Zale galbanata")
    )
    return {
        "family": family,
        "genus": genus,
        "lunata": lunata,
        "galbanata": galbanata,
        "synonym": make_taxon(name="Zale lunifera", synonym_of=lunata),
        "other genus": make_taxon(name="Catocala", rank="GENUS", parent=family),
        "nothing": make_taxon(name="Not identifiable", rank="UNKNOWN", identifiable=False),
    }


@pytest.mark.parametrize(
    ("judged", "said", "verdict"),
    [
        ("lunata", "lunata", "right"),
        ("lunata", "genus", "right"),
        ("lunata", "family", "right"),
        ("genus", "lunata", "right"),
        ("lunata", "synonym", "right"),
        ("synonym", "genus", "right"),
        ("lunata", "galbanata", "wrong"),
        ("lunata", "other genus", "wrong"),
        ("other genus", "lunata", "wrong"),
        ("nothing", "lunata", "wrong"),
        ("none", "lunata", "wrong"),
        ("lunata", "nothing", "cannot_tell"),
        ("none", "nothing", "cannot_tell"),
        ("nothing", "nothing", "right"),
    ],
)
def test_verdict_of_a_named_taxon(judged: str, said: str, verdict: str) -> None:
    taxa = taxonomy()
    assert verdict_of(taxa.get(judged), taxa[said]) == verdict

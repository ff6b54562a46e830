"""The formats of name lists, each with a sample."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from django.conf import settings
from django.core.management import CommandError
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ami.base.tests.factories import make_taxon
from ami.exchange.base import ImportRefusedError
from ami.exchange.coverage import get_coverage
from ami.exchange.name_lists.base import LIST_FORMATS
from ami.exchange.name_lists.reading import read_name_list
from ami.exchange.tests.test_import_taxa import HEADER, import_file, lineage, make_row
from ami.main.models import TaxaList, Taxon, TaxonRank
from ami.ml.post_processing.tests.vectors import make_classifier

pytestmark = pytest.mark.django_db

GBIF_COLUMNS = [
    *("taxonKey", "scientificName", "acceptedTaxonKey", "acceptedScientificName"),
    *("numberOfOccurrences", "taxonRank", "taxonomicStatus", "kingdom", "kingdomKey", "phylum"),
    *("phylumKey", "class", "classKey", "order", "orderKey", "family", "familyKey", "genus"),
    *("genusKey", "species", "speciesKey", "iucnRedListCategory"),
]
INSECT = {"kingdom": "Animalia", "phylum": "Arthropoda", "class": "Insecta"}
MOTH = INSECT | {"order": "Lepidoptera", "family": "Noctuidae", "genus": "Noctua"}


def make_gbif(*rows: dict[str, str]) -> str:
    cells = [[row.get(column, "") for column in GBIF_COLUMNS] for row in rows]
    return "\n".join("\t".join(row) for row in [GBIF_COLUMNS, *cells])


GBIF = make_gbif(
    {
        "taxonKey": "1",
        "scientificName": "Noctua innuba Treitschke, 1825",
        "acceptedTaxonKey": "2",
        "acceptedScientificName": "Noctua pronuba (Linnaeus, 1758)",
        "taxonRank": "SPECIES",
        "taxonomicStatus": "SYNONYM",
        "species": "Noctua pronuba",
        **MOTH,
    },
    {
        "taxonKey": "3",
        "scientificName": "Noctua pronuba hoegei H.-Schäffer, 1845",
        "acceptedTaxonKey": "3",
        "acceptedScientificName": "Noctua pronuba hoegei H.-Schäffer, 1845",
        "taxonRank": "SUBSPECIES",
        "taxonomicStatus": "ACCEPTED",
        "species": "Noctua pronuba",
        **MOTH,
    },
    {
        "taxonKey": "4",
        "scientificName": "Noctua Linnaeus, 1758",
        "acceptedTaxonKey": "4",
        "acceptedScientificName": "Noctua Linnaeus, 1758",
        "taxonRank": "GENUS",
        "taxonomicStatus": "ACCEPTED",
        **MOTH,
    },
)
DARWIN_CORE = """\
taxonID,scientificName,acceptedNameUsageID,taxonRank,taxonomicStatus,family,genus,vernacularName
gbif:1,Noctua innuba,gbif:2,species,synonym,Noctuidae,Noctua,
gbif:2,"Noctua pronuba (Linnaeus, 1758)",,species,accepted,Noctuidae,Noctua,Large yellow underwing
x,Noctua ignota,,species,synonym,Noctuidae,Noctua,
"""
PLAIN = """\
Species
Noctua pronuba (Linnaeus, 1758)

noctua_comes
Noctua sp.
Noctuidae
Unknown moth
"""
SAMPLES = {
    "checklist": (f"{HEADER}\n{make_row('Actias luna')}", "list.csv"),
    "gbif": (GBIF, "list.csv"),
    "darwin_core": (DARWIN_CORE, "list.txt"),
    "plain": (PLAIN, "list.txt"),
}
DOCS = settings.ROOT / "docs/reference/formats/name-lists.md"


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def run(text: str, *options: str, name: str = "list.csv") -> str:
        path = tmp_path / name
        path.write_text(text)
        return import_file(path, *options)

    return run


def ranks() -> dict[str, str]:
    return dict(Taxon.objects.values_list("name", "rank"))


@pytest.mark.parametrize("key", LIST_FORMATS)
def test_each_format_has_a_sample_and_documentation(load: Any, key: str) -> None:
    text, name = SAMPLES[key]

    assert "Created" in load(text, "--dry-run", name=name)
    assert not Taxon.objects.exists()
    load(text, name=name)
    assert TaxaList.objects.get().taxa.exists()
    assert "nothing was changed" in load(text, name=name)
    assert LIST_FORMATS[key].title.removeprefix("a ").lower() in DOCS.read_text().lower()


@pytest.mark.parametrize("key", LIST_FORMATS)
@given(place=st.integers(0, 400), noise=st.binary(min_size=1, max_size=12))
@hypothesis_settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_file_is_read_or_refused(
    tmp_path: Path, key: str, place: int, noise: bytes
) -> None:
    text, name = SAMPLES[key]
    whole = text.encode()
    path = tmp_path / name
    path.write_bytes(whole[:place] + noise + whole[place:])

    with suppress(ImportRefusedError):
        read_name_list(path)


def test_gbif_list_has_all_levels(load: Any) -> None:
    load(GBIF)

    assert lineage("Noctua pronuba hoegei") == [
        *("Noctua pronuba", "Noctua", "Noctuidae", "Lepidoptera"),
        *("Insecta", "Arthropoda", "Animalia"),
    ]
    pronuba = Taxon.objects.get(name="Noctua pronuba")
    synonym = Taxon.objects.get(name="Noctua innuba")
    assert synonym.synonym_of == pronuba
    assert (synonym.gbif_taxon_key, pronuba.gbif_taxon_key) == (1, 2)
    assert Taxon.objects.get(name="Noctua").gbif_taxon_key == 4
    assert ranks()["Noctua pronuba hoegei"] == "SUBSPECIES"


def test_level_between_is_filled_in(load: Any) -> None:
    """The checklist knows the order, the GBIF list what is above it."""
    load(f"{HEADER}\n{make_row('Noctua comes', genus='Noctua', family='Noctuidae')}")
    load(GBIF)

    assert lineage("Noctua comes")[-3:] == ["Insecta", "Arthropoda", "Animalia"]


def test_darwin_core_finds_accepted_names_by_id(load: Any) -> None:
    out = load(DARWIN_CORE, name="taxon.txt")

    pronuba = Taxon.objects.get(name="Noctua pronuba")
    assert Taxon.objects.get(name="Noctua innuba").synonym_of == pronuba
    assert (pronuba.gbif_taxon_key, pronuba.search_names) == (2, ["Large yellow underwing"])
    assert lineage("Noctua pronuba") == ["Noctua", "Noctuidae"]
    assert "'Noctua ignota' is a synonym without an accepted name; skipped." in out


def test_plain_list_has_one_name_per_line(load: Any) -> None:
    out = load(PLAIN, name="list.txt")

    assert ranks() == {
        "Noctua": "GENUS",
        "Noctua pronuba": "SPECIES",
        "noctua comes": "UNKNOWN",
        "Noctuidae": "FAMILY",
    }
    assert "line 5: 'Noctua sp.' names no species, only 'Noctua', because of 'sp'" in out
    assert "line 7: 'Unknown moth' names no species, because of 'unknown'; skipped." in out


def test_plain_list_takes_the_taxa_that_are_known(load: Any) -> None:
    accepted = make_taxon(name="Noctua comes", gbif_taxon_key=5)
    synonym = make_taxon(name="Noctua orbona", synonym_of=accepted)
    searched = make_taxon(name="Noctua pronuba", search_names=["Large yellow underwing"])

    out = load("noctua_orbona\nLarge yellow underwing\nNOCTUA COMES\n", name="list.txt")

    assert set(TaxaList.objects.get().taxa.all()) == {accepted, synonym, searched}
    assert Taxon.objects.filter(rank="SPECIES").count() == 3
    assert "Different" not in out
    assert "Contradiction" not in out


def test_workbook_is_imported(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in [HEADER.split(","), make_row("Actias luna", key="7").split(",")]:
        book.worksheets[0].append(row)
    path = tmp_path / "list.xlsx"
    book.save(path)

    import_file(path)

    assert Taxon.objects.get(name="Actias luna").gbif_taxon_key == 7


@pytest.mark.parametrize("text", ["", "\n\n", "name\n", ",,\n"])
def test_list_without_names_is_refused(load: Any, text: str) -> None:
    with pytest.raises(
        CommandError, match=r"is empty\.|contains no names\.|must contain the columns"
    ):
        load(text)


def test_list_that_is_too_long_is_refused(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ami.exchange.name_lists.reading.MOST_ROWS", 2)
    load("Noctua pronuba\nActias luna\n")
    with pytest.raises(CommandError, match=r"has more than 2 rows\. Divide it\."):
        load("Noctua pronuba\nActias luna\nNoctua comes\n")


@pytest.mark.parametrize("name", ["x" * 256, "a\0b", "_", "\u200b", "×" * 200])
def test_name_that_cannot_be_stored_is_refused(load: Any, name: str) -> None:
    with pytest.raises(CommandError, match=r"^line 2: name must be"):
        load(f"Noctua pronuba\n{name}\n", name="list.txt")


def test_coverage_tells_which_classes_the_list_keeps(load: Any) -> None:
    family = make_taxon(name="Noctuidae", rank=TaxonRank.FAMILY)
    make_taxon(name="Noctua pronuba", parent=family)
    make_taxon(name="Actias luna")
    classifier = make_classifier("noctua_pronuba", "Actias luna", "nobody")

    out = load("Noctuidae\nActias selene\n", "--dry-run")

    assert (
        f"{classifier}: the list covers 1 of 3 classes; 1 class stands for no taxon, and 1 species "
        "of the list has no class."
    ) in out
    load("Noctuidae\nActias selene\n")
    [coverage] = get_coverage(TaxaList.objects.get())
    assert coverage.as_json() == {
        "algorithm": str(classifier),
        "covered": ["noctua_pronuba"],
        "outside": ["Actias luna"],
        "unresolved": ["nobody"],
        "unknown": ["Actias selene"],
    }

from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ami.base.tests.plans import call_tables_empty, planned_rows
from ami.base.tests.shared import CHECKLIST, OWN_CHECKLIST, third_party
from ami.main.models import TaxaList, Taxon, TaxonRank

pytestmark = pytest.mark.django_db

HEADER = "accepted_taxon_key,search_species,gbif_species,status,genus,family,order"


def make_row(name: str, **cells: str) -> str:
    row = {
        "key": "7",
        "name": name,
        "accepted": name,
        "status": "ACCEPTED",
        "genus": "Actias",
        "family": "Saturniidae",
        "order": "Lepidoptera",
    } | cells
    return ",".join(row.values())


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., str]:
    def run(*rows: str, header: str = HEADER, options: Sequence[str] = ()) -> str:
        path = tmp_path / "moths.csv"
        path.write_text("\n".join([header, *rows]))
        return import_file(path, *options)

    return run


def import_file(path: Path, *options: str) -> str:
    out = StringIO()
    call_command("import_taxa", str(path), "--list=Regional", *options, stdout=out)
    return out.getvalue()


def snapshot() -> list[Any]:
    rows: list[Any] = list(Taxon.objects.order_by("pk").values())
    return rows + list(TaxaList.objects.order_by("pk").values("pk", "updated_at", "taxa"))


def lineage(name: str) -> list[str]:
    names = []
    taxon = Taxon.objects.get(name=name).parent
    while taxon:
        names.append(taxon.name)
        taxon = taxon.parent
    return names


class Checklist(NamedTuple):
    """A checklist and its expected result."""

    path: Path
    ranks: dict[str, int]
    synonyms: int
    unmatched: int
    first_unmatched: str
    lineage: list[str]  # of a species whose name does not begin with its genus, and of its genus


OWN = Checklist(
    OWN_CHECKLIST,
    ranks={"ORDER": 1, "FAMILY": 3, "GENUS": 7, "SPECIES": 12},
    synonyms=2,
    unmatched=1,
    first_unmatched="line 5: 'Agrotis invisibilis'",
    lineage=["Boarmia punctinalis", "Hypomecis", "Geometridae", "Lepidoptera"],
)
QUEBEC = Checklist(
    CHECKLIST,
    ranks={"ORDER": 1, "FAMILY": 66, "GENUS": 933, "SPECIES": 3251},
    synonyms=92,
    unmatched=74,
    first_unmatched="line 7: 'Ypsolopha dentiferella'",
    lineage=["Epelis truncataria", "Macaria", "Geometridae", "Lepidoptera"],
)


@pytest.fixture(params=[pytest.param(OWN, id="own"), third_party(QUEBEC, CHECKLIST)])
def checklist(request: pytest.FixtureRequest) -> Checklist:
    found: Checklist = request.param
    return found


def test_checklist_becomes_a_tree(checklist: Checklist) -> None:
    out = import_file(checklist.path)

    ranks = list(Taxon.objects.values_list("rank", flat=True))
    assert {rank: ranks.count(rank) for rank in set(ranks)} == checklist.ranks
    assert Taxon.objects.filter(synonym_of__isnull=False).count() == checklist.synonyms
    assert out.count("has no GBIF match; skipped.") == checklist.unmatched
    assert f"{checklist.first_unmatched} has no GBIF match; skipped." in out
    assert set(Taxon.objects.filter(parent=None).values_list("name", flat=True)) == {"Lepidoptera"}
    assert TaxaList.objects.get().taxa.count() == checklist.ranks["SPECIES"]


def test_genus_comes_from_its_column_not_from_the_name(checklist: Checklist) -> None:
    import_file(checklist.path)

    name, *above = checklist.lineage
    assert lineage(name) == above


def test_statistics_know_what_was_imported(run: Callable[..., str]) -> None:
    call_tables_empty()

    run(make_row("Cenopis niveana"))

    assert planned_rows(Taxon) == Taxon.objects.count() > 0
    assert planned_rows(TaxaList.taxa.through) == 1


def test_second_import_changes_nothing(checklist: Checklist) -> None:
    import_file(checklist.path)
    before = snapshot()

    assert "nothing was changed" in import_file(checklist.path)

    assert snapshot() == before


def test_synonym_points_to_its_accepted_taxon(run: Callable[..., str]) -> None:
    run(
        make_row(
            "Cenopis niveana",
            key="1739620",
            accepted="Sparganothis niveana",
            status="SYNONYM",
            genus="Sparganothis",
        )
    )

    accepted = Taxon.objects.get(name="Sparganothis niveana")
    synonym = Taxon.objects.get(name="Cenopis niveana")
    assert synonym.synonym_of == accepted
    assert (accepted.gbif_taxon_key, synonym.gbif_taxon_key) == (1739620, None)
    assert accepted.parent == synonym.parent == Taxon.objects.get(name="Sparganothis")
    assert set(TaxaList.objects.get().taxa.all()) == {accepted, synonym}


def test_synonym_of_an_unknown_name_stands_for_itself(run: Callable[..., str]) -> None:
    run(make_row("Swammerdamia caesiella", status="SYNONYM"))

    assert Taxon.objects.get(name="Swammerdamia caesiella").synonym_of is None


def test_other_spelling_becomes_a_search_name(run: Callable[..., str]) -> None:
    run(make_row("Crambus ainsliellus", accepted="Crambus ainslieellus"))

    taxon = TaxaList.objects.get().taxa.get()
    assert (taxon.name, taxon.search_names) == ("Crambus ainslieellus", ["Crambus ainsliellus"])


def test_match_of_the_genus_alone_keeps_the_species(run: Callable[..., str]) -> None:
    run(make_row("Macaria notata", key="-1", accepted="NotAvail", genus="Macaria"))

    taxon = TaxaList.objects.get().taxa.get()
    assert (taxon.name, taxon.rank, taxon.gbif_taxon_key) == ("Macaria notata", "SPECIES", None)
    assert lineage("Macaria notata") == ["Macaria", "Saturniidae", "Lepidoptera"]


def test_genus_in_two_families_keeps_each_species_in_its_own(run: Callable[..., str]) -> None:
    out = run(
        make_row("Apatelodes torrefacta", genus="Hygrochroa", family="Apatelodidae"),
        make_row("Hypatopa vestaliella", genus="Hygrochroa", family="Blastobasidae"),
    )

    assert lineage("Apatelodes torrefacta") == ["Hygrochroa", "Apatelodidae", "Lepidoptera"]
    assert lineage("Hypatopa vestaliella") == ["Blastobasidae", "Lepidoptera"]
    assert "Hygrochroa is in several families: Apatelodidae, Blastobasidae" in out


def test_genus_in_two_families_belongs_to_the_one_of_more_rows(run: Callable[..., str]) -> None:
    run(
        make_row("Apatelodes torrefacta", genus="Hygrochroa", family="Apatelodidae"),
        make_row("Hypatopa vestaliella", genus="Hygrochroa", family="Blastobasidae"),
        make_row("Hypatopa simplicella", genus="Hygrochroa", family="Blastobasidae"),
    )
    assert lineage("Hypatopa vestaliella") == ["Hygrochroa", "Blastobasidae", "Lepidoptera"]
    assert lineage("Apatelodes torrefacta") == ["Apatelodidae", "Lepidoptera"]


def test_known_taxon_is_completed_and_keeps_the_rest(run: Callable[..., str]) -> None:
    tribe = Taxon.objects.create(name="Attacini", rank=TaxonRank.TRIBE)
    genus = Taxon.objects.create(name="Actias", rank=TaxonRank.GENUS, parent=tribe)
    species = Taxon.objects.create(
        name="Actias luna", rank=TaxonRank.UNKNOWN, search_names=["Luna moth"], notes="Green."
    )

    run(make_row("Actias luna"), make_row("Actias lunna", accepted="Actias luna"))

    genus.refresh_from_db()
    species.refresh_from_db()
    assert genus.parent == tribe
    assert (species.rank, species.parent, species.gbif_taxon_key) == ("SPECIES", genus, 7)
    assert species.search_names == ["Luna moth", "Actias lunna"]
    assert species.notes == "Green."


def test_name_of_another_rank_in_the_database_is_refused(run: Callable[..., str]) -> None:
    Taxon.objects.create(name="Actias", rank=TaxonRank.FAMILY)

    with pytest.raises(CommandError, match="line 2: 'Actias' is a genus here and a family in the"):
        run(make_row("Actias luna"))

    assert Taxon.objects.count() == 1


def test_name_of_two_ranks_in_the_file_is_refused(run: Callable[..., str]) -> None:
    with pytest.raises(CommandError, match="line 2: 'Actias' is a genus here and a family on line"):
        run(make_row("Actias luna", family="Actias"))


def test_name_both_accepted_and_synonym_is_refused(run: Callable[..., str]) -> None:
    with pytest.raises(CommandError, match="line 3: 'Actias luna' is a synonym of 'B b' here and"):
        run(
            make_row("Actias luna"),
            make_row("Actias luna", accepted="B b", status="SYNONYM"),
        )


def test_taxon_never_becomes_its_own_ancestor(run: Callable[..., str]) -> None:
    family = Taxon.objects.create(name="Saturniidae", rank=TaxonRank.FAMILY)
    genus = Taxon.objects.create(name="Actias", rank=TaxonRank.GENUS)
    Taxon.objects.filter(pk=family.pk).update(parent=genus)

    with pytest.raises(CommandError, match="'Actias' would become its own ancestor"):
        run(make_row("Actias luna"))

    genus.refresh_from_db()
    assert genus.parent is None
    assert not Taxon.objects.filter(name="Actias luna").exists()


def test_synonyms_never_point_in_a_ring(run: Callable[..., str]) -> None:
    old = Taxon.objects.create(name="Old name")
    Taxon.objects.create(name="New name", synonym_of=old)

    with pytest.raises(CommandError, match="'Old name' would become its own accepted name"):
        run(make_row("Old name", accepted="New name", status="SYNONYM"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,2,3", "line 3: has 3 cells, but the header has 7."),
        (make_row("A b", genus=""), 'line 3: genus must be a non-empty text, got "".'),
        (make_row("A b", family="NotAvail"), "line 3: family of a matched name must be known"),
        (make_row("A b", key="x"), 'line 3: accepted_taxon_key must be a whole number, got "x".'),
        (make_row("A b", key="9" * 30), "line 3: accepted_taxon_key must be a whole number"),
        (make_row("x" * 256), "line 3: search_species must be at most 255 characters long"),
        (make_row("A\0b"), "line 3: search_species must be a text without NUL"),
        ('"A b', "line 3: is not valid CSV"),
    ],
)
def test_fault_is_named_by_its_line_and_nothing_is_written(
    run: Callable[..., str], row: str, message: str
) -> None:
    with pytest.raises(CommandError) as refusal:
        run(make_row("Actias luna"), row)

    assert str(refusal.value).startswith(message)
    assert not Taxon.objects.exists()
    assert not TaxaList.objects.exists()


@pytest.mark.parametrize("header", ["", HEADER.replace("genus", "genera")])
def test_other_columns_are_refused(run: Callable[..., str], header: str) -> None:
    with pytest.raises(CommandError, match=r"^line 1: must contain the columns accepted_taxon_key"):
        run(make_row("Actias luna"), header=header)


def test_checklist_without_a_match_is_refused(run: Callable[..., str]) -> None:
    with pytest.raises(CommandError, match="contains no species with a GBIF match"):
        run(make_row("A b", status="NotAvail", accepted="NotAvail"))


def test_two_lists_of_one_name_are_refused(run: Callable[..., str]) -> None:
    TaxaList.objects.create(name="Regional")
    TaxaList.objects.create(name="Regional")

    with pytest.raises(CommandError, match=r"^2 taxa lists have the name 'Regional'"):
        run(make_row("Actias luna"))

    assert not Taxon.objects.exists()


def test_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"Cannot read .*none\.csv: No such file"):
        import_file(tmp_path / "none.csv")


@pytest.mark.usefixtures("untimed")
def test_queries_do_not_grow_with_rows(run: Callable[..., str]) -> None:
    def queries(prefix: str, rows: int) -> int:
        with CaptureQueriesContext(connection) as context:
            run(
                *(
                    make_row(f"{prefix} {number}", genus=f"{prefix}{number}")
                    for number in range(rows)
                )
            )
        return len(context)

    queries("First", 1)

    assert queries("Many", 300) == queries("Few", 2)


def test_list_tells_when_it_was_added_to(run: Callable[..., str]) -> None:
    run(make_row("Actias luna"))
    former = TaxaList.objects.get().updated_at
    run(make_row("Actias luna"))
    assert TaxaList.objects.get().updated_at == former
    run(make_row("Actias selene"))
    assert TaxaList.objects.get().updated_at > former

"""A second name list that differs from the first one: nothing is swallowed."""

import json
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import CommandError

from ami.exchange.tests.test_import_taxa import HEADER, lineage, make_row, run, snapshot
from ami.main.checks.rank_order import get_taxa_of_another_rank
from ami.main.models import TaxaList, Taxon, TaxonRank

pytestmark = pytest.mark.django_db

__all__ = ["run"]


def make_beetle() -> str:
    return make_row("Actias beetla", key="8", family="Carabidae", order="Coleoptera")


def test_dry_run_tells_the_plan_and_writes_nothing(run: Any) -> None:
    out = run(make_row("Actias luna"), options=["--dry-run"])

    assert "Created: 4 taxa, 1 taxa list." in out
    assert "This was a dry run; nothing was written." in out
    assert not Taxon.objects.exists()
    assert not TaxaList.objects.exists()


def test_dry_run_tells_what_the_import_does(run: Any) -> None:
    run(make_row("Actias luna"))
    rows = [make_row("Actias luna", key="9"), make_row("Actias selene", key="10")]

    told = json.loads(run(*rows, options=["--dry-run", "--format=json"]))
    done = json.loads(run(*rows, options=["--format=json"]))

    assert (told.pop("written"), done.pop("written")) == (False, True)
    assert told.pop("job") < done.pop("job")
    assert told == done
    assert told["counts"]["created"] == {"taxon": 1}
    assert told["counts"]["differs"] == {"taxon": 1}
    assert {
        "outcome": "differs",
        "model": "taxon",
        "name": "Actias luna",
        "place": "line 2",
        "changes": [{"field": "GBIF key", "old": 7, "new": 9}],
    } in told["entries"]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"key": "9"}, "'Actias luna': GBIF key: 7 → 9"),
        ({"genus": "Tropaea"}, "'Actias luna': parent: 'Actias' → 'Tropaea'"),
        (
            {"key": "9", "accepted": "Tropaea luna", "status": "SYNONYM"},
            "'Actias luna': synonym of: none → 'Tropaea luna'",
        ),
    ],
)
def test_what_differs_is_named_and_changed_only_on_demand(
    run: Any, row: dict[str, str], told: str
) -> None:
    run(make_row("Actias luna"))
    before = Taxon.objects.values().get(name="Actias luna")

    out = run(make_row("Actias luna", **row))
    assert f"line 2: {told}" in out
    assert "Different in the file" in out
    assert Taxon.objects.values().get(name="Actias luna") == before

    out = run(make_row("Actias luna", **row), options=["--update"])
    assert f"line 2: {told}" in out
    assert "Changed: 1 taxon" in out
    assert Taxon.objects.values().get(name="Actias luna") != before

    unchanged = snapshot()
    assert "already contains all taxa; nothing was changed" in run(make_row("Actias luna", **row))
    assert snapshot() == unchanged


def test_audit_tells_which_fields_were_overwritten(run: Any) -> None:
    run(make_row("Actias luna"))
    run(make_row("Actias luna", key="9", genus="Tropaea"))
    assert not LogEntry.objects.filter(content_type__model="taxon").exists()

    run(make_row("Actias luna", key="9", genus="Tropaea"), options=["--update"])

    entry = LogEntry.objects.get(content_type__model="taxon")
    assert entry.object_id == str(Taxon.objects.get(name="Actias luna").pk)
    assert entry.get_change_message() == "Changed parent, GBIF key from a file."


def test_synonym_that_is_accepted_elsewhere_is_named(run: Any) -> None:
    run(make_row("Actias luna", accepted="Tropaea luna", status="SYNONYM"))
    rows = [make_row("Actias luna", key="9")]

    assert "'Actias luna': synonym of: 'Tropaea luna' → none" in run(*rows)
    assert Taxon.objects.get(name="Actias luna").synonym_of
    run(*rows, options=["--update"])
    assert not Taxon.objects.get(name="Actias luna").synonym_of


def test_name_that_differs_in_case_or_author_is_one_taxon(run: Any) -> None:
    out = run(
        make_row('"Actias luna (Linnaeus, 1758)"'),
        make_row("ACTIAS LUNA"),
        make_row("Actias luna L."),
    )

    assert Taxon.objects.filter(rank="SPECIES").get().name == "Actias luna"
    assert "line 3: 'ACTIAS LUNA' is the same name as 'Actias luna (Linnaeus, 1758)' on" in out
    Taxon.objects.filter(rank="SPECIES").update(name="actias luna")
    assert "'actias luna': name: 'actias luna' → 'Actias luna'" in run(make_row("Actias luna"))
    run(make_row("Actias luna"), options=["--update"])
    assert Taxon.objects.get(rank="SPECIES").name == "Actias luna"


def test_genus_of_another_order_in_the_database_is_another_taxon(run: Any) -> None:
    run(make_row("Actias luna"))

    for options in ([], ["--update"], []):
        out = run(make_beetle(), options=options)
        assert "line 2: The genus 'Actias' is in 'Carabidae' here and in 'Saturniidae' in" in out

    assert lineage("Actias luna") == ["Actias", "Saturniidae", "Lepidoptera"]
    assert lineage("Actias beetla") == ["Carabidae", "Coleoptera"]


def test_genus_of_another_order_in_the_file_is_another_taxon(run: Any) -> None:
    out = run(make_row("Actias luna"), make_beetle())

    assert "line 3: Actias is in several families: Carabidae, Saturniidae" in out
    assert lineage("Actias luna") == ["Actias", "Saturniidae", "Lepidoptera"]
    assert lineage("Actias beetla") == ["Carabidae", "Coleoptera"]


def test_genus_moves_to_another_family_of_its_order_on_demand(run: Any) -> None:
    run(make_row("Actias luna"))
    rows = [make_row("Actias luna", family="Attacidae")]
    rows.append(make_row("Actias selene", key="8", family="Attacidae"))

    for _ in range(2):
        assert "'Actias': parent: 'Saturniidae' → 'Attacidae'" in run(*rows)
        assert lineage("Actias luna") == ["Actias", "Saturniidae", "Lepidoptera"]
        assert lineage("Actias selene") == ["Attacidae", "Lepidoptera"]

    run(*rows, options=["--update"])
    run(*rows)
    assert lineage("Actias luna") == ["Actias", "Attacidae", "Lepidoptera"]
    assert lineage("Actias selene") == ["Actias", "Attacidae", "Lepidoptera"]


def test_family_that_is_in_two_orders_is_told_once(run: Any) -> None:
    run(make_row("Actias luna"))

    out = run(make_row("Actias luna", order="Coleoptera"))

    assert out.count("only one taxon can have the name") == 1
    assert lineage("Actias luna") == ["Actias", "Saturniidae", "Lepidoptera"]


def test_key_of_another_taxon_is_left_out(run: Any) -> None:
    run(make_row("Actias luna"))

    out = run(make_row("Actias selene"), make_row("Actias isabellae", key="8"))

    assert "The GBIF key 7 of 'Actias selene' is also that of 'Actias luna' in the database" in out
    keys = Taxon.objects.filter(rank="SPECIES").values_list("name", "gbif_taxon_key")
    assert dict(keys) == {"Actias luna": 7, "Actias selene": None, "Actias isabellae": 8}


def test_label_that_is_another_spelling_becomes_a_synonym(run: Any) -> None:
    label = Taxon.objects.create(name="Actias lunna", rank=TaxonRank.SPECIES)

    for _ in range(2):
        run(make_row("Actias lunna", accepted="Actias luna"))

    label.refresh_from_db()
    assert label.synonym_of == Taxon.objects.get(name="Actias luna")
    assert Taxon.objects.get(name="Actias luna").search_names == []


def test_search_name_of_the_database_is_no_new_taxon(run: Any) -> None:
    run(make_row("Actias lunna", accepted="Actias luna"))

    out = run(make_row("Actias lunna", key="8"))

    assert "'Actias lunna' is a taxon here and a search name of 'Actias luna' in the" in out
    assert Taxon.objects.get(rank="SPECIES").name == "Actias luna"


def test_ranks_come_from_their_column(run: Any) -> None:
    header = f"{HEADER},rank"
    out = run(
        make_row("Actias luna borealis", rank="SUBSPECIES"),
        make_row("Actias luna var. rufa", key="8", rank="VARIETY"),
        make_row("Actias", key="9", rank="GENUS"),
        make_row("Actias nova", key="10", accepted="Actias", rank="GENUS"),
        make_row("Actias cf. selene", key="11", accepted="Actias selene", rank="SPECIES"),
        make_row("Graellsia sp.", key="12", accepted="Graellsia", genus="Graellsia", rank="GENUS"),
        header=header,
    )

    assert lineage("Actias luna borealis")[:2] == ["Actias luna", "Actias"]
    assert lineage("Actias luna var. rufa")[:2] == ["Actias luna", "Actias"]
    names = dict(Taxon.objects.values_list("name", "rank"))
    assert names["Actias luna borealis"] == "SUBSPECIES"
    assert names["Actias luna var. rufa"] == "VARIETY"
    assert names["Actias nova"] == "SPECIES"
    assert names["Graellsia"] == "GENUS"
    assert "Actias selene" not in names
    assert Taxon.objects.get(name="Actias").gbif_taxon_key == 9
    assert "line 6: 'Actias cf. selene' names no species, only 'Actias', because of 'cf'" in out
    assert "line 7: 'Graellsia sp.' names no species, only 'Graellsia', because of 'sp'" in out


def test_rank_and_parent_change_together(run: Any) -> None:
    row = make_row("Actias luna borealis", rank="SPECIES")
    run(row, header=f"{HEADER},rank")
    taxon = Taxon.objects.get(name="Actias luna borealis")
    row = make_row("Actias luna borealis", rank="SUBSPECIES")

    out = run(row, header=f"{HEADER},rank")
    assert "rank: 'SPECIES' → 'SUBSPECIES'; parent: 'Actias' → 'Actias luna'" in out
    taxon.refresh_from_db()
    assert (taxon.rank, taxon.parent) == ("SPECIES", Taxon.objects.get(name="Actias"))

    run(row, header=f"{HEADER},rank", options=["--update"])
    taxon.refresh_from_db()
    assert (taxon.rank, taxon.parent) == ("SUBSPECIES", Taxon.objects.get(name="Actias luna"))
    assert not get_taxa_of_another_rank().exists()


@pytest.mark.parametrize(
    "status", ["HETEROTYPIC SYNONYM", "HOMOTYPIC_SYNONYM", "Junior synonym", "unaccepted"]
)
def test_kinds_of_synonyms_are_synonyms(run: Any, status: str) -> None:
    run(make_row("Actias luna", accepted="Tropaea luna", status=status))

    assert Taxon.objects.get(name="Actias luna").synonym_of


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("MAYBE", "line 3: 'Actias selene' has the unknown status \"MAYBE\"; skipped."),
        ("MISAPPLIED", "line 3: 'Actias selene' is MISAPPLIED, so it does not stand for one"),
        ("PROPARTE_SYNONYM", "line 3: 'Actias selene' is PROPARTE_SYNONYM, so it does not"),
    ],
)
def test_row_of_another_status_is_reported_and_the_rest_is_kept(
    run: Any, status: str, told: str
) -> None:
    out = run(make_row("Actias luna"), make_row("Actias selene", status=status))

    assert told in out
    assert Taxon.objects.get(rank="SPECIES").name == "Actias luna"


def test_ranks_of_the_database_are_refused_in_a_dry_run_too(run: Any) -> None:
    Taxon.objects.create(name="Actias", rank=TaxonRank.FAMILY)

    with pytest.raises(CommandError, match="'Actias' is a genus here and a family in the database"):
        run(make_row("Actias luna"), options=["--dry-run"])

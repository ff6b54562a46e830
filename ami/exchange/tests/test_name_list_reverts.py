"""Imports of name lists are undone: exactly, and without what is in use."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from ami.base.tests.factories import make_classification, make_occurrence, make_project, make_taxon
from ami.base.tests.snapshots import values
from ami.exchange.tests.name_lists import MOTHS, TABLES, imported, person, planned, revert, send
from ami.exchange.tests.test_import_taxa import make_row
from ami.jobs.models import Job
from ami.jobs.states import Outcome
from ami.main.models import Identification, Occurrence, TaxaList, Taxon, TaxonRank
from ami.testing.records import left

__all__ = ["imported", "person", "planned", "send"]
# Deferred constraints are checked at the end of transactions.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_folder")]


def test_every_column_is_put_back(imported: Callable[..., Job]) -> None:
    order = make_taxon(name="Lepidoptera", rank=TaxonRank.ORDER)
    other = make_taxon(name="Erebidae", rank=TaxonRank.FAMILY, parent=order)
    genus = make_taxon(name="Actias", rank=TaxonRank.GENUS, parent=other)
    make_taxon(name="actias luna", parent=genus, gbif_taxon_key=9, search_names=["Moth"])
    make_taxon(name="Cenopis niveana", rank=TaxonRank.UNKNOWN)
    make_taxon(name="Actias selene", search_names=["A. selene"])
    TaxaList.objects.create(name="Moths").taxa.add(genus)
    before = values(*TABLES)
    spelled = make_row("Actias selenes", accepted="Actias selene", key="3")
    job = imported(*MOTHS[:2], spelled, update="on")
    after = values(*TABLES)
    assert {row["name"] for row in after["Taxon"]} >= {"Actias luna", "Saturniidae"}
    changed = {
        name
        for former, present in zip(before["Taxon"], after["Taxon"], strict=False)
        for name in present
        if former[name] != present[name]
    }
    assert changed == {
        *("name", "rank", "parent_id", "synonym_of_id", "gbif_taxon_key", "search_names")
    }
    assert revert(job).outcome == Outcome.SUCCEEDED
    assert values(*TABLES) == before


def test_revert_is_reverted(imported: Callable[..., Job]) -> None:
    imported(MOTHS[0])
    job = imported(*MOTHS[1:])
    after = values(*TABLES)
    again = revert(job)
    revert(again)
    assert values(*TABLES) == after


@pytest.mark.parametrize(
    "use",
    [
        lambda taxon: make_classification(taxon=taxon),
        lambda taxon: Occurrence.objects.filter(pk=make_occurrence().pk).update(
            determination=taxon
        ),
        lambda taxon: Identification.objects.create(occurrence=make_occurrence(), taxon=taxon),
        lambda taxon: make_taxon(parent=taxon),
        lambda taxon: make_taxon(synonym_of=taxon),
        lambda taxon: taxon.lists.create(name="Own"),
        lambda taxon: taxon.projects.add(make_project()),
    ],
    ids=[
        *("classification", "determination", "identification", "child", "synonym", "list"),
        "project",
    ],
)
def test_taxon_in_use_is_left_alone_with_those_above_it(
    imported: Callable[..., Job], use: Callable[[Taxon], Any], signed_in: Client
) -> None:
    job = imported(*MOTHS)
    taxon = Taxon.objects.get(name="Actias luna")
    use(taxon)
    page = signed_in.get(reverse("admin:jobs_job_revert", args=[job.pk])).text
    assert "in use since" in page
    reverted = revert(job)
    assert reverted.outcome == Outcome.PROBLEMS
    names = {Taxon.objects.get(pk=pk).name: reason for _, pk, reason in left(reverted)}
    assert names == {
        "Actias luna": "in use since",
        **dict.fromkeys(["Actias", "Saturniidae", "Lepidoptera"], "a row left alone refers to it"),
    }
    taxon.refresh_from_db()
    assert taxon.parent
    assert not TaxaList.objects.filter(name="Moths").exists()
    assert not Taxon.objects.filter(name="Cenopis niveana").exists()


def test_list_with_a_taxon_of_a_person_keeps_it(imported: Callable[..., Job]) -> None:
    job = imported(*MOTHS)
    own = make_taxon(name="Noctua pronuba")
    TaxaList.objects.get().taxa.add(own)
    reverted = revert(job)
    moths = TaxaList.objects.get()
    assert list(moths.taxa.all()) == list(Taxon.objects.all()) == [own]
    assert left(reverted) == [("main.taxalist", moths.pk, "in use since")]


def test_what_was_changed_since_is_left_alone(imported: Callable[..., Job]) -> None:
    job = imported(*MOTHS)
    Taxon.objects.filter(name="Actias luna").update(search_names=["Moon moth"])
    later = imported(make_row("Sparganothis niveana", key="8"), update="on")
    reverted = revert(job)
    reasons = {Taxon.objects.get(pk=pk).name: why for _, pk, why in left(reverted)}
    assert reasons["Actias luna"] == reasons["Sparganothis niveana"] == "changed since"
    causes = {
        change.object_id: (change.after or {}).get("job") for change in reverted.changes.all()
    }
    assert causes[Taxon.objects.get(name="Sparganothis niveana").pk] == later.pk


def test_name_that_was_taken_since_is_left_to_its_bearer(imported: Callable[..., Job]) -> None:
    renamed = make_taxon(name="actias luna")
    job = imported(*MOTHS, update="on")
    bearer = make_taxon(name="actias luna")
    reverted = revert(job)
    assert ("main.taxon", renamed.pk, "its place was taken since") in left(reverted)
    renamed.refresh_from_db()
    assert (renamed.name, bearer.name) == ("Actias luna", "actias luna")


def test_taxa_that_were_imported_again_are_not_restored_beside(
    imported: Callable[..., Job],
) -> None:
    back = revert(imported(MOTHS[0]))
    later = imported(MOTHS[0])
    after = values(*TABLES)["Taxon"]
    again = revert(back)
    assert values(*TABLES)["Taxon"] == after
    taxa = again.changes.filter(model="main.taxon")
    assert {(one.after or {}).get("job") for one in taxa} == {later.pk}


def test_taxa_whose_parent_is_gone_are_not_restored(imported: Callable[..., Job]) -> None:
    imported(make_row("Actias maenas"))
    job = imported(make_row("Actias luna", genus="Luna"), make_row("Luna lunae", genus="Luna"))
    back = revert(job)
    with transaction.atomic():
        Taxon.objects.filter(name__in=["Actias", "Actias maenas"]).delete()
        Taxon.objects.filter(name="Saturniidae").delete()
    again = revert(back)
    assert set(Taxon.objects.values_list("name", flat=True)) == {"Lepidoptera"}
    assert {reason for *_, reason in left(again)} == {"refers to a row that is gone"}

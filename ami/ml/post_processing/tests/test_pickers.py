"""The forms of masking and rollup, and the choices that they offer for a selection."""

from typing import Any

import pytest
from django import forms
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from ami.base.tests.factories import (
    make_algorithm,
    make_capture_set,
    make_occurrence,
    make_project,
    make_taxon,
)
from ami.jobs.models import Job
from ami.jobs.tests.admin import told
from ami.main.models import (
    Classification,
    Occurrence,
    SourceImageCollection,
    TaxaList,
    Taxon,
    TaxonRank,
)
from ami.ml.models import Algorithm
from ami.ml.post_processing.admin import form_class_for, offers
from ami.ml.post_processing.class_masking import ClassMaskingConfig, ClassMaskingTask
from ami.ml.post_processing.class_masking.form import ClassMaskingActionForm
from ami.ml.post_processing.rank_rollup import RankRollupConfig, RankRollupTask
from ami.ml.post_processing.rank_rollup.form import RankRollupActionForm
from ami.ml.post_processing.tests.clicks import KEY, OCCURRENCES, SETS, post
from ami.ml.post_processing.tests.vectors import (
    everything,
    make_classifier,
    make_list,
    make_map,
    make_source,
    make_species,
    run,
)
from ami.ml.post_processing.validation import parse_config

pytestmark = pytest.mark.django_db

DASHES = ("", "---------")
NO_LOGITS = ("", "No classification in the selection has logits.")


@pytest.fixture
def classifier() -> Algorithm:
    make_species("a", "b", "c")
    return make_classifier("a", "b", "c", name="Moths")


def choices(field: forms.Field) -> list[tuple[Any, str]]:
    assert isinstance(field, forms.TypedChoiceField)
    return list(field.choices)  # type: ignore[arg-type]


def masking_form(selection: Any, data: dict[str, Any] | None = None) -> ClassMaskingActionForm:
    return ClassMaskingActionForm(data, scope_queryset=selection)


def offered(selection: Any, name: str) -> list[tuple[Any, str]]:
    return choices(masking_form(selection).fields[name])


def test_both_forms_are_registered() -> None:
    assert form_class_for(ClassMaskingTask) is ClassMaskingActionForm
    assert form_class_for(RankRollupTask) is RankRollupActionForm
    assert list(ClassMaskingActionForm().fields) == [
        "taxa_list_id",
        "algorithm_id",
        "reweight",
        "only_when_taxon_changes",
        "removed_mass_limit",
    ]
    assert list(RankRollupActionForm().fields) == ["thresholds", "lineage", "algorithm_id"]


def test_without_a_selection_everything_is_offered(classifier: Algorithm) -> None:
    taxa_list = make_list()
    fields = ClassMaskingActionForm().fields
    assert choices(fields["algorithm_id"]) == [DASHES, (classifier.pk, "Moths v1")]
    assert choices(fields["taxa_list_id"]) == [DASHES, (taxa_list.pk, "List")]


def test_algorithms_with_logits_in_the_selection_are_offered_with_their_rows(
    classifier: Algorithm,
) -> None:
    sources = [make_source(classifier, logits=[1.0, 2.0, 3.0]) for _ in range(2)]
    make_source(make_algorithm(), scores=[1.0], detection=sources[0].detection)
    make_source(make_algorithm(), logits=[1.0], terminal=False, detection=sources[0].detection)
    make_source(None, logits=[1.0], detection=sources[0].detection)
    elsewhere = make_source(make_algorithm(), logits=[1.0])
    selection = Occurrence.objects.exclude(detections=elsewhere.detection)
    assert offered(selection, "algorithm_id") == [
        DASHES,
        (classifier.pk, "Moths v1: 2 classifications"),
    ]
    one = Occurrence.objects.filter(detections=sources[0].detection)
    assert offered(one, "algorithm_id")[1] == (classifier.pk, "Moths v1: 1 classification")
    capture_set = make_capture_set([sources[0].detection.source_image])
    sets = SourceImageCollection.objects.filter(pk=capture_set.pk)
    assert offered(sets, "algorithm_id") == offered(one, "algorithm_id")


def test_rollup_offers_algorithms_with_scores_too(classifier: Algorithm) -> None:
    make_source(classifier, scores=[1.0, 0.0, 0.0])
    make_source(make_algorithm())
    fields = RankRollupActionForm(scope_queryset=Occurrence.objects.all()).fields
    assert choices(fields["algorithm_id"]) == [
        DASHES,
        (classifier.pk, "Moths v1: 1 classification"),
    ]


def test_lists_that_hold_a_class_are_offered_with_the_rows_named_off_them(
    classifier: Algorithm,
) -> None:
    a, b, c = Taxon.objects.order_by("name")
    genus = make_taxon(name="genus", rank="GENUS")
    Taxon.objects.filter(pk=b.pk).update(parent=genus)
    synonym = make_taxon(name="old", synonym_of=c)
    sources = [make_source(classifier, logits=[1.0, 2.0, 3.0], taxon=t) for t in (a, b, c, synonym)]
    occurrence = sources[0].detection.occurrence
    assert occurrence
    lists = {
        "1 everywhere": (genus, synonym),
        "2 of the project": (a,),
        "3 of another project": (a,),
        "4 without a class": (make_taxon(),),
        "5 empty": (),
    }
    made = {name: make_list(*taxa, name=name) for name, taxa in lists.items()}
    made["2 of the project"].projects.set([occurrence.project, make_project()])  # type: ignore[list-item]
    made["3 of another project"].projects.set([make_project()])
    assert offered(Occurrence.objects.all(), "taxa_list_id") == [
        DASHES,
        (made["1 everywhere"].pk, "1 everywhere: 1 classification names a taxon outside the list"),
        (
            made["2 of the project"].pk,
            "2 of the project: 3 classifications name taxa outside the list",
        ),
    ]


def test_selection_that_offers_nothing_says_why() -> None:
    make_source(make_algorithm())
    selection = Occurrence.objects.all()
    assert offered(selection, "algorithm_id") == [NO_LOGITS]
    assert offered(selection, "taxa_list_id") == [
        ("", "No taxa list of the project holds a class of a classifier.")
    ]


def test_classifier_stays_offered_once_it_is_masked(classifier: Algorithm) -> None:
    make_source(classifier, logits=[1.0, 2.0, 3.0])
    taxa_list, other = (make_list(Taxon.objects.get(name=name), name=name) for name in "ab")
    run(ClassMaskingTask, taxa_list_id=taxa_list.pk, algorithm_id=classifier.pk)
    derived = Algorithm.objects.latest("pk")
    assert offered(Occurrence.objects.all(), "algorithm_id") == [
        DASHES,
        (classifier.pk, "Moths v1: 0 classifications, 1 masked before"),
        (derived.pk, f"{derived}: 1 classification"),
    ]
    assert offered(Occurrence.objects.all(), "taxa_list_id") == [
        DASHES,
        (taxa_list.pk, "a: 0 classifications name taxa outside the list"),
        (other.pk, "b: 1 classification names a taxon outside the list"),
    ]


def test_rows_that_no_category_map_explains_are_not_offered() -> None:
    unexplained = make_algorithm()
    make_source(unexplained, logits=[1.0])
    assert offered(Occurrence.objects.all(), "algorithm_id") == [NO_LOGITS]
    make_source(unexplained, logits=[1.0], category_map=make_map("a"))
    assert offered(Occurrence.objects.all(), "algorithm_id")[1:] == [
        (unexplained.pk, f"{unexplained}: 1 classification")
    ]


def test_large_selection_is_looked_at_in_part(
    classifier: Algorithm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offers, "LIMIT", 2)
    for _ in range(3):
        make_source(classifier, logits=[1.0, 2.0, 3.0])
    make_list(Taxon.objects.get(name="a"))
    selection = Occurrence.objects.all()
    assert offered(selection, "algorithm_id")[1][1] == "Moths v1: at least 2 classifications"
    assert offered(selection, "taxa_list_id")[1][1] == (
        "List: at least 2 classifications name taxa outside the list"
    )


def test_classifier_of_the_rest_of_a_large_selection_is_offered(
    classifier: Algorithm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offers, "LIMIT", 1)
    newer = make_classifier("a", "b", "c", name="Newer moths")
    for algorithm in (classifier, newer):
        make_source(algorithm, logits=[1.0, 2.0, 3.0])
    assert offered(Occurrence.objects.all(), "algorithm_id")[1:] == [
        (classifier.pk, "Moths v1: at least 1 classification"),
        (newer.pk, "Newer moths v1: at least 0 classifications"),
    ]


@pytest.mark.parametrize("rows", [1, 20])
def test_number_of_queries_does_not_grow_with_the_selection(
    rows: int, classifier: Algorithm, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(rows):
        make_source(classifier, logits=[1.0, 2.0, 3.0])
        make_list(Taxon.objects.get(name="a"), name=f"List {number}")
    with django_assert_num_queries(15):
        masking_form(Occurrence.objects.all())


def test_choice_is_the_option(classifier: Algorithm) -> None:
    make_source(classifier, logits=[1.0, 2.0, 3.0])
    taxa_list = make_list(Taxon.objects.get(name="a"))
    data = {"taxa_list_id": str(taxa_list.pk), "algorithm_id": str(classifier.pk)}
    form = masking_form(Occurrence.objects.all(), data)
    assert form.is_valid(), form.errors
    assert form.to_config() == {
        "taxa_list_id": taxa_list.pk,
        "algorithm_id": classifier.pk,
        "reweight": False,
        "only_when_taxon_changes": False,
    }
    assert parse_config(ClassMaskingConfig, {"occurrence_id": 1, **form.to_config()})
    other = masking_form(Occurrence.objects.all(), data | {"algorithm_id": "999999"})
    assert list(other.errors) == ["algorithm_id"]
    assert list(masking_form(Occurrence.objects.all(), {}).errors) == [
        "taxa_list_id",
        "algorithm_id",
    ]


def test_thresholds_are_a_number_a_rank() -> None:
    html = str(RankRollupActionForm()["thresholds"])
    assert html.count('type="number"') == len(TaxonRank)
    assert 'name="thresholds_GENUS" value="0.6"' in html
    assert '<th scope="row">Subfamily</th>' in html
    assert html.count('max="1"') == len(TaxonRank)
    data = {"thresholds_GENUS": "0.5", "thresholds_TRIBE": "0.25", "lineage": "global"}
    form = RankRollupActionForm(data)
    assert form.is_valid(), form.errors
    assert form.to_config() == {"thresholds": {"TRIBE": 0.25, "GENUS": 0.5}, "lineage": "global"}
    assert parse_config(RankRollupConfig, {"occurrence_id": 1, **form.to_config()})
    assert list(RankRollupActionForm({"lineage": "global"}).errors) == ["thresholds"]
    odd = RankRollupActionForm({"thresholds_GENUS": "much", "lineage": "global"})
    assert list(odd.errors) == ["thresholds"]


def test_masking_is_launched_from_the_list_of_occurrences(
    admin_client: Client, classifier: Algorithm
) -> None:
    source = make_source(classifier, logits=[1.0, 2.0, 3.0])
    taxa_list = make_list(Taxon.objects.get(name="a"))
    ids = [source.detection.occurrence_id]
    page = post(admin_client, ids, url=OCCURRENCES, action="run_class_masking").content.decode()
    assert "Moths v1: 1 classification" in page
    sent = {"taxa_list_id": taxa_list.pk, "algorithm_id": classifier.pk, "reweight": "on"}
    response = post(
        admin_client, ids, url=OCCURRENCES, action="run_class_masking", launch_key=KEY, **sent
    )
    assert "Class masking: queued 1 Job for 1 occurrence: " in told(response)[0]
    assert Job.objects.get().params["config"] == {
        "occurrence_id": ids[0],
        "taxa_list_id": taxa_list.pk,
        "algorithm_id": classifier.pk,
        "reweight": True,
        "only_when_taxon_changes": False,
    }


def test_rollup_is_launched_from_the_list_of_capture_sets(
    admin_client: Client, classifier: Algorithm
) -> None:
    make_source(classifier, scores=[1.0, 0.0, 0.0])
    capture_set = everything()
    sent = {"thresholds_GENUS": "2", "lineage": "constrained"}
    options = {"action": "run_rank_rollup", "launch_key": KEY}
    page = post(admin_client, [capture_set.pk], url=SETS, **options, **sent).content.decode()
    assert "Thresholds (Genus) must be at most 1, got 2." in page
    assert not Job.objects.exists()
    post(admin_client, [capture_set.pk], url=SETS, **options, **sent | {"thresholds_GENUS": "0.5"})
    assert Job.objects.get().params["config"]["thresholds"] == {"GENUS": 0.5}


def test_occurrences_without_detections_offer_nothing() -> None:
    make_occurrence()
    assert not Classification.objects.exists()
    assert not TaxaList.objects.exists()
    assert len(offered(Occurrence.objects.all(), "algorithm_id")) == 1

"""The options of a run on the page of its Job and in its log."""

import pytest
from django.test import Client

from ami.base.tests.factories import make_project
from ami.jobs.models import Job
from ami.jobs.tests.admin import page_of, sign_in
from ami.jobs.tests.job_types import make_job, run_to_end
from ami.main.models import Occurrence, TaxaList, Taxon
from ami.ml.models import Algorithm
from ami.ml.post_processing.service import JOB_TYPE
from ami.ml.post_processing.tests.methods import make_scope
from ami.ml.post_processing.tests.vectors import (
    make_classifier,
    make_list,
    make_source,
    make_species,
)

pytestmark = pytest.mark.django_db


def make_run(task: str, **config: object) -> Job:
    return make_job(job_type_key=JOB_TYPE, params={"task": task, "config": config})


def shown(admin_client: Client, job: Job) -> dict[str, str]:
    return dict(admin_client.get(page_of(job)).context["parameters"])


def test_options_have_labels_and_values_as_people_write_them(admin_client: Client) -> None:
    job = make_run(
        "rank_rollup",
        source_image_collection_id=(capture_set := make_scope(1)).pk,
        thresholds={"GENUS": 0.6, "FAMILY": 0.4},
        lineage="global",
    )
    told = shown(admin_client, job)
    assert told["Method"] == "Rank rollup"
    assert told["Thresholds"] == "genus 0.6, family 0.4"
    assert told["Lineage"] == "global"
    assert "Algorithm" not in told
    assert f"/admin/main/sourceimagecollection/{capture_set.pk}/change/" in told["Scope"]


def test_lists_and_algorithms_are_links_with_names(admin_client: Client) -> None:
    taxa_list = TaxaList.objects.create(name="Moths <of> Vermont")
    algorithm = Algorithm.objects.create(name="Classifier", key="classifier")
    job = make_run(
        "class_masking",
        occurrence_id=7,
        taxa_list_id=taxa_list.pk,
        algorithm_id=algorithm.pk,
        reweight=False,
    )
    told = shown(admin_client, job)
    url = f"/admin/main/taxalist/{taxa_list.pk}/change/"
    assert told["Taxa list"] == f'<a href="{url}">Moths &lt;of&gt; Vermont</a>'
    assert f">{algorithm}</a>" in told["Algorithm"]
    assert told["Reweight"] == "no"
    assert told["Scope"] == "Occurrence 7"


def test_rows_that_a_person_may_not_see_are_not_named(client: Client) -> None:
    own, foreign = make_project(), make_project()
    taxa_list = TaxaList.objects.create(name="Secret list")
    taxa_list.projects.set([foreign])
    job = make_run("class_masking", occurrence_id=7, taxa_list_id=taxa_list.pk, algorithm_id=1)
    Job.objects.update(project=own)
    sign_in(client, project=own)
    assert "Secret" not in client.get(page_of(job)).text


def test_log_tells_which_labels_the_list_keeps() -> None:
    make_species("a", "b", "c")
    classifier = make_classifier("a", "b", "c", name="Moths", version=2)
    make_source(classifier, logits=[1.0, 2.0, 3.0])
    taxa_list = make_list(*Taxon.objects.filter(name__in=["a", "b"]))
    job = make_run(
        "class_masking",
        occurrence_id=Occurrence.objects.get().pk,
        taxa_list_id=taxa_list.pk,
        algorithm_id=classifier.pk,
    )
    run_to_end(job)
    lines = list(job.logs.values_list("message", flat=True))
    assert "The list keeps 2 of 3 labels: a, b." in lines
    assert (
        f"Options: Taxa list: {taxa_list}; Algorithm: Moths v2; Reweight: yes; "
        "Only when taxon changes: no."
    ) in lines


def test_log_tells_what_decided_the_run() -> None:
    job = make_run(
        "small_size_filter", source_image_collection_id=make_scope(1).pk, size_threshold=0.003
    )
    run_to_end(job)
    assert "Options: Size threshold: 0.003." in job.logs.values_list("message", flat=True)

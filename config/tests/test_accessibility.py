"""No page has a serious violation of the accessibility rules, in either theme, wide or narrow."""

from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.core.management import call_command
from django.db.models import Model
from django.urls import reverse
from playwright.sync_api import Page
from pytest_django.live_server_helper import LiveServer

from ami.base.tests.browser import sign_in
from ami.exchange.export.registry import FORMATS, ExportOptions
from ami.exchange.export.scope import Scope
from ami.exchange.models import Export, Import
from ami.exchange.tests.exports import make_example, make_record
from ami.exchange.tests.uploads import imported
from ami.exchange.work import queue_exports
from ami.integrity.models import IntegrityRun
from ami.jobs.models import Job, JobChange
from ami.jobs.tests.job_types import run_to_end
from ami.main.models import (
    AuditNote,
    Classification,
    Deployment,
    Detection,
    Event,
    Identification,
    Occurrence,
    Project,
    SourceImage,
    SourceImageCollection,
    TaxaList,
    Taxon,
)
from ami.ml.models import Algorithm, Calibration
from ami.ml.post_processing.service import LaunchRow, launch
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from ami.review.models import Sample
from ami.review.tests.judged import judge
from ami.review.tests.samples import make_sample

pytestmark = pytest.mark.django_db(transaction=True)

RULES = {"resultTypes": ["violations"], "preload": False}
# Select2 itself puts a button into a list.
CONTEXT = {"exclude": [".select2-selection--multiple > ul"]}
CHOOSE = """theme => {
    document.documentElement.dataset.theme = theme;
    document.getAnimations().forEach(animation => animation.finish());
}"""
RUN = "([context, rules]) => axe.run(context, rules)"
GRAVE = ("serious", "critical")
WIDTHS = (1280, 380)
THEMES = ("light", "dark")
LISTED = (
    Occurrence,
    Detection,
    AuditNote,
    Classification,
    Identification,
    SourceImage,
    SourceImageCollection,
    Event,
    Deployment,
    Project,
    Taxon,
    TaxaList,
    Algorithm,
    Job,
    IntegrityRun,
    Sample,
)


def address(model: type[Model], page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def addresses(job: Job) -> Iterator[str]:
    """The pages that people use, each with rows on it."""
    yield reverse("admin:index")
    for model in LISTED:
        pk = model._default_manager.latest("pk").pk
        yield f"{address(model, 'changelist')}?q={pk}"  # one row is enough, and quicker
        yield address(model, "change", pk)
    yield address(Occurrence, "add")
    yield f"{address(JobChange, 'changelist')}?job={job.pk}&q={job.changes.latest('pk').object_id}"
    for page in ("log", "revert", "history", "delete", "run_again", "effect"):
        yield address(Job, page, job.pk)
    yield address(AuditNote, "changelist")
    yield address(Project, "overview", job.project_id)
    yield reverse("post_processing_methods")
    yield address(Calibration, "add")
    yield address(Sample, "add")
    yield f"{address(Sample, 'add')}?source=job&source_id={job.pk}"
    for blind in (True, False):
        yield reverse("admin:review", args=[make_sample(job.project, blind=blind).pk])
    yield reverse("admin:review", args=[make_sample(job.project).pk]) + "?grid=1"
    export = Export.objects.latest("pk")
    yield address(Export, "changelist")
    yield address(Export, "change", export.pk)
    yield address(Job, "change", export.job_id)
    read = Import.objects.latest("pk")
    yield address(Import, "add")
    yield f"{address(Import, 'add')}?again={read.job_id}"
    yield address(Import, "changelist")
    yield address(Import, "change", read.pk)
    yield address(Job, "change", read.job_id)


@pytest.fixture
def job() -> Job:
    """A Job of the demo project that changed rows."""
    call_command("create_demo_project", verbosity=0)
    call_command("check_data_integrity", verbosity=0)
    capture_set = SourceImageCollection.objects.latest("pk")
    config = {"source_image_collection_id": capture_set.pk}
    row = LaunchRow(capture_set.name, capture_set.project, config)
    job = run_to_end(launch(SmallSizeFilterTask, [row])[0])
    assert job.changes.exists()
    call_command("draw_sample", job=job.pk, strata="score", stdout=StringIO())
    judge(Sample.objects.get().items.all()[:10], "wrong")
    scope = Scope(capture_set.project_id, collection_id=capture_set.pk)
    run_to_end(queue_exports(FORMATS["csv"], ExportOptions(), [("a set", scope)])[0])
    different = make_record(1, examples=[make_example(1, 0, score=0.75)])
    assert capture_set.project
    imported([make_record(1)], capture_set.project)
    imported([different], capture_set.project, dry_run=True)
    return job


def violations(page: Page, axe: Axe) -> Iterator[str]:
    """The serious violations on the page as it stands, in each theme and width."""
    page.evaluate(axe.axe_script)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        for theme in THEMES:
            page.evaluate(CHOOSE, theme)
            for rule in page.evaluate(RUN, [CONTEXT, RULES])["violations"]:
                if rule["impact"] in GRAVE:
                    for node in rule["nodes"]:
                        yield f"{page.url} {theme} {width}: {rule['id']}: {node['html'][:200]}"


def test_no_page_has_a_serious_violation(page: Page, live_server: LiveServer, job: Job) -> None:
    axe = Axe()
    found: list[str] = []
    page.goto(f"{live_server.url}/admin/login/")
    found += violations(page, axe)
    sign_in(page, live_server.url)
    for path in addresses(job):
        page.goto(live_server.url + path)
        assert page.locator("#content h1").count(), path
        found += violations(page, axe)
    page.goto(live_server.url + address(SourceImageCollection, "changelist"))
    page.locator(".action-select").first.check()
    page.select_option("select[name=action]", "export_rows")
    page.get_by_role("button", name="Go").click()
    assert page.locator("#content h1").inner_text() == "Export"
    found += violations(page, axe)
    assert not found, "\n".join(found)

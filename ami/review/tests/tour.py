"""The way from a sample to a threshold to an effect on the demo project, with pictures of it."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin

from django.urls import reverse
from playwright.sync_api import Page, expect

from ami.base.links import change_url
from ami.jobs.models import Job
from ami.main.models import Occurrence, SourceImageCollection
from ami.ml.models import Algorithm
from ami.ml.post_processing.rank_rollup import RankRollupTask
from ami.ml.post_processing.service import LaunchRow, launch
from ami.review.models import Sample

ANSWERS = 20
Shoot = Callable[[Page, Path], None]


def judge_and_compare(page: Page, screenshots: Path, shoot: Shoot) -> None:
    """Judge a sample, try a range of thresholds, and look at the effect of a dry run."""
    capture_set = SourceImageCollection.objects.get(name="Demo captures")
    _judge(page, capture_set, screenshots, shoot)
    algorithm = Algorithm.objects.get(name="Demo moth classifier")
    options = {"source_image_collection_id": capture_set.pk, "algorithm_id": algorithm.pk}
    row = LaunchRow("Rank rollup", capture_set.project, options)
    job = launch(RankRollupTask, [row], dry_run=True)[0]
    page.goto(urljoin(page.url, change_url(Job, job.pk)))
    expect(page.get_by_role("button", name="Apply this dry run")).to_be_visible(timeout=60_000)
    page.goto(urljoin(page.url, reverse("admin:jobs_job_effect", args=[job.pk])))
    expect(page.get_by_text("independently identified occurrences:")).to_be_visible()
    shoot(page, screenshots / "effect")
    _try_a_range(page, screenshots, shoot)


def _judge(page: Page, capture_set: SourceImageCollection, screenshots: Path, shoot: Shoot) -> None:
    page.goto(
        urljoin(page.url, reverse("admin:main_sourceimagecollection_change", args=[capture_set.pk]))
    )
    page.get_by_role("link", name="Draw a sample").click()
    page.get_by_label("Number of occurrences").fill("60")
    page.get_by_label("Blind").uncheck()
    page.get_by_role("button", name="Draw the sample").click()
    sample = Sample.objects.get()
    page.goto(urljoin(page.url, reverse("admin:review", args=[sample.pk])))
    shoot(page, screenshots / "review")
    for position in range(1, ANSWERS + 1):
        expect(page.get_by_role("heading", name=f"Item {position}", exact=True)).to_be_visible()
        page.keyboard.press("ArrowDown" if position == 7 else "ArrowUp")
    expect(page.get_by_role("heading", name=f"Item {ANSWERS + 1}", exact=True)).to_be_visible()
    expect(page.get_by_text(f"Rosa Beauchamp: {ANSWERS}.")).to_be_visible()
    page.goto(urljoin(page.url, reverse("admin:review_sample_change", args=[sample.pk])))
    shoot(page, screenshots / "sample")
    assert Occurrence.objects.filter(identifications__sample=sample).count() == ANSWERS - 1


def _try_a_range(page: Page, screenshots: Path, shoot: Shoot) -> None:
    page.goto(urljoin(page.url, reverse("admin:main_sourceimagecollection_changelist")))
    page.locator("tr", has_text="Demo captures").get_by_role("checkbox").check()
    page.get_by_label("Action:").select_option(value="run_rank_rollup")
    page.get_by_role("button", name="Go").click()
    page.get_by_role("button", name="Try a range…").click()
    page.get_by_label("Option").select_option(value="thresholds_SPECIES")
    page.get_by_role("button", name="Try these values").click()
    expect(page.get_by_text("identified occurrences, by the independent answers.")).to_be_visible()
    expect(page.get_by_text("Best value:")).to_be_visible()
    shoot(page, screenshots / "range")

"""The page of all methods, the buttons on the pages of rows, and the choice of all pages."""

from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from django.conf import settings
from django.test import Client, override_settings
from django.urls import reverse

from ami.jobs.tests.admin import sign_in
from ami.main.access import Role
from ami.ml.post_processing.registry import POSTPROCESSING_TASKS
from ami.ml.post_processing.service import LaunchRow, launch
from ami.ml.post_processing.small_size_filter import SmallSizeFilterTask
from ami.ml.post_processing.tests.methods import make_scope

pytestmark = pytest.mark.django_db
PAGE = "/admin/post-processing/"
ROOT: Path = settings.ROOT


@pytest.mark.usefixtures("published")
def test_every_method_is_listed_with_its_last_runs(admin_client: Client) -> None:
    row = make_scope(1)
    config = {"source_image_collection_id": row.pk}
    launch(SmallSizeFilterTask, [LaunchRow("A dusty night", row.project, config)])
    text = admin_client.get(PAGE).text
    for task_cls in POSTPROCESSING_TASKS.values():
        assert f"<h2>{task_cls.name}</h2>" in text
        assert task_cls.description in text
    assert text.count("A dusty night") == 1
    assert "Above 0, below 1." in text
    assert PAGE in admin_client.get(reverse("admin:index")).text


class TestDocs:
    @pytest.mark.parametrize(
        ("docs", "address"),
        [
            ("reference/a.html", "https://docs.example.org/ami/reference/a.html"),
            ("https://example.org/a", "https://example.org/a"),
        ],
    )
    def test_method_leads_to_its_page(self, admin_client: Client, docs: str, address: str) -> None:
        with (
            override_settings(DOCS_URL="https://docs.example.org/ami/"),
            patch.object(SmallSizeFilterTask, "docs", docs),
        ):
            text = admin_client.get(PAGE).text
        assert f'<a href="{address}">Documentation of Small size filter</a>' in text

    def test_without_an_address_there_is_no_link(self, admin_client: Client) -> None:
        assert "Documentation of" not in admin_client.get(PAGE).text

    @pytest.mark.parametrize("task_cls", POSTPROCESSING_TASKS.values())
    def test_page_of_each_method_exists(self, task_cls: Any) -> None:
        assert (ROOT / "docs" / task_cls.docs).with_suffix(".md").is_file()


@pytest.mark.usefixtures("published")
def test_runs_of_foreign_projects_are_not_shown(client: Client) -> None:
    own, foreign = make_scope(1), make_scope(1)
    for row, name in ((own, "Our run"), (foreign, "Their run")):
        config = {"source_image_collection_id": row.pk}
        launch(SmallSizeFilterTask, [LaunchRow(name, row.project, config)])
    sign_in(client, project=own.project, role=Role.VIEWER)
    text = client.get(PAGE).text
    assert ("Our run" in text, "Their run" in text) == (own.project != foreign.project, False)
    assert "You may not run this method." in text


def test_stranger_signs_in_first(client: Client) -> None:
    assert client.get(PAGE).url.startswith("/admin/login/")  # type: ignore[attr-defined]


def test_page_of_a_row_starts_the_methods_of_its_scope(admin_client: Client) -> None:
    row = make_scope(1)
    url = reverse("admin:main_sourceimagecollection_change", args=[row.pk])
    text = admin_client.get(url).text
    for key in POSTPROCESSING_TASKS:
        assert f'name="action" value="run_{key}"' in text
    started = {"action": "run_tracking", "_selected_action": row.pk}
    answer = admin_client.post(reverse("admin:main_sourceimagecollection_changelist"), started)
    assert "<title>Run Tracking" in answer.text


def test_viewer_gets_no_buttons(client: Client) -> None:
    row = make_scope(1)
    sign_in(client, project=row.project, role=Role.VIEWER)
    text = client.get(reverse("admin:main_sourceimagecollection_change", args=[row.pk])).text
    assert "Run a method" not in text

"""Modules that are placed in the package, such as code written for Antenna, are found."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.test import Client

from ami.jobs.models import Job
from ami.ml import post_processing
from ami.ml.post_processing import admin
from ami.ml.post_processing.admin.forms import form_class_for
from ami.ml.post_processing.registry import POSTPROCESSING_TASKS
from ami.ml.post_processing.tests.clicks import SETS, post
from ami.ml.post_processing.tests.methods import make_scope

METHOD = """
import pydantic
from ami.ml.post_processing.base import BasePostProcessingTask

class DustConfig(pydantic.BaseModel):
    source_image_collection_id: int | None = None
    strictness: float = 0.5

class _Shared(BasePostProcessingTask):
    pass

class DustTask(_Shared):
    key = "dust"
    name = "Dust"
    config_schema = DustConfig

    def run(self):
        pass
"""
DECORATED = METHOD.replace(
    "class DustTask",
    "from ami.ml.post_processing.registry import register\n\n@register\nclass DustTask",
)
FORM = """
from django import forms
from ami.ml.post_processing.admin.forms import BasePostProcessingActionForm

class _SharedForm(BasePostProcessingActionForm):
    pass

class DustActionForm(_SharedForm):
    strictness = forms.ChoiceField(choices=[("0.25", "Lenient"), ("0.75", "Strict")])
"""

Drop = Callable[[str, str], None]


@pytest.fixture
def drop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Drop]:
    """Lets Python find a file in the package, and removes what it has registered."""
    packages = {"": post_processing, "admin": admin}
    known = set(sys.modules), set(POSTPROCESSING_TASKS)
    for folder, package in packages.items():
        (tmp_path / folder).mkdir(exist_ok=True)
        path = [*package.__path__, str(tmp_path / folder)]
        monkeypatch.setattr(package, "__path__", path)

    def place(name: str, code: str) -> None:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(code)
        importlib.invalidate_caches()

    yield place
    for name in set(sys.modules) - known[0]:
        if name.startswith(post_processing.__name__):
            del sys.modules[name]
    for key in set(POSTPROCESSING_TASKS) - known[1]:
        del POSTPROCESSING_TASKS[key]


def start() -> None:
    apps.get_app_config("post_processing").ready()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("dust.py", METHOD),
        ("dust.py", DECORATED),
        ("dust/__init__.py", METHOD),
    ],
    ids=["plain", "with the decorator", "a package"],
)
def test_module_registers_its_method(drop: Drop, name: str, code: str) -> None:
    drop(name, code)
    start()
    assert POSTPROCESSING_TASKS["dust"].name == "Dust"
    start()


def test_method_of_a_package_may_stand_below_it(drop: Drop) -> None:
    drop("dust/task.py", METHOD)
    drop("dust/__init__.py", "from ami.ml.post_processing.dust.task import DustTask\n")
    start()
    assert "dust" in POSTPROCESSING_TASKS


def test_method_that_is_only_imported_is_not_that_modules(drop: Drop) -> None:
    drop("lint.py", "from ami.ml.post_processing.tests.methods import CountingTask\n")
    start()
    assert "counting" not in POSTPROCESSING_TASKS


def test_form_is_found_by_the_key_of_its_method(drop: Drop) -> None:
    drop("dust.py", METHOD)
    drop("admin/dust_form.py", FORM)
    start()
    form_class = form_class_for(POSTPROCESSING_TASKS["dust"])
    assert form_class.__name__ == "DustActionForm"
    assert list(form_class().fields) == ["strictness"]


@pytest.mark.parametrize(
    ("task", "form"),
    [
        ("dust/__init__.py", "dust/form.py"),
        ("dust/task.py", "dust/form.py"),
        ("dust/task.py", "dust/dust_form.py"),
        ("dust/__init__.py", "dust_form.py"),
    ],
)
def test_form_is_found_inside_the_package_of_its_method(drop: Drop, task: str, form: str) -> None:
    drop("dust/__init__.py", "from ami.ml.post_processing.dust.task import DustTask\n")
    drop(task, METHOD)
    drop(form, FORM)
    drop("admin/dust_form.py", FORM.replace("DustActionForm", "OtherForm"))
    start()
    assert form_class_for(POSTPROCESSING_TASKS["dust"]).__name__ == "DustActionForm"


def test_of_several_forms_none_is_chosen(drop: Drop) -> None:
    drop("dust.py", METHOD)
    drop("admin/dust_form.py", f"{FORM}\nclass OtherForm(_SharedForm):\n    pass\n")
    start()
    with pytest.raises(ValueError, match="defines several forms; register one of them"):
        form_class_for(POSTPROCESSING_TASKS["dust"])


@pytest.mark.django_db
def test_confirm_takes_the_place_of_the_key_of_a_form(admin_client: Client, drop: Drop) -> None:
    drop("dust.py", METHOD)
    drop("admin/dust_form.py", FORM)
    start()
    row = make_scope(1)
    assert "Lenient" in post(admin_client, [row.pk], action="run_dust").text
    sent = {"action": "run_dust", "strictness": "0.75"}
    assert post(admin_client, [row.pk], **sent, confirm="").status_code == 200
    assert post(admin_client, [row.pk], **sent, confirm="yes").url == SETS
    job = Job.objects.get()
    assert job.params["config"] == {"source_image_collection_id": row.pk, "strictness": 0.75}
    assert job.launch_key is None


@pytest.mark.django_db
def test_method_overrides_a_piece_of_its_page(
    admin_client: Client, drop: Drop, tmp_path: Path, settings: Any
) -> None:
    folder = tmp_path / "admin" / "post_processing" / "dust"
    folder.mkdir(parents=True)
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [str(tmp_path)]}]
    (folder / "confirmation.html").write_text(
        '{% extends "admin/post_processing/confirmation.html" %}'
        "{% block intro %}<p>Mind the dust.</p>{{ block.super }}{% endblock %}"
    )
    (folder / "_form_fieldset.html").write_text("<b>Nothing to choose.</b>")
    drop("dust.py", METHOD.replace('name = "Dust"', 'name = "Dust"; description = "Dusts."'))
    start()
    row = make_scope(1)
    page = post(admin_client, [row.pk], action="run_dust").text
    for text in ("<p>Mind the dust.</p><p>Dusts.</p>", "<b>Nothing to choose.</b>", "1 selected"):
        assert text in page
    assert "strictness" not in page
    other = post(admin_client, [row.pk]).text
    assert "Mind the dust" not in other
    assert "size_threshold" in other


@pytest.mark.django_db
def test_form_without_options_draws_no_empty_box(admin_client: Client, drop: Drop) -> None:
    drop("dust.py", METHOD)
    drop("admin/dust_form.py", FORM.replace("    strictness = forms", "    pass\n\nODD = forms"))
    start()
    page = post(admin_client, [make_scope(1).pk], action="run_dust").text
    assert ">Selection</h2>" in page
    assert ">Options</h2>" not in page

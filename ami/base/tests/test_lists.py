"""What the rows of a list cost, and that they look as Django draws them."""

from typing import Any

import pytest
from django.contrib import admin
from django.db import models
from django.db.models import Model
from django.test import Client, override_settings
from django.urls import NoReverseMatch, get_script_prefix, path, reverse, set_script_prefix
from django.urls.resolvers import URLResolver
from pytest_django.asserts import assertHTMLEqual

from ami.base.links import change_link, change_url, list_url
from ami.base.tests.factories import make_classification, make_detection, make_occurrence
from ami.main.models import Classification, Taxon

REGISTERED = list(admin.site._registry)
LIST = "/admin/main/classification/"

urlpatterns = [path("elsewhere/", admin.site.urls)]


class Unlisted(Model):
    """A model without an admin."""

    class Meta:
        app_label = "nowhere"
        managed = False


@pytest.mark.parametrize("model", REGISTERED, ids=lambda model: model._meta.label_lower)
def test_links_lead_where_reverse_does(model: type[Model]) -> None:
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    pk: Any = "health_check/" if isinstance(model._meta.pk, models.CharField) else 5
    quoted = admin.utils.quote(pk)

    assert list_url(model) == reverse(f"{name}_changelist")
    assert change_url(model, pk) == reverse(f"{name}_change", args=[quoted])


def test_links_follow_the_mount_point_and_the_root_urls() -> None:
    assert change_url(Taxon, 5) == "/admin/main/taxon/5/change/"
    with override_settings(ROOT_URLCONF=__name__):
        assert change_url(Taxon, 5) == "/elsewhere/main/taxon/5/change/"
    prefix = get_script_prefix()
    set_script_prefix("/station")
    try:
        assert change_url(Taxon, 5) == "/station/admin/main/taxon/5/change/"
    finally:
        set_script_prefix(prefix)
    assert change_url(Taxon, 5) == "/admin/main/taxon/5/change/"


def test_a_model_without_an_admin_has_no_link() -> None:
    with pytest.raises(NoReverseMatch):
        change_url(Unlisted, 5)
    assert change_link(Unlisted, 5, "<b>") == "<b>"


@pytest.mark.django_db
def test_further_rows_take_no_template_and_no_reverse(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    reversed_names = []
    reverse_one: Any = URLResolver._reverse_with_prefix  # type: ignore[attr-defined]

    def counted(self: URLResolver, name: Any, *args: Any, **kwargs: Any) -> Any:
        reversed_names.append(name)
        return reverse_one(self, name, *args, **kwargs)

    monkeypatch.setattr(URLResolver, "_reverse_with_prefix", counted)

    def costs(**query: str) -> tuple[int, int]:
        reversed_names.clear()
        response = admin_client.get(LIST, query)
        assert len(response.context["cl"].result_list) == Classification.objects.count()
        return len(response.templates), len(reversed_names)

    source = make_classification(detection=make_detection(occurrence=make_occurrence()))
    make_classification(detection=source.detection, applied_to=source)
    costs()  # what is cached is cached now
    few = costs()
    for _ in range(10):
        make_classification(detection=source.detection, applied_to=source)

    assert costs() == few


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["Actias luna", "\"><script>&'é{}"])
def test_the_checkbox_is_the_one_of_django(name: str) -> None:
    taxon = Taxon(pk=1234, name=name)
    taxa = admin.site._registry[Taxon]

    assertHTMLEqual(taxa.action_checkbox(taxon), admin.ModelAdmin.action_checkbox(taxa, taxon))

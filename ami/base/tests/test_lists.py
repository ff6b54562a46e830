"""What the rows of a list cost, and that they look as Django draws them."""

from copy import copy
from functools import partial
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.templatetags import admin_list
from django.contrib.admin.templatetags.admin_list import items_for_result
from django.contrib.admin.utils import display_for_value
from django.contrib.admin.views.main import ChangeList
from django.db import models
from django.db.models import Model
from django.templatetags.static import static
from django.test import Client, RequestFactory, override_settings
from django.urls import NoReverseMatch, get_script_prefix, path, resolve, reverse, set_script_prefix
from django.urls.resolvers import URLResolver
from pytest_django.asserts import assertContains, assertHTMLEqual

from ami.base.links import change_link, change_url, list_url
from ami.base.lists import Column, UnusualColumnError
from ami.base.tests.factories import (
    make_classification,
    make_detection,
    make_occurrence,
    make_project,
    make_taxon,
    make_user,
)
from ami.main.models import Classification, Detection, Taxon
from ami.main.tests.projects import populate

REGISTERED = list(admin.site._registry)
LIST = "/admin/main/classification/"

urlpatterns = [path("elsewhere/", admin.site.urls)]


@pytest.mark.django_db
@pytest.mark.parametrize("terminal", [True, False])
def test_icons_are_those_of_django(admin_client: Client, terminal: bool) -> None:
    make_classification(terminal=terminal)

    page = admin_client.get(LIST)

    drawn = display_for_value(terminal, "", boolean=True)
    assertContains(page, f'<td class="field-terminal_icon">{drawn}</td>', html=True)
    assertContains(page, f'src="{static("admin/img/icon-" + ("yes" if terminal else "no"))}.svg"')


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
@pytest.mark.parametrize("query", [{}, {"score__gte": "0", "p": "1"}])
def test_further_rows_take_no_template_and_no_look_at_urls(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch, query: dict[str, str]
) -> None:
    looked_at = []

    def count(method: str) -> None:
        original = getattr(URLResolver, method)

        def counted(*args: Any, **kwargs: Any) -> Any:
            looked_at.append(args)
            return original(*args, **kwargs)

        monkeypatch.setattr(URLResolver, method, counted)

    count("_reverse_with_prefix")
    count("resolve")

    def costs() -> tuple[int, int]:
        looked_at.clear()
        response = admin_client.get(LIST, query)
        assert len(response.context["cl"].result_list) == Classification.objects.count()
        return len(response.templates), len(looked_at)

    source = make_classification(detection=make_detection(occurrence=make_occurrence()))
    make_classification(detection=source.detection, applied_to=source)
    costs()  # what is cached is cached now
    few = costs()
    for _ in range(10):
        make_classification(detection=source.detection, applied_to=source)

    assert costs() == few


@pytest.mark.django_db
@pytest.mark.parametrize("query", [{}, {"q": 'a&b"'}, {"_popup": "1"}])
def test_the_link_of_a_row_is_the_one_of_django(rf: RequestFactory, query: dict[str, str]) -> None:
    row, taxa = make_taxon(name='a&b"'), admin.site._registry[Taxon]
    request = rf.get("/admin/main/taxon/", query | {"rank__exact": row.rank})
    request.resolver_match = resolve(request.path)
    request.user = make_user(is_superuser=True, is_staff=True)
    changelist = taxa.get_changelist_instance(request)
    former = copy(changelist)
    former.preserved_filters = taxa.get_preserved_filters(request)
    former.url_for_result = partial(ChangeList.url_for_result, former)  # type: ignore[method-assign]

    assert list(items_for_result(changelist, row, None)) == list(
        items_for_result(former, row, None)
    )


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["Actias luna", "\"><script>&'é{}"])
def test_the_checkbox_is_the_one_of_django(name: str) -> None:
    taxon = Taxon(pk=1234, name=name)
    taxa = admin.site._registry[Taxon]

    assertHTMLEqual(taxa.action_checkbox(taxon), admin.ModelAdmin.action_checkbox(taxa, taxon))


@pytest.mark.django_db
@pytest.mark.parametrize("query", [{}, {"_popup": "1"}, {"_popup": "1", "_to_field": "id"}])
def test_the_rows_are_those_of_django(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch, query: dict[str, str]
) -> None:
    populate(make_project(name='<b>Moths</b> & "more"'))
    populate(None)
    source = make_classification(taxon=make_taxon(name="a<b"), score=None)
    make_classification(detection=source.detection, applied_to=source, taxon=None)
    Detection.objects.update(path=" ")

    def tables() -> dict[str, list[str]]:
        pages = {model: admin_client.get(list_url(model), query) for model in REGISTERED}
        return {
            model._meta.label: page.text.partition("<tbody>")[2].partition("</tbody>")[0].split()
            for model, page in pages.items()
        }

    def refuse(*args: Any) -> None:
        raise UnusualColumnError

    drawn = tables()
    monkeypatch.setattr(Column, "__init__", refuse)

    assert drawn == tables()
    assert len([rows for rows in drawn.values() if rows]) > 20


@pytest.mark.django_db
def test_a_list_does_not_look_up_its_columns_for_each_row(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = make_classification()
    monkeypatch.setattr(admin_list, "items_for_result", None)  # Django's would fail

    assertContains(admin_client.get(LIST), change_url(Classification, row.pk))

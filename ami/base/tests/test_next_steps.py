"""Lists without rows tell what to do next."""

import re
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client, RequestFactory

from ami.base.links import list_url
from ami.base.next_steps import IMPORT, NextStep
from ami.users.models import User

pytestmark = pytest.mark.django_db

# Lists that are never empty for the person who looks, and those of libraries.
OTHERS = {"users", "auth", "axes", "django_celery_beat"}
OWN = [model for model in admin.site._registry if model._meta.app_label not in OTHERS]


@pytest.mark.parametrize("model", OWN, ids=lambda model: model._meta.label)
def test_every_list_without_rows_says_what_to_do_next(admin_client: Client, model: Any) -> None:
    text = admin_client.get(list_url(model)).text
    told = re.search(r'<p class="empty-list">There are no (.+?) yet\. (.+?)</p>', text)
    assert told
    assert told[1] == model._meta.verbose_name_plural
    for url in re.findall(r'href="(.+?)"', told[2]):
        assert admin_client.get(url).status_code == 200


@pytest.mark.parametrize("model", OWN, ids=lambda model: model._meta.label)
def test_list_that_a_search_empties_does_not(admin_client: Client, model: Any) -> None:
    if admin.site.get_model_admin(model).search_fields:
        text = admin_client.get(list_url(model), {"q": "9999999"}).text
        assert f"No {model._meta.verbose_name_plural} match." in text
        assert "There are no" not in text


@pytest.mark.parametrize(
    "step",
    [IMPORT, NextStep("{} with captures, detections and occurrences.", "Import a file", "no.App")],
)
def test_step_is_no_link_where_the_page_cannot_be_opened(step: NextStep) -> None:
    request = RequestFactory().get("/")
    request.user = User.objects.create(email="nobody@example.org")
    told = "Import a file with captures, detections and occurrences."
    assert step.html(request, admin.site) == told

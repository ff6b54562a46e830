"""What to do next where a list of the admin has no rows yet."""

from typing import NamedTuple

from django.apps import apps
from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString


class NextStep(NamedTuple):
    """A sentence whose `{}` is the text `link`: a link to the list of `model`, or to its add page.

    `model` is a label such as "main.Project". The text is no link for a person who may not open the
    page, and where the model's app is not installed.
    """

    sentence: str
    link: str = ""
    model: str = ""
    adds: bool = False

    def html(self, request: HttpRequest, site: AdminSite) -> SafeString:
        url = self._url(request, site)
        link = format_html('<a href="{}">{}</a>', url, self.link) if url else self.link
        return format_html(self.sentence, link)

    def _url(self, request: HttpRequest, site: AdminSite) -> str:
        app, _, name = self.model.partition(".")
        if not app or app not in apps.app_configs:
            return ""
        admin = site.get_model_admin(apps.get_model(app, name))
        may = admin.has_add_permission if self.adds else admin.has_view_permission
        page = "add" if self.adds else "changelist"
        return reverse(f"admin:{app}_{name.lower()}_{page}") if may(request) else ""


IMPORT = NextStep(
    "{} with captures, detections and occurrences.", "Import a file", "exchange.Import", adds=True
)
IMPORT_NAMES = NextStep(
    "{} into a taxa list, or add the first one.", "Import names", "exchange.Import", adds=True
)

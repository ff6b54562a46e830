"""An HTTP client that uses the admin like a person: reads pages and submits their forms."""

import re
from urllib.parse import urljoin

import requests
from bs4 import BeautifulSoup, Tag
from django.core.management.base import CommandError

Values = dict[str, str]
TIMEOUT = 30


class Visitor:
    """One browser session on the site at `base`, such as `http://127.0.0.1:8000`."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.session = requests.Session()

    def sign_in(self, email: str, password: str) -> None:
        page = self._read(self.session.get(f"{self.base}/admin/login/", timeout=TIMEOUT))
        form = _one(page, "#login-form")
        self._submit(form, "/admin/login/", {"username": email, "password": password})
        if "sessionid" not in self.session.cookies:
            raise CommandError(f"The admin did not let {email} sign in.")

    def run_action(self, path: str, *, action: str, row: str) -> str:
        """Run a two-step action on the row named `row` of a changelist; return the Job's URL."""
        page = self._read(self.session.get(self.base + path, timeout=TIMEOUT))
        box = next(
            (
                _one(line, "input[name=_selected_action]")
                for line in page.select("#result_list tbody tr")
                if row in line.get_text()
            ),
            None,
        )
        if box is None:
            raise CommandError(f"{self.base}{path} does not list {row!r}.")
        chosen = {"action": action, "_selected_action": str(box["value"])}
        page = self._submit(_one(page, "#changelist-form"), path, chosen)
        page = self._submit(_one(page, "#content-main form"), path, {})
        link = page.select_one('.messagelist a[href*="/jobs/job/"]')
        if link is None:
            told = [
                part.get_text(" ", strip=True) for part in page.select(".errorlist, .messagelist")
            ]
            raise CommandError(f"The admin started no Job: {' '.join(told) or 'it gave no reason'}")
        return urljoin(self.base, str(link["href"]))

    def _submit(self, form: Tag, path: str, values: Values) -> BeautifulSoup:
        url = urljoin(self.base + path, str(form.get("action") or ""))
        data = [*_defaults(form, without=values), *values.items()]
        return self._read(
            self.session.post(url, data=data, headers={"Referer": url}, timeout=TIMEOUT)
        )

    @staticmethod
    def _read(response: requests.Response) -> BeautifulSoup:
        if not response.ok:
            raise CommandError(f"{response.url} answered {response.status_code}.")
        return BeautifulSoup(response.text, "html.parser")


def job_id(url: str) -> int:
    """Return the id in the URL of a Job's page."""
    found = re.search(r"/job/(\d+)/", url)
    if found is None:
        raise CommandError(f"{url} is not the page of a Job.")
    return int(found[1])


def _one(page: Tag, selector: str) -> Tag:
    found = page.select_one(selector)
    if found is None:
        heading = page.select_one("title")
        raise CommandError(f"The page {heading.text if heading else ''!r} has no {selector}.")
    return found


def _defaults(form: Tag, *, without: Values) -> list[tuple[str, str]]:
    """The values that a browser would send for an unchanged form, except names in `without`."""
    sent = []
    for field in form.select("input[name], select[name], textarea[name]"):
        name = str(field["name"])
        if name not in without:
            sent += [(name, value) for value in _values(field)]
    return sent


def _values(field: Tag) -> list[str]:
    kind = field.get("type")
    if field.name == "select":
        first = [] if field.has_attr("multiple") else field.select("option")[:1]
        chosen = field.select("option[selected]") or first
        return [str(option.get("value", option.text)) for option in chosen]
    if field.name == "textarea":
        return [field.text]
    if kind in {"submit", "button", "reset", "image", "file"}:
        return []
    if kind in {"checkbox", "radio"}:
        return [str(field.get("value", "on"))] if field.has_attr("checked") else []
    return [str(field.get("value", ""))]

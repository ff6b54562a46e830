"""The pages of integrity runs and their texts."""

from typing import Any

from bs4 import BeautifulSoup
from django.test import Client

from ami.integrity.models import IntegrityRun

LIST = "/admin/integrity/integrityrun/"
KEY = "missing_determination"


def page(client: Client, run: IntegrityRun) -> Any:
    return client.get(f"{LIST}{run.pk}/change/")


def text_of(response: Any) -> str:
    return " ".join(BeautifulSoup(response.text, "html.parser").get_text(" ").split())


def link_of(response: Any, text: str) -> str:
    link = BeautifulSoup(response.text, "html.parser").find("a", string=text)
    assert link is not None
    return str(link["href"])

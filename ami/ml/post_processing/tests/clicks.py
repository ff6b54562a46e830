"""The requests of an operator from the lists of the admin."""

from collections.abc import Iterable
from typing import Any

from django.test import Client

SETS = "/admin/main/sourceimagecollection/"
OCCURRENCES = "/admin/main/occurrence/"
RUN = "run_small_size_filter"
KEY = "0b8d6d7e-9a0f-4b0e-8f55-1d1d9c0a5a11"


def post(
    client: Client, ids: Iterable[Any], *, url: str = SETS, action: str = RUN, **fields: Any
) -> Any:
    data = {"action": action, "_selected_action": [str(pk) for pk in ids], **fields}
    return client.post(url, data)


def confirm(client: Client, ids: Iterable[Any], **fields: Any) -> Any:
    return post(client, ids, **{"launch_key": KEY, "size_threshold": "0.003", **fields})

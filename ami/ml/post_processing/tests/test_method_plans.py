"""PostgreSQL's plans for a batch of each method sort or hash no rows with vectors."""

from typing import Any

import pytest
from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.test.utils import CaptureQueriesContext

from ami.base.tests.plans import arranged_vectors, plannable
from ami.ml.post_processing.registry import POSTPROCESSING_TASKS
from ami.ml.post_processing.tests.every import make_rows_for

pytestmark = pytest.mark.django_db


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The COPY statements, which Django does not record."""
    statements: list[str] = []

    def copy_expert(wrapper: Any, sql: str, *args: Any) -> None:
        statements.append(sql)
        wrapper.cursor.copy_expert(sql, *args)

    monkeypatch.setattr(CursorWrapper, "copy_expert", copy_expert, raising=False)
    return statements


@pytest.mark.parametrize("key", POSTPROCESSING_TASKS)
def test_no_plan_sorts_or_hashes_vectors(key: str, copied: list[str]) -> None:
    task = POSTPROCESSING_TASKS[key](**make_rows_for(key).config)
    with CaptureQueriesContext(connection) as queries:
        task.run()
    statements = plannable([*(query["sql"] for query in queries), *copied])
    assert len(statements) > 3
    assert arranged_vectors(statements) == []

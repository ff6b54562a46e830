"""Rules that every registered method must follow: a new one is tested once it is registered.

The package `every` has one module per method, with the rows for its tests.
"""

from pathlib import Path

import pytest

from ami.ml.post_processing.registry import POSTPROCESSING_TASKS
from ami.ml.post_processing.tests.every import rows_of
from ami.testing import MethodTests, Rows

DOCS = Path(__file__).parents[4] / "docs" / "reference" / "methods"


class TestEveryMethod(MethodTests):
    @pytest.fixture(
        autouse=True, params=POSTPROCESSING_TASKS.values(), ids=list(POSTPROCESSING_TASKS)
    )
    def each(self, request: pytest.FixtureRequest) -> None:
        self.task_cls = request.param

    def make_rows(self, nights: int) -> Rows:
        return rows_of(self.task_cls.key, nights=nights)

    def test_method_has_tests_and_a_page_of_docs(self) -> None:
        key = self.task_cls.key
        assert Path(__file__).with_name(f"test_{key}.py").exists()
        page = DOCS / f"{key}.md"
        assert page.exists()
        assert key in (DOCS / "index.md").read_text().split()
        for option in (*self.task_cls.config_schema.__fields__, *self.task_cls.counters):
            assert option in page.read_text(), option

    @pytest.mark.django_db
    def test_method_has_rows_with_faults_and_its_page_names_them(self) -> None:
        made = self.make_rows(1)
        assert made.faults
        page = " ".join((DOCS / f"{self.task_cls.key}.md").read_text().split())
        for reason in made.faults:
            assert reason in page, reason

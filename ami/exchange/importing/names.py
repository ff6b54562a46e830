"""Imports of name lists, which are small, so that they are written as a whole or not at all."""

from collections.abc import Callable
from typing import Any

from ami.exchange.base import ImportRefusedError
from ami.exchange.importing.file_work import FileWork
from ami.exchange.importing.options import NameListOptions
from ami.exchange.name_lists.reading import NameList, read_name_list
from ami.exchange.plan import Outcome
from ami.exchange.taxa import TaxaReport, import_taxa
from ami.jobs.engine.work import Planned
from ami.jobs.models import Job
from ami.main.models import Taxon


class NameListWork(FileWork):
    """Adds the names of a list to the taxonomy and to a taxa list, in one batch.

    `on_report` is called with the result, also with that of a dry run.
    """

    counters = ("taxa_created", "taxa_changed", "taxa_added_to_list")
    schema = NameListOptions

    def __init__(
        self, job: Job, *, on_report: Callable[[TaxaReport], object] | None = None
    ) -> None:
        super().__init__(job)
        self.on_report = on_report
        self._names: NameList | None = None
        self._coverage: list[dict[str, Any]] = []

    def plan(self) -> list[Planned]:
        names = self._read()
        self._note_rows()
        self.job.logger.info("Recognised: %s.", names.title)
        return [Planned(len(names.names) + len(names.skipped), None)]

    def work_on(self, batch: Planned) -> None:
        names = self._names or self._read()
        with self._beating():
            try:
                report = import_taxa(
                    names.names,
                    list_name=self.options.list_name,
                    skipped=names.skipped,
                    project=self.job.project,
                    user=self.job.user,
                    update=self.options.update,
                )
            except ImportRefusedError as refused:
                raise self._failed(refused) from None
        self._plan, self._coverage = report.plan, [one.as_json() for one in report.coverage]
        self.count(
            taxa_created=report.plan.counts[Outcome.CREATED][Taxon],
            taxa_changed=report.plan.counts[Outcome.CHANGED][Taxon],
            taxa_added_to_list=report.listed,
        )
        if self.on_report:
            self.on_report(report)

    def _read(self) -> NameList:
        with self._beating():
            try:
                self._names = read_name_list(self._same_path(), encoding=self.options.encoding)
            except ImportRefusedError as refused:
                raise self._failed(refused) from None
        return self._names

    def _notes(self) -> dict[str, Any]:
        return {"coverage": self._coverage}

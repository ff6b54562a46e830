# ruff: noqa: S608  (composed of the table map)
"""Copy an Antenna database into ours, or tell what that would do."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.db import IntegrityError, connection, transaction

from ami.base import audit
from ami.base.words import counted
from ami.exchange.antenna_database.checks import find_faults
from ami.exchange.antenna_database.copying import copy_table
from ami.exchange.antenna_database.needs import find_needs
from ami.exchange.antenna_database.numbering import Range, reserve, shift_of
from ami.exchange.antenna_database.report import Report, TableCount
from ami.exchange.antenna_database.reuse import create_people, find_reused
from ami.exchange.antenna_database.selection import Selection
from ami.exchange.antenna_database.source import Source, opened
from ami.exchange.antenna_database.tables import (
    BY_NAME,
    OCCURRENCES,
    PROJECTS,
    TABLES,
    USERS,
    Table,
)
from ami.exchange.antenna_database.zones import ANTENNA, check_zone, set_zones, tell_clocks
from ami.exchange.base import ImportRefusedError, refresh_statistics, wait_for_turn
from ami.main.counts import refresh_counts
from ami.main.determinations import update_determinations
from ami.main.models import Occurrence, Project
from ami.users.models import User

OCCURRENCES_AT_ONCE = 20_000
WORK = ("import_antenna", "import_taxa")

# Foreign keys within a table are checked when all of its rows are there, and counts at the end.
DEFERRED = """
SELECT string_agg(quote_ident(conname), ', ') FROM pg_constraint
WHERE condeferrable AND (contype = 'f' AND conrelid = confrelid OR conname = 'main_counts')
"""


class CopyRefusedError(ImportRefusedError):
    """Antenna has rows that cannot be copied; `report` names them. Nothing was written."""

    def __init__(self, report: Report) -> None:
        self.report = report
        first, *others = report.refused
        more = f" … and {len(others):,} more." if others else ""
        super().__init__(f"Nothing was written. {first}{more}")


@dataclass(frozen=True)
class Options:
    """What to copy, and the time zones of clocks: of all deployments, and of some by their ids."""

    project: int | None = None
    time_zone: str | None = None
    time_zone_of: Mapping[int, str] = field(default_factory=dict)
    server_time_zone: str = ANTENNA

    def check(self) -> None:
        """Raises ImportRefusedError if a time zone is unknown."""
        check_zone("--server-time-zone", self.server_time_zone)
        if self.time_zone is not None:
            check_zone("--time-zone", self.time_zone)
        for zone in self.time_zone_of.values():
            check_zone("--time-zone-of", zone)


def copy_antenna(
    url: str,
    options: Options,
    *,
    user: User | None = None,
    dry_run: bool = False,
    on_start: Callable[[int], object] = lambda rows: None,
    on_rows: Callable[[int], object] = lambda rows: None,
) -> Report:
    """Copy the database at `url`, in one transaction, from one snapshot of it.

    A dry run only reads. `on_start` is called with the number of rows, and `on_rows` with that of
    each chunk. The audit records `user`. Raises ImportRefusedError, and CopyRefusedError if rows
    cannot be copied.
    """
    options.check()
    with opened(url) as source, transaction.atomic():
        if not dry_run:
            for work in WORK:
                wait_for_turn(work)
        copier = _Copier(source, options)
        report = copier.plan()
        if report.refused:
            raise CopyRefusedError(report)
        if not dry_run:
            on_start(report.rows)
            copier.copy(on_rows)
            copier.finish(user)
        return report


class _Copier:
    def __init__(self, source: Source, options: Options) -> None:
        self.selection = Selection(
            source,
            project=options.project,
            default_zone=options.time_zone,
            server_zone=options.server_time_zone,
        )
        self.zones = options.time_zone_of
        self.ranges: dict[str, Range] = {}
        self.report = Report()

    def plan(self) -> Report:
        """Read what there is to copy, and write nothing."""
        selection, report = self.selection, self.report
        report.projects = self._projects()
        set_zones(selection, self.zones)
        find_needs(selection)
        report.findings = [*find_faults(selection), *find_reused(selection)]
        report.time_zones = list(tell_clocks(selection))
        report.tables = [self._people(), *map(self._count, TABLES)]
        for table in report.tables:
            faults = (one.count for one in report.refused if one.table == table.table)
            table.refused = sum(faults)
        return report

    def _projects(self) -> list[str]:
        """The names of the projects. Raises ImportRefusedError if there is none."""
        statement = f"SELECT s.name FROM main_project s WHERE {self.selection.scope(PROJECTS)}"
        names = [name for (name,) in self.selection.source.rows(f"{statement} ORDER BY s.id")]
        if names:
            return names
        project = self.selection.project
        if project is None:
            raise ImportRefusedError("The Antenna database has no project; nothing was written.")
        known = self.selection.source.rows("SELECT id, name FROM main_project ORDER BY id LIMIT 20")
        raise ImportRefusedError(
            f"The Antenna database has no project {project}. It has "
            f"{', '.join(f'{pk} ({name})' for pk, name in known) or 'none'}."
        )

    def _people(self) -> TableCount:
        people = self.selection.reused[USERS.name]
        new = len({pk for pk in people.values() if pk < 0})
        return TableCount(USERS.antenna_name, len(people), new, len(people) - new)

    def _count(self, table: Table) -> TableCount:
        """Count the rows of a table, and decide on their ids."""
        selection = self.selection
        name, rows = table.antenna_name, selection.source.rows
        ((whole, first, last),) = rows(
            f"SELECT count(*), min(s.id), max(s.id) FROM {name} s "
            f"WHERE {selection.candidates(table)}"
        )
        ((copied,),) = rows(f"SELECT count(*) FROM ({selection.copied(table)}) rows")
        reused = 0 if table.owner else len(selection.reused.get(table.name, ()))
        counts = TableCount(name, whole, copied, reused, whole - copied - reused)
        if not table.owner and copied:
            self.ranges[table.name] = ids = Range(first, last)
            counts.shift = selection.shifts[table.name] = shift_of(table, ids)
        return counts

    def copy(self, on_rows: Callable[[int], object]) -> None:
        """Copy all tables. Raises ImportRefusedError if a number of rows differs from the plan."""
        reserve(self.ranges, self.selection.shifts)
        planned = {count.table: count.copied for count in self.report.tables}
        try:
            create_people(self.selection)
            with _checked_per_statement():
                for table in TABLES:
                    copied = copy_table(self.selection, table, on_rows)
                    self._compare(table, planned[table.antenna_name], copied)
        except IntegrityError as error:
            raise ImportRefusedError(
                f"The database refuses the rows, and nothing was written: "
                f"{' '.join(str(error).split())}"
            ) from None

    def _compare(self, table: Table, planned: int, copied: int) -> None:
        """Compare what is there with the plan, whatever triggers made of the rows."""
        owner = BY_NAME[dict(table.references())[table.owner]] if table.owner else table
        statement = (
            f"SELECT count(*) FROM {table.name} WHERE {table.owner or 'id'} BETWEEN %s AND %s"
        )
        with connection.cursor() as cursor:
            cursor.execute(statement, self._ids(owner))
            (stored,) = cursor.fetchone()
        if not planned == copied == stored:
            raise ImportRefusedError(
                f"Of {counted(planned, 'row')} of Antenna's {table.antenna_name}, {stored:,} "
                f"arrived in {table.name}; everything was rolled back."
            )

    def finish(self, user: User | None) -> None:
        """Recompute what depends on several rows, and record the copy."""
        refresh_statistics(*(table.model for table in TABLES))
        self.report.determinations_changed = sum(
            len(update_determinations(ids)) for ids in self._occurrences()
        )
        refresh_counts()
        projects = Project.objects.filter(pk__range=self._ids(PROJECTS))
        message = "Copied from an Antenna database."
        audit.record(projects, kind=audit.Kind.IMPORT, user=user, message=message)
        self.report.written = True

    def _occurrences(self) -> Iterator[list[int]]:
        first, last = self._ids(OCCURRENCES)
        rows = Occurrence.objects.filter(pk__lte=last).order_by("pk").values_list("pk", flat=True)
        while ids := list(rows.filter(pk__gte=first)[:OCCURRENCES_AT_ONCE]):
            yield ids
            first = ids[-1] + 1

    def _ids(self, table: Table) -> tuple[int, int]:
        """Our first and last id of the rows of a table, or an empty range."""
        ids = self.ranges.get(table.name, Range(1, 0))
        shift = self.selection.shifts.get(table.name, 0)
        return ids.first + shift, ids.last + shift


@contextmanager
def _checked_per_statement() -> Iterator[None]:
    """Check foreign keys after each statement, so that the server need not remember each row."""
    with connection.cursor() as cursor:
        cursor.execute(DEFERRED)
        (deferred,) = cursor.fetchone()
        cursor.execute(f"SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS {deferred} DEFERRED")
        yield
        refresh_counts()
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")

"""What many rows share, read when a batch names it for the first time, and then kept."""

import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol, TypeVar

from ami.base.registry import UnknownKeyError
from ami.exchange.export.rows import Night, Place
from ami.main.taxonomy import LINKS
from ami.ml.post_processing.registry import POSTPROCESSING_TASKS

PLACES = """
SELECT id, name, latitude, longitude, time_zone, night_starts, description
FROM main_deployment WHERE id = ANY(%s)
"""
NIGHTS = 'SELECT id, group_by, deployment_id, start, "end" FROM main_event WHERE id = ANY(%s)'
ALGORITHMS = "SELECT id, name, version, key FROM ml_algorithm WHERE id = ANY(%s)"
NAMES = "SELECT id, name, rank, identifiable, gbif_taxon_key FROM main_taxon WHERE id = ANY(%s)"
JOBS = "SELECT id, name, params FROM jobs_job WHERE id = ANY(%s)"
LISTS = "SELECT id, name FROM main_taxalist WHERE id = ANY(%s)"
LIST_OPTION = "taxa_list_id"

T = TypeVar("T")


class Reader(Protocol):
    """What runs a query and returns all its rows."""

    def rows(self, sql: str, params: Any = None) -> list[Any]:
        """Return the rows of a query."""


class Algorithm(NamedTuple):
    """A version of a classifier, detector or method."""

    id: int
    name: str
    version: int | None
    key: str

    @property
    def title(self) -> str:
        """Name and version; empty if there is no algorithm."""
        return f"{self.name} v{self.version}" if self.id else ""


class Taxon(NamedTuple):
    """A taxon; `lineage` has the names of it and its ancestors by rank, in lower case."""

    id: int
    name: str
    rank: str
    identifiable: bool
    gbif_key: int | None
    lineage: dict[str, str]

    @property
    def gbif_url(self) -> str:
        """Its page at GBIF; empty without a key."""
        return f"https://www.gbif.org/species/{self.gbif_key}" if self.gbif_key else ""


class Run(NamedTuple):
    """The run that wrote a classification: method, options as JSON, and the taxa list if any."""

    id: int
    name: str
    method: str
    options: str
    taxa_list: str


NO_PLACE = Place(0, "", None, None, "UTC")
NO_NIGHT = Night(0, "", None, None, None)
NO_ALGORITHM = Algorithm(0, "", None, "")
NO_TAXON = Taxon(0, "", "", True, None, {})
NO_RUN = Run(0, "", "", "", "")


class Known(dict[int | None, T]):
    """Rows by id. `read` returns those of some ids; `nothing` stands for a row that is missing."""

    def __init__(self, read: Callable[[list[int]], Iterable[Any]], nothing: T) -> None:
        super().__init__()
        self._read = read
        self._nothing = nothing

    def learn(self, ids: Iterable[int | None]) -> None:
        """Read the rows that are not known yet."""
        new = set(ids) - self.keys() - {None}
        if new:
            self.update(dict.fromkeys(new, self._nothing))
            self.update({row[0]: row for row in self._read(list(new))})  # type: ignore[arg-type]

    def __missing__(self, pk: int | None) -> T:
        return self._nothing


class Catalogue:
    """Deployments, nights, taxa, algorithms and runs by id."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.places = Known(self._reads(PLACES, Place), NO_PLACE)
        self.nights = Known(self._reads(NIGHTS, Night), NO_NIGHT)
        self.algorithms = Known(self._reads(ALGORITHMS, Algorithm), NO_ALGORITHM)
        self.taxa = Known(self._read_taxa, NO_TAXON)
        self.runs = Known(self._read_runs, NO_RUN)

    def _reads(self, sql: str, row: Any) -> Callable[[list[int]], Iterable[Any]]:
        return lambda ids: map(row._make, self._reader.rows(sql, [ids]))

    def _read_taxa(self, new: list[int]) -> Iterable[Taxon]:
        parents = {pk: parent for pk, _, parent, _ in self._reader.rows(LINKS, [new])}
        named = {pk: rest for pk, *rest in self._reader.rows(NAMES, [list(parents)])}
        for pk, (name, rank, identifiable, key) in named.items():
            lineage: dict[str, str] = {}
            seen: set[int | None] = set()
            above: int | None = pk
            while above in named and above not in seen:
                seen.add(above)
                ancestor, its_rank, *_ = named[above]
                lineage.setdefault(its_rank.lower(), ancestor)
                above = parents[above]
            yield Taxon(pk, name, rank, identifiable, key, lineage)

    def _read_runs(self, new: list[int]) -> Iterable[Run]:
        rows = self._reader.rows(JOBS, [new])
        jobs = [(pk, name, _object(params)) for pk, name, params in rows]
        configs = {pk: _object(params.get("config")) for pk, _, params in jobs}
        wanted = [config.get(LIST_OPTION) for config in configs.values()]
        lists = [pk for pk in wanted if isinstance(pk, int)]
        names = dict(self._reader.rows(LISTS, [lists])) if lists else {}
        for pk, name, params in jobs:
            config = configs[pk]
            options = json.dumps(config, sort_keys=True, ensure_ascii=False) if config else ""
            of_list = config.get(LIST_OPTION)
            taxa_list = names.get(of_list, "") if isinstance(of_list, int) else ""
            yield Run(pk, name, _method(params.get("task")), options, taxa_list)


def _object(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        value = json.loads(value)
    return value if isinstance(value, dict) else {}


def _method(key: Any) -> str:
    try:
        return POSTPROCESSING_TASKS[str(key)].name if key else ""
    except UnknownKeyError:
        return str(key)

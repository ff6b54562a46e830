"""Rows that exist here already, and are used instead of copies: people, names and classifiers."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from django.contrib.auth.hashers import make_password
from django.db.models.functions import Lower

from ami.exchange.antenna_database.report import FIRST_IDS, Effect, Finding
from ami.exchange.antenna_database.selection import Selection
from ami.exchange.antenna_database.tables import (
    ALGORITHMS,
    CATEGORY_MAPS,
    PROJECTS,
    TAXA,
    TAXA_LISTS,
    USERS,
    Table,
)
from ami.exchange.base import shown
from ami.main.models import Project, TaxaList, Taxon, TaxonRank
from ami.main.names import read_name
from ami.main.resolver import By, resolve_names
from ami.ml.models import Algorithm
from ami.users.models import User

BATCH = 1000


def find_reused(selection: Selection) -> Iterator[Finding]:
    """Set `reused` of the selection, and yield what contradicts our rows."""
    reused = selection.reused
    yield from _find_projects(selection)
    reused[USERS.name] = _people(selection)
    reused[TAXA_LISTS.name] = _taxa_lists(selection)
    reused[ALGORITHMS.name], reused[CATEGORY_MAPS.name], faults = _algorithms(selection)
    yield from faults
    reused[TAXA.name], faults = _taxa(selection)
    yield from faults


def _find_projects(selection: Selection) -> Iterator[Finding]:
    rows = _read(selection, PROJECTS, "id, name")
    here = Project.objects.filter(name__in=[name for _, name in rows])
    known = set(here.values_list("name", flat=True))
    names = [shown(name) for _, name in rows if name in known]
    told = ", ".join(names[:FIRST_IDS]) + (", …" if len(names) > FIRST_IDS else "")
    yield from _finding(
        PROJECTS,
        [pk for pk, name in rows if name in known],
        "project",
        f"a project of the same name exists here ({told})",
        "A copy is always a new project: rename or delete the one that is here, or pass --project "
        "to copy another one.",
    )


def _people(selection: Selection) -> dict[int, int]:
    """People by their e-mail address, in any case. New ones have the negative of Antenna's id."""
    rows = _read(selection, USERS, "id, email")
    emails = [(pk, email.lower()) for pk, email in rows if email]
    lower = User.objects.annotate(lower=Lower("email")).order_by("-pk")
    known = dict(lower.filter(lower__in=[email for _, email in emails]).values_list("lower", "pk"))
    return {pk: known.setdefault(email, -pk) for pk, email in emails}


def create_people(selection: Selection) -> None:
    """Create the people who are new. Nobody can sign in as them until an administrator agrees."""
    people = selection.reused[USERS.name]
    new = {pk for pk, ours in people.items() if ours == -pk}
    users = {
        pk: User(
            email=User.objects.normalize_email(email),
            name=name or "",
            password=make_password(None),
            is_active=False,
        )
        for pk, email, name in _read(selection, USERS, "id, email, name")
        if pk in new
    }
    User.objects.bulk_create(users.values(), batch_size=BATCH)
    for pk, ours in people.items():
        if ours < 0:
            people[pk] = users[-ours].pk


def _taxa_lists(selection: Selection) -> dict[int, int]:
    rows = _read(selection, TAXA_LISTS, "id, name")
    lists = TaxaList.objects.filter(name__in=[name for _, name in rows]).order_by("-pk")
    known = dict(lists.values_list("name", "pk"))
    return {pk: known[name] for pk, name in rows if name in known}


def _algorithms(selection: Selection) -> tuple[dict[int, int], dict[int, int], list[Finding]]:
    """Algorithms by name and version, and their category maps if the labels are the same."""
    rows = _read(selection, ALGORITHMS, "id, name, version, key, category_map_id")
    ours = Algorithm.objects.select_related("category_map")
    known = {(one.name, one.version): one for one in ours.filter(name__in=[row[1] for row in rows])}
    labels = dict(_read(selection, CATEGORY_MAPS, "id, labels"))
    algorithms, maps, contradicted = {}, {}, []
    for pk, name, version, _, category_map in rows:
        one = known.get((name, version))
        if one is None:
            continue
        algorithms[pk] = one.pk
        if one.category_map and one.category_map.labels == labels.get(category_map):
            maps[category_map] = one.category_map.pk
        elif one.category_map_id or category_map:
            contradicted.append(pk)
    keys = {row[3]: row[0] for row in rows if row[0] not in algorithms}
    taken = ours.filter(key__in=keys).values_list("key", flat=True)
    faults = [
        *_finding(
            ALGORITHMS,
            contradicted,
            "category_map",
            "the algorithm exists here with other classes",
            "The algorithm here keeps its classes, and the classifications keep theirs.",
            effect=Effect.KEPT,
        ),
        *_finding(
            ALGORITHMS,
            [keys[key] for key in taken],
            "key",
            "another algorithm here has this key",
            "Change the key of one of the two.",
        ),
    ]
    return algorithms, maps, faults


def _taxa(selection: Selection) -> tuple[dict[int, int], list[Finding]]:
    """Taxa by name, as `resolve_names` finds them.

    A name that stands for no species is reused only if a taxon has it as it is written.
    """
    rows = _read(selection, TAXA, "id, name, rank")
    resolved = resolve_names({name for _, name, _ in rows})
    named = {
        name: pk
        for name, pk in resolved.named.items()
        if resolved.by[name] == By.NAME and not read_name(name).doubt
    }
    doubtful = [name for _, name, _ in rows if read_name(name).doubt]
    named |= dict(Taxon.objects.filter(name__in=doubtful).values_list("name", "pk"))
    reused = {pk: named[name] for pk, name, _ in rows if name in named}
    return reused, [*_ranks(rows, reused), *_alike(rows)]


def _ranks(rows: Iterable[Any], reused: Mapping[int, int]) -> Iterator[Finding]:
    """Yield the taxa that have another rank than those which are used instead."""
    known = dict(Taxon.objects.filter(pk__in=reused.values()).values_list("pk", "rank"))
    ranks = {pk: {rank, known[reused[pk]]} for pk, _, rank in rows if pk in reused}
    return _finding(
        TAXA,
        [pk for pk, both in ranks.items() if len(both - {TaxonRank.UNKNOWN}) > 1],
        "another_rank",
        "the taxon of this name here has another rank",
        "Correct the rank of one of the two.",
    )


def _alike(rows: Iterable[Any]) -> Iterator[Finding]:
    """Yield taxa with the name of another, but for its case or author."""
    seen: dict[str, str] = {}
    alike = []
    for pk, name, _ in rows:
        read = read_name(name)
        if not read.doubt and seen.setdefault(read.key, name) != name:
            alike.append(pk)
    return _finding(
        TAXA,
        alike,
        "alike",
        "another taxon has this name, written in another way",
        "Merge the two in Antenna, or later here.",
        effect=Effect.KEPT,
    )


def _read(selection: Selection, table: Table, columns: str) -> list[Any]:
    statement = (
        f"SELECT {columns} FROM {table.antenna_name} s "  # noqa: S608 -- constants
        f"WHERE {selection.scope(table)} ORDER BY id"
    )
    return selection.source.rows(statement)


def _finding(
    table: Table,
    ids: Collection[int],
    kind: str,
    fault: str,
    remedy: str,
    *,
    effect: Effect = Effect.REFUSED,
) -> Iterator[Finding]:
    if ids:
        first = sorted(ids)[:FIRST_IDS]
        yield Finding(kind, effect, table.antenna_name, len(ids), first, fault, remedy)

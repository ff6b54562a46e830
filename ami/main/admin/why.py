"""Why an occurrence has its name: what the determination rule did, in one sentence.

:mod:`ami.main.determinations` has the rule.
"""

from typing import Any, NamedTuple

from django.db.models import Count, Q
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ami.base.links import change_link
from ami.base.words import counted
from ami.main.admin.runs import UNKNOWN, Run, describe_runs
from ami.main.models import Classification, Detection, Identification, Occurrence, Taxon

# Never the vectors.
READ = (
    "detection_id",
    "score",
    "terminal",
    "timestamp",
    "taxon__name",
    "taxon__identifiable",
    "algorithm__name",
    "algorithm__version",
    "job__name",
    "job__job_type_key",
    "job__params",
)


class Votes(NamedTuple):
    """How many classifications of an occurrence compete with the best one.

    `peers` are terminal or not, and identifiable or not, as the best one is; it is one of them.
    """

    all_terminal: int = 0  # with a taxon
    without_taxon: int = 0  # terminal ones, which do not count
    peers: int = 0
    same_score: int = 0
    same_time: int = 0


class Reasons(NamedTuple):
    """What decides the name of an occurrence, and what was left behind."""

    person: Identification | None
    identifications: int  # those that count, and all
    all_identifications: int
    best: Classification | None
    votes: Votes
    run: Run

    @property
    def result(self) -> tuple[int | None, float | None]:
        """The taxon and score that the rule gives."""
        if self.person:
            return self.person.taxon_id, 1.0
        return (self.best.taxon_id, self.best.score) if self.best else (None, None)


def reasons_of(occurrence: Occurrence, *, user: Any) -> Reasons:
    """Read what the rule reads, in five queries or fewer."""
    said = occurrence.identifications.aggregate(
        all=Count("pk"), valid=Count("pk", filter=Q(withdrawn=False, taxon__isnull=False))
    )
    person = None
    if said["valid"]:
        valid = occurrence.identifications.filter(withdrawn=False, taxon__isnull=False)
        person = valid.select_related("user", "taxon").latest("created_at", "pk")
    rows = Classification.objects.filter(detection__occurrence=occurrence)
    best = rows.best_first().select_related("taxon", "algorithm", "job").only(*READ).first()
    run = UNKNOWN
    if best and best.job:
        run = describe_runs([best.job], user=user).get(best.job.pk, UNKNOWN)
    votes = Votes(**rows.aggregate(**_votes(best))) if best else Votes()
    return Reasons(person, said["valid"], said["all"], best, votes, run)


def _votes(best: Classification) -> dict[str, Any]:
    assert best.taxon is not None
    peers = Q(
        taxon__isnull=False, terminal=best.terminal, taxon__identifiable=best.taxon.identifiable
    )
    tied = peers & (Q(score__isnull=True) if best.score is None else Q(score=best.score))
    chosen = {
        "all_terminal": Q(terminal=True, taxon__isnull=False),
        "without_taxon": Q(terminal=True, taxon__isnull=True),
        "peers": peers,
        "same_score": tied,
        "same_time": tied & Q(timestamp=best.timestamp),
    }
    return {name: Count("pk", filter=condition) for name, condition in chosen.items()}


def why(reasons: Reasons) -> SafeString:
    """Tell in one sentence why the rule gives this name."""
    best = best_words(reasons)
    if reasons.person:
        return _because_of_person(reasons.person, reasons, best)
    nobody = "nobody has identified it"
    if number := reasons.all_identifications:
        verb = "is" if number == 1 else "are"
        nobody = f"its {counted(number, 'identification')} {verb} withdrawn or without a taxon"
    if reasons.best is None:
        return format_html("No name, because no classification has a taxon and {}.", nobody)
    return format_html("<em>{}</em>, because {}; {}.", _taxon(reasons.best), best, nobody)


def _because_of_person(
    person: Identification, reasons: Reasons, best: SafeString | None
) -> SafeString:
    link = change_link(Identification, person.pk, f"identification {person.pk}")
    latest = ""
    if reasons.identifications > 1:
        latest = f", the latest of {reasons.identifications:,} identifications that count"
    machine = ""
    if best and reasons.best:
        machine = format_html(
            " Without {}, it would be <em>{}</em>, because {}.",
            "it" if reasons.identifications == 1 else "them",
            _taxon(reasons.best),
            best,
        )
    return format_html(
        "<em>{}</em>, because {} identified it on {} ({}{}).{}",
        _taxon(person),
        person.user or "a former user",
        f"{person.created_at:%Y-%m-%d}",
        link,
        latest,
        machine,
    )


def best_words(reasons: Reasons) -> SafeString | None:
    """Name the best classification, the run that wrote it, and why it comes first."""
    best = reasons.best
    if best is None:
        return None
    return format_html(
        "{}{} of {}, {}, {}",
        _no_terminal(reasons.votes, best),
        change_link(Classification, best.pk, f"classification {best.pk}"),
        change_link(Detection, best.detection_id, f"detection {best.detection_id}"),
        _author(best, reasons.run),
        _ranked(best, reasons.votes),
    )


def _no_terminal(votes: Votes, best: Classification) -> str:
    if best.terminal:
        return ""
    which = " with a taxon" if votes.without_taxon else ""
    return f"there is no terminal classification{which} and "


def _author(best: Classification, run: Run) -> SafeString:
    job: Any = best.job
    if job is None:
        return format_html("by {}", best.algorithm or "an unknown algorithm")
    link = change_link(type(job), job.pk, f"Job {job.pk}")
    named = format_html(" with {}", run.rows) if run.rows else ""
    return format_html("{} by {}{}", (run.name or job.name).lower(), link, named)


def _ranked(best: Classification, votes: Votes) -> str:
    """Tell why the best one comes first, with the criteria in the order of the rule."""
    assert best.taxon is not None
    kind = "terminal" if best.terminal else "intermediate"
    ways = votes.all_terminal - votes.peers if best.terminal and best.taxon.identifiable else 0
    if votes.peers == 1:
        told = f"is the only {kind} classification" + (" of an identifiable taxon" if ways else "")
    else:
        told = f"{_first(best, votes)} among {votes.peers:,} {kind} classifications"
        told += " of identifiable taxa" if ways else ""
    if not best.taxon.identifiable:
        told += ", but its taxon is not identifiable"
        told += "" if votes.peers == 1 else ", and no other one is of an identifiable taxon"
    if ways:
        verb = "gives" if ways == 1 else "give"
        told += f" ({ways:,} of a taxon that is not identifiable {verb} way)"
    return told


def _first(best: Classification, votes: Votes) -> str:
    score = "" if best.score is None else f"{best.score:.3f}"
    if votes.same_score == 1 and score:
        return f"scores highest ({score})"
    shared = f"the highest score ({score})" if score else "no score"
    if votes.same_time == 1:
        return f"is the newest of {votes.same_score:,} with {shared}"
    return f"has the highest id of the {votes.same_time:,} newest with {shared}"


def _taxon(row: Classification | Identification) -> str:
    return change_link(Taxon, row.taxon_id, row.taxon)

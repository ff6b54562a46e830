"""When an answer says that the name of an occurrence is right."""

from ami.main.models import Taxon
from ami.review.effect.outcomes import Judge, Outcome
from ami.review.models import Judgement


def verdict_of(judged: Taxon | None, named: Taxon) -> Judgement.Verdict:
    """Compare the determination that is judged with the taxon that a person named.

    - A synonym counts as its accepted taxon.
    - The determination is right if both are the same, or if one is an ancestor of the other: each
      answer is compared at the coarser of the two ranks. So a genus is right for a person who
      named one of its species, and a species for a person who named only its genus.
    - A person who names a taxon that is not identifiable, such as “Not identifiable”, cannot tell,
      unless this is the determination.
    - Everything else is wrong, including any name for an occurrence without a determination.
    """
    if judged is not None and judged.pk == named.pk:
        return Judgement.Verdict.RIGHT
    if not named.identifiable:
        return Judgement.Verdict.CANNOT_TELL
    if judged is None:
        return Judgement.Verdict.WRONG
    outcome = Judge([judged.pk, named.pk]).outcome(judged.pk, named.pk)
    is_right = outcome in {Outcome.EXACT, Outcome.ANCESTOR}
    return Judgement.Verdict.RIGHT if is_right else Judgement.Verdict.WRONG

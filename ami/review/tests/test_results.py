import csv
from collections.abc import Iterator
from io import StringIO

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ami.base.downloads import csv_chunks
from ami.base.tests.factories import (
    make_classification,
    make_detection,
    make_project,
    make_taxon,
    make_user,
)
from ami.jobs.tests.job_types import make_job
from ami.main.models import Occurrence
from ami.review.export import COLUMNS, answer_rows
from ami.review.models import Sample, SampleItem
from ami.review.results import Group, Result, result_of
from ami.review.tests.drawn import draw_from, make_occurrences
from ami.review.tests.judged import add_items, judge, make_sample
from ami.review.words import headline, notes

pytestmark = pytest.mark.django_db


def told(sample: Sample) -> str:
    result = result_of(sample)
    return " ".join([headline(result), *notes(result)])


def items_of(sample: Sample) -> Iterator[SampleItem]:
    return sample.items.order_by("position").iterator()


def by_name(groups: list[Group]) -> dict[str, tuple[int, int]]:
    return {group.name: (group.right, group.estimate.n) for group in groups}


def test_share_right_has_the_interval_of_wilson() -> None:
    sample = make_sample(items=10)
    items = list(items_of(sample))
    judge(items[:9], "right")
    judge(items[9:], "wrong")
    result = result_of(sample)

    assert result.share is not None
    assert (result.share.low, result.share.high) == pytest.approx((0.595850, 0.982124), abs=1e-6)
    assert headline(result) == (
        "90.0 % right (95 % interval: 59.6 % to 98.2 %). 9 of 10 judged occurrences are right."
    )
    assert not list(notes(result))


def test_strata_are_weighted_by_their_sizes() -> None:
    sizes, right = (5000, 3000, 2000), (49, 44, 30)
    populations = [{"name": f"S{size}", "population": size} for size in sizes]
    sample = make_sample(strata="score", populations=populations)
    for number, hits in enumerate(right):
        items = add_items(sample, 50, stratum=number)
        judge(items[:hits], "right")
        judge(items[hits:], "wrong")
    share = result_of(sample).share

    assert share is not None
    assert share.share == pytest.approx(0.874)
    assert (share.low, share.high) == pytest.approx((0.824769, 0.910894), abs=1e-6)
    assert [(one.right, one.population) for one in result_of(sample).strata] == list(
        zip(right, sizes, strict=True)
    )


def test_groups_across_strata_are_weighted_too() -> None:
    populations = [{"name": "low", "population": 9000}, {"name": "high", "population": 1000}]
    sample = make_sample(strata="score", populations=populations)
    for number, verdict in enumerate(("wrong", "right")):
        judge(add_items(sample, 20, stratum=number, taxon=make_taxon()), verdict)
        judge(add_items(sample, 10, stratum=number), verdict)
    shares = {group.name: group.estimate.share for group in result_of(sample).by_taxon}
    assert shares["no taxon"] == pytest.approx(0.1)


def test_strata_without_an_answer_are_told() -> None:
    populations = [{"name": "low", "population": 9000}, {"name": "high", "population": 1000}]
    sample = make_sample(strata="score", populations=populations)
    judge(add_items(sample, 5, stratum=1), "right")
    add_items(sample, 5, stratum=0)
    assert "1 of 2 strata have no judged occurrence" in told(sample)
    assert "10.0 % of the population" in told(sample)
    assert result_of(sample).no_error == ""


def test_large_sample_tells_the_number_in_all() -> None:
    sample = make_sample(items=100, population=200)
    items = list(items_of(sample))
    judge(items[:95], "right")
    judge(items[95:], "wrong")
    assert result_of(sample).total == (181, 195)
    assert "95.0 % right (95 % interval: 90.5 % to 97.5 %)." in told(sample)
    assert "Of all 200 occurrences, 181 to 195 are right." in told(sample)


def test_whole_population_is_known_exactly() -> None:
    sample = make_sample(items=3, population=3)
    items = list(items_of(sample))
    judge(items[:2], "right")
    judge(items[2:], "wrong")
    assert "66.7 % right (95 % interval: 66.7 % to 66.7 %)." in told(sample)
    assert "Of all 3 occurrences, 2 are right." in told(sample)


def test_nothing_is_concluded_about_others_if_all_are_right() -> None:
    sample = make_sample(items=3, population=3)
    judge(items_of(sample), "right")
    assert told(sample) == (
        "100.0 % right (95 % interval: 100.0 % to 100.0 %). 3 of 3 judged occurrences are right. "
        "Of all 3 occurrences, 3 are right."
    )


def test_no_error_is_put_into_words() -> None:
    sample = make_sample(items=59)
    judge(items_of(sample), "right")
    assert "No error was seen. 59 of 59 right: at most 5 % are wrong." in told(sample)


def test_cannot_tell_and_skipped_are_apart() -> None:
    sample = make_sample(items=20, population=100)
    items = list(items_of(sample))
    judge(items[:8], "right")
    judge(items[8:10], "cannot_tell")
    judge(items[10:13], "skipped")
    result = result_of(sample)

    assert (result.judged, result.answered, result.skipped) == (8, 10, 3)
    assert result.tellable == 80
    text = told(sample)
    assert "10 of 20 items answered. The items are in random order" in text
    assert "For 2 of 10 answered occurrences (20.0 %), the answer is “cannot tell”" in text
    assert "3 occurrences were skipped and not answered" in text
    assert "Of about 80 occurrences that can be judged" in text


def test_unanswered_sample_says_so() -> None:
    sample = make_sample(items=139)
    assert told(sample) == ("No occurrence was judged right or wrong yet. 0 of 139 items answered.")
    populations = [{"name": "low", "population": 9000}, {"name": "high", "population": 1000}]
    stratified = make_sample(items=20, strata="score", populations=populations)
    assert told(stratified) == (
        "No occurrence was judged right or wrong yet. 0 of 20 items answered."
    )


def test_first_person_decides_and_the_second_counts_for_kappa() -> None:
    sample = make_sample(items=50)
    items = list(items_of(sample))
    first, second = make_user(name="Ada"), make_user(name="Bo")
    judge(items[:25], "right", user=first)
    judge(items[25:], "wrong", user=first)
    judge(items[:20] + items[25:35], "right", user=second)
    judge(items[20:25] + items[35:], "wrong", user=second)
    result = result_of(sample)

    assert result.agreement is not None
    assert (result.agreement.items, result.agreement.same) == (50, 35)
    assert result.agreement.kappa == pytest.approx(0.4)
    assert (result.right, result.judged) == (25, 50)
    assert [(reader.name, reader.answers) for reader in result.readers] == [("Ada", 50), ("Bo", 50)]


def test_answers_outlive_the_accounts_of_their_people() -> None:
    sample = make_sample(items=4)
    items = list(items_of(sample))
    first, second = make_user(), make_user()
    judge(items, "wrong", user=first, withdrawn=True)
    judge(items, "right", user=first)
    judge(items[:3], "wrong", user=second)
    former = told(sample)
    for person in (first, second):
        person.delete()
    assert told(sample) == former
    assert result_of(sample).right == 4


def test_answers_that_were_taken_back_do_not_count() -> None:
    sample = make_sample(items=3)
    one, two, three = items_of(sample)
    first, second = make_user(), make_user()
    judge([one], "wrong", user=first, withdrawn=True)
    judge([one], "wrong", user=second)
    judge([one], "right", user=first)  # still the first reader of the item
    judge([two], "right", user=first)
    judge([two], "wrong", user=first)  # the later one
    judge([three], "right", user=first, withdrawn=True)
    result = result_of(sample)

    assert [result.verdicts[verdict] for verdict in ("right", "wrong")] == [1, 1]
    assert result.answered == 2


def test_skipped_item_waits_for_the_next_person() -> None:
    sample = make_sample(items=1)
    (item,) = items_of(sample)
    judge([item], "skipped")
    judge([item], "right")
    result = result_of(sample)
    assert (result.right, result.skipped, result.agreement) == (1, 0, None)


def test_names_given_instead_are_counted() -> None:
    called, better = make_taxon(name="Noctua pronuba"), make_taxon(name="Noctua comes")
    sample = make_sample(items=4, taxon=called)
    items = list(items_of(sample))
    judge(items[:2], "wrong", taxon=better)
    judge(items[2:3], "wrong")
    judge(items[3:], "right", taxon=called)
    assert result_of(sample).renamed == [
        ("Noctua pronuba", "Noctua comes", 2),
        ("Noctua pronuba", "no other name", 1),
    ]


def test_result_by_taxon_score_and_run() -> None:
    project, taxon = make_project(), make_taxon(name="Noctua pronuba")
    job = make_job(name="Filter", project=project)
    rows = make_occurrences(project, 3, taxon=taxon, score=0.4)
    rows += make_occurrences(project, 9, taxon=make_taxon(name="Agrotis"), score=0.96)
    make_classification(
        detection=make_detection(occurrence=rows[0]), taxon=taxon, score=0.4, job=job
    )
    sample = draw_from("project", project.pk, size=12)
    judge(sample.items.filter(occurrence__in=rows[:2]), "right")
    judge(sample.items.filter(occurrence__in=rows[2:]), "wrong")
    result: Result = result_of(sample)

    assert by_name(result.by_taxon) == {"Agrotis": (0, 9), "Noctua pronuba": (2, 3)}
    assert by_name(result.by_score) == {"0 to below 0.5": (2, 3), "0.95 to 1": (0, 9)}
    assert by_name(result.by_run) == {"No run": (1, 11), f"Job {job.pk}: Filter": (1, 1)}
    assert all(group.estimate.too_few for group in result.by_taxon)


def test_run_of_an_occurrence_of_another_project_by_now_is_not_told() -> None:
    taxon = make_taxon()
    project, other = make_project(), make_project()
    rows = make_occurrences(project, 2, taxon=taxon)
    for row in rows:
        job = make_job(name="Secret", project=other)
        make_classification(detection=make_detection(occurrence=row), taxon=taxon, job=job)
    sample = draw_from("project", project.pk, size=2)
    judge(items_of(sample), "right")
    Occurrence.objects.filter(pk=rows[0].pk).update(project=other)
    assert by_name(result_of(sample).by_run)["No run"] == (1, 1)


def test_result_takes_a_constant_number_of_queries() -> None:
    def queries(items: int) -> int:
        sample = make_sample(items=items, taxon=make_taxon())
        judge(items_of(sample), "wrong", taxon=make_taxon())
        with CaptureQueriesContext(connection) as context:
            result_of(sample)
        return len(context)

    assert queries(1) == queries(30) <= 4


def test_csv_has_a_line_for_each_answer_and_for_unanswered_items() -> None:
    sample = make_sample(items=2, taxon=make_taxon(name="Noctua pronuba"))
    one, _ = items_of(sample)
    judge([one], "right", user=make_user(name="Ada"))
    judge([one], "wrong", user=make_user(name="=Bo"), taxon=make_taxon(name="Agrotis"))
    lines = list(csv.DictReader(StringIO("".join(csv_chunks(COLUMNS, answer_rows(sample))))))

    assert [
        (line["position"], line["reader"], line["verdict"], line["counts"], line["named"])
        for line in lines
    ] == [
        ("1", "Ada", "right", "yes", ""),
        ("1", "'=Bo", "wrong", "no", "Agrotis"),
        ("2", "", "", "", ""),
    ]
    assert {line["determination"] for line in lines} == {"Noctua pronuba"}

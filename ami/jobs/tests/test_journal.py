"""The entries that PostgreSQL's triggers write into the journal."""

from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, models, transaction

from ami.base.tests.factories import (
    make_capture,
    make_classification,
    make_deployment,
    make_detection,
    make_occurrence,
    make_project,
    make_taxon,
    make_user,
)
from ami.jobs.journal import triggers
from ami.jobs.journal.triggers import JOURNALED, columns_of, function_sql, journaled, narrow
from ami.jobs.models import Job, JobChange
from ami.jobs.tests.job_types import make_job
from ami.main.models import (
    Classification,
    Deployment,
    Detection,
    Event,
    Identification,
    Occurrence,
    SourceImage,
    TaxaList,
    Taxon,
)

pytestmark = pytest.mark.django_db

MAKERS: dict[type[models.Model], Callable[[], Any]] = {
    Classification: make_classification,
    Detection: make_detection,
    Identification: lambda: Identification.objects.create(occurrence=make_occurrence()),
    Occurrence: make_occurrence,
    SourceImage: make_capture,
    Event: lambda: Event.objects.create(deployment=make_deployment(), group_by="2022-06-20"),
    Deployment: make_deployment,
    Taxon: lambda: make_taxon(name="Noctua", search_names=["Moth"]),
    TaxaList: lambda: TaxaList.objects.create(name="Moths"),
    Taxon.projects.through: lambda: Taxon.projects.through.objects.create(
        taxon=make_taxon(), project=make_project()
    ),
    TaxaList.projects.through: lambda: TaxaList.projects.through.objects.create(
        taxalist=TaxaList.objects.create(name="Moths"), project=make_project()
    ),
    TaxaList.taxa.through: lambda: TaxaList.taxa.through.objects.create(
        taxalist=TaxaList.objects.create(name="Moths"), taxon=make_taxon()
    ),
}
# A column of each table with values, and a value of it in SQL that no maker gives.
CHANGES: dict[type[models.Model], tuple[str, str]] = {
    Classification: ("score", "0.125"),
    Detection: ("path", "'new.jpg'"),
    Identification: ("withdrawn", "true"),
    Occurrence: ("determination_score", "0.125"),
    SourceImage: ("path", "'new.jpg'"),
    Event: ("group_by", "'2022-06-21'"),
    Deployment: ("latitude", "0.125"),
    Taxon: ("name", "'Agrotis'"),
    TaxaList: ("name", "'Beetles'"),
}
tables = pytest.mark.parametrize("model", MAKERS, ids=lambda model: model.__name__)
tables_with_values = pytest.mark.parametrize("model", CHANGES, ids=lambda model: model.__name__)
ways = pytest.mark.parametrize("way", ["ORM", "SQL"])


def execute(statement: str, *params: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)


@pytest.fixture(params=["by place", "by value"])
def comparison(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the triggers compare vectors as on PostgreSQL 17 and later, and as on 15 and 16."""
    if request.param == "by value":
        monkeypatch.setattr(triggers, "TOAST_VERSION", 999_999)
        for model in MAKERS:
            execute(function_sql(model))


def only_change(job: Job, model: type[models.Model]) -> JobChange:
    change = job.changes.get(model=model._meta.label_lower)
    assert change.batch
    return change


def test_every_journaled_table_is_tested() -> None:
    assert {model._meta.label for model in MAKERS} == set(JOURNALED)


@tables
@ways
def test_created_row_is_journaled_with_its_narrow_columns(
    model: type[models.Model], way: str
) -> None:
    job, template = make_job(), MAKERS[model]()
    table = model._meta.db_table
    names = ", ".join(f'"{column.name}"' for column in columns_of(model))
    execute(f"CREATE TEMPORARY TABLE template ON COMMIT DROP AS SELECT * FROM {table}")
    template.delete()
    with journaled(job):
        if way == "ORM":
            template.pk = None
            model._default_manager.bulk_create([template])
        else:
            execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM template")
    change = only_change(job, model)
    assert (change.kind, change.object_id) == (
        "created",
        model._default_manager.latest("pk").pk,
    )
    assert change.before is None
    assert change.after is not None
    assert set(change.after) == {column.name for column in narrow(columns_of(model))}
    assert not {"updated_at", "scores", "logits", "similarity_vector"} & set(change.after)


@tables_with_values
@ways
def test_changed_row_is_journaled_with_its_changed_columns(
    model: type[models.Model], way: str
) -> None:
    job, row = make_job(), MAKERS[model]()
    column, value = CHANGES[model]
    former = getattr(row, column)
    with journaled(job):
        if way == "ORM":
            new = value.strip("'") if isinstance(former, str) else value == "true" or 0.125
            model._default_manager.filter(pk=row.pk).update(**{column: new})
        else:
            execute(f"UPDATE {model._meta.db_table} SET {column} = {value}, updated_at = now()")
    change = only_change(job, model)
    assert (change.kind, change.object_id) == ("changed", row.pk)
    present = value.strip("'") if isinstance(former, str) else value
    assert change.after == {column: True if value == "true" else present}
    assert change.before == {column: str(former) if isinstance(former, float) else former}


@tables
@ways
def test_deleted_row_is_journaled_whole(model: type[models.Model], way: str) -> None:
    job, row = make_job(), MAKERS[model]()
    with journaled(job):
        if way == "ORM":
            model._default_manager.filter(pk=row.pk).delete()
        else:
            execute(f"DELETE FROM {model._meta.db_table} WHERE id = %s", row.pk)
    change = only_change(job, model)
    assert (change.kind, change.object_id, change.after) == ("deleted", row.pk, None)
    assert set(change.before or {}) == {column.name for column in columns_of(model)}


@tables
def test_rows_deleted_by_a_cascade_are_journaled(model: type[models.Model]) -> None:
    job, row = make_job(), MAKERS[model]()
    with journaled(job):
        if model is Classification:
            row.detection.delete()
        elif model is Identification:
            row.occurrence.delete()
        else:
            row.delete()
    assert only_change(job, model).kind == "deleted"


@tables
def test_nothing_is_journaled_elsewhere(model: type[models.Model]) -> None:
    job = make_job()
    with journaled(job):
        pass
    row = MAKERS[model]()
    if model in CHANGES:
        column, value = CHANGES[model]
        execute(f"UPDATE {model._meta.db_table} SET {column} = {value}")
    row.delete()
    assert not JobChange.objects.exists()


@tables
def test_row_written_with_the_values_it_had_is_no_change(model: type[models.Model]) -> None:
    job, row = make_job(), MAKERS[model]()
    with journaled(job):
        models.Model.save(row)
    assert not job.changes.filter(model=model._meta.label_lower).exists()


@pytest.mark.usefixtures("comparison")
def test_zero_is_told_from_its_negative_and_vectors_are_compared() -> None:
    job, row = make_job(), make_classification(score=0.0, scores=[0.0, 1.0], logits=[1.0])
    with journaled(job):
        execute("UPDATE main_classification SET score = '-0', scores = '{-0,1}'")
    change = only_change(job, Classification)
    assert change.object_id == row.pk
    assert change.before == {"score": "0", "scores": "{0,1}"}
    assert change.after == {"score": "-0", "scores": "{-0,1}"}


def test_two_tables_written_by_one_statement_are_journaled() -> None:
    job, detection = make_job(), make_detection()
    former = make_classification(detection=detection)
    with journaled(job):
        execute(
            "WITH former AS (UPDATE main_classification SET terminal = false RETURNING *) "
            "INSERT INTO main_classification (created_at, updated_at, timestamp, terminal, "
            "metadata, detection_id, applied_to_id) "
            "SELECT now(), now(), now(), true, '{}', detection_id, id FROM former"
        )
    created = Classification.objects.latest("pk")
    assert set(job.changes.values_list("kind", "object_id")) == {
        ("changed", former.pk),
        ("created", created.pk),
    }


def test_rolled_back_batch_leaves_no_journal_and_ends_it() -> None:
    job = make_job()

    def fail() -> None:
        with journaled(job):
            make_occurrence()
            raise RuntimeError("Trouble.")

    with pytest.raises(RuntimeError):
        fail()
    make_occurrence()
    assert not JobChange.objects.exists()


def test_inner_transaction_is_journaled_unless_rolled_back() -> None:
    job = make_job()
    trap = make_deployment()
    with journaled(job):
        with transaction.atomic():
            make_occurrence(deployment=trap)
        with transaction.atomic():
            make_occurrence(deployment=trap)
            transaction.set_rollback(True)
    assert job.changes.filter(kind="created").count() == 1


def test_identification_of_a_person_is_not_journaled_beside_a_run() -> None:
    job, occurrence = make_job(), make_occurrence()
    with journaled(job):
        Occurrence.objects.update(determination_score=0.5)
    Identification.objects.create(occurrence=occurrence, taxon=make_taxon(), user=make_user())
    assert job.changes.count() == JobChange.objects.count() == 1


@pytest.mark.parametrize("label", JOURNALED)
def test_triggers_know_every_column(label: str) -> None:
    """If this fails, a new migration must call `install_triggers`."""
    model = apps.get_model(label)
    body = function_sql(model).split("$journal$")[1]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT prosrc FROM pg_proc WHERE proname = %s",
            [f"jobs_journal_{model._meta.db_table}"],
        )
        assert cursor.fetchall() == [(body,)]
        cursor.execute(
            "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal "
            "AND tgname LIKE 'jobs\\_journal\\_%%'",
            [model._meta.db_table],
        )
        assert {name for (name,) in cursor.fetchall()} == {
            "jobs_journal_insert",
            "jobs_journal_update",
            "jobs_journal_delete",
        }


def test_change_says_what_it_is() -> None:
    assert str(JobChange(kind="changed", model="main.occurrence", object_id=5)) == (
        "Changed: main.occurrence 5"
    )


@pytest.mark.usefixtures("comparison")
def test_long_vector_is_journaled_where_it_changed_and_only_there() -> None:
    """Long vectors are stored outside their row, and are not read if they stay there."""
    vectors = [[number / 7 for number in range(first, first + 1000)] for first in (0, 1)]
    job, row = make_job(), make_classification(scores=vectors[0], logits=vectors[0])
    with journaled(job):
        execute("UPDATE main_classification SET terminal = false")
        Classification.objects.update(logits=vectors[1])
        Classification.objects.update(logits=vectors[1])
    first, second = job.changes.order_by("pk")
    assert second.before and second.after  # noqa: PT018
    assert (first.before, first.after) == ({"terminal": True}, {"terminal": False})
    assert set(second.before) == {"logits"}
    assert [float(number) for number in second.after["logits"][1:-1].split(",")] == vectors[1]
    assert row.pk == second.object_id


def test_plan_made_for_few_rows_compares_not_each_row_with_every_other() -> None:
    """A session keeps the plan of its first change, even if that changed no row."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT proconfig FROM pg_proc WHERE proname LIKE 'jobs\\_journal\\_%'")
        assert cursor.fetchall() == [(["enable_nestloop=off"],)] * len(JOURNALED)

"""Copies of an Antenna database that are refused: nothing is written, and the reason is told."""

import io

import pytest
from django.db import connection
from psycopg2.extensions import make_dsn

from ami.base.tests.factories import make_algorithm, make_project, make_taxon
from ami.exchange.antenna_database import copying
from ami.exchange.antenna_database.report import Effect
from ami.exchange.antenna_database.run import CopyRefusedError, Options, copy_antenna
from ami.exchange.base import ImportRefusedError
from ami.exchange.tests.antenna import Antenna, dsn_of
from ami.main.models import Identification, Project, Taxon

pytestmark = pytest.mark.django_db
UTC = Options(time_zone="UTC")
TAXON = (
    "INSERT INTO main_taxon (id, created_at, updated_at, name, rank, parents_json, active, notes, "
    "author) SELECT {pk}, now(), now(), '{name}', 'SPECIES', '[]', true, '', ''"
)

# What breaks a rule, and what is told: the kind, the table, the ids, and words of the sentence.
FAULTS: list[tuple[str, str, str, list[int], str]] = [
    (
        TAXON.format(pk=60, name="Actias luna"),
        *("duplicate", "main_taxon", [60], "another row has the same name"),
    ),
    (
        "UPDATE ml_algorithm SET name = 'Moths' WHERE id = 43",
        *("duplicate", "ml_algorithm", [43], "the same name and version"),
    ),
    (
        "UPDATE ml_algorithm SET key = 'moths-1' WHERE id = 44",
        *("duplicate", "ml_algorithm", [44], "the same key"),
    ),
    (
        "UPDATE ml_algorithm SET version = -1 WHERE id = 44",
        *("range", "ml_algorithm", [44], "version is below 0"),
    ),
    (
        "UPDATE main_event SET deployment_id = 71 WHERE id = 82",
        *("duplicate", "main_event", [82], "the same deployment_id and group_by"),
    ),
    (
        "UPDATE main_sourceimage SET path = '/a/1.jpg' WHERE id = 92",
        *("duplicate", "main_sourceimage", [92], "the same deployment_id and path"),
    ),
    (
        "UPDATE main_sourceimage SET width = -5 WHERE id = 91",
        *("range", "main_sourceimage", [91], "width is below 0"),
    ),
    (
        "ALTER TABLE main_deployment ALTER name DROP NOT NULL; "
        "UPDATE main_deployment SET name = NULL WHERE id = 72",
        *("missing", "main_deployment", [72], "name is empty"),
    ),
    (
        "ALTER TABLE main_taxon ALTER notes DROP NOT NULL; UPDATE main_taxon SET notes = NULL",
        *("missing", "main_taxon", [51, 52, 53, 54, 55], "in 8 rows (ids 51, 52, 53, 54, 55, …)"),
    ),
    (
        "UPDATE main_occurrence SET determination_score = 1.5 WHERE id = 102",
        *("range", "main_occurrence", [102], "determination_score is not between 0 and 1"),
    ),
    (
        "UPDATE main_classification SET score = 'NaN' WHERE id = 123",
        *("range", "main_classification", [123], "score is not between 0 and 1"),
    ),
    (
        "UPDATE main_detection SET detection_score = -0.1 WHERE id = 111",
        *("range", "main_detection", [111], "detection_score is not between 0 and 1"),
    ),
    (
        "UPDATE main_detection SET bbox = '[1, null, 3, 4]' WHERE id = 111;"
        """UPDATE main_detection SET bbox = '{"x1": 1}' WHERE id = 112""",
        *("numbers", "main_detection", [111, 112], "bbox is not a list of numbers"),
    ),
    (
        "UPDATE main_detection SET similarity_vector = '[[1], 2]' WHERE id = 112",
        *("numbers", "main_detection", [112], "similarity_vector is not a list of numbers"),
    ),
    (
        "UPDATE main_detection SET occurrence_id = 999 WHERE id = 112",
        *("reference", "main_detection", [112], "refers to a row of main_occurrence that does not"),
    ),
    (
        "UPDATE main_detection SET source_image_id = 999 WHERE id = 113",
        *("reference", "main_detection", [113], "source_image_id refers to a row of main_source"),
    ),
    (
        "UPDATE main_project SET owner_id = 999 WHERE id = 21",
        *("reference", "main_project", [21], "owner_id refers to a row of users_user"),
    ),
    (
        "UPDATE main_identification SET agreed_with_prediction_id = 126 WHERE id = 131",
        *("reference", "main_identification", [131], "agreed_with_prediction_id refers"),
    ),
    (
        "UPDATE main_taxon SET rank = 'COHORT' WHERE id = 52",
        *("rank", "main_taxon", [52], "the rank is not known here"),
    ),
    (
        "UPDATE main_taxon SET parent_id = 51 WHERE id = 59",
        *("loop", "main_taxon", [51, 58, 59], "the taxon is its own ancestor"),
    ),
    (
        "UPDATE main_taxon SET synonym_of_id = 53 WHERE id = 51",
        *("loop", "main_taxon", [51, 53], "the taxon is its own accepted name"),
    ),
    (
        "ALTER TABLE users_user ALTER email DROP NOT NULL; "
        "UPDATE users_user SET email = NULL WHERE id = 12",
        *("missing", "users_user", [12], "email is empty"),
    ),
    (
        "ALTER TABLE main_sourceimage ALTER public_base_url TYPE text; "
        "UPDATE main_sourceimage SET public_base_url = repeat('y', 1020) WHERE id = 93",
        *("length", "main_sourceimage", [93], "path has more than 1024 characters"),
    ),
]


def test_rows_that_our_constraints_refuse_are_listed(antenna: Antenna) -> None:
    for breaks, *_ in FAULTS:
        antenna.execute(breaks)
    with pytest.raises(CopyRefusedError) as refused:
        copy_antenna(antenna.dsn, UTC)
    found = {
        (one.kind, one.table, tuple(one.ids)): str(one) for one in refused.value.report.refused
    }
    for _, kind, table, ids, words in FAULTS:
        assert words in found.pop((kind, table, tuple(ids)))
    assert found == {}
    refused_rows = {one.table: one.refused for one in refused.value.report.tables if one.refused}
    assert refused_rows["main_detection"] == 6
    assert not Project.objects.exists()


def test_rows_here_that_contradict_are_listed(antenna: Antenna) -> None:
    make_project(name="Vermont")
    make_taxon(name="Actias luna", rank="GENUS")
    make_algorithm(name="Other", key="moths-1")
    with pytest.raises(CopyRefusedError) as refused:
        copy_antenna(antenna.dsn, UTC)
    assert [str(one) for one in refused.value.report.refused] == [
        'main_project: a project of the same name exists here ("Vermont"), in 1 row (id 21). A '
        "copy is always a new project: rename or delete the one that is here, or pass --project to "
        "copy another one.",
        "ml_algorithm: another algorithm here has this key, in 1 row (id 41). Change the key of "
        "one of the two.",
        "main_taxon: the taxon of this name here has another rank, in 1 row (id 52). Correct the "
        "rank of one of the two.",
    ]


def test_odd_rows_that_nothing_refuses_are_told_and_kept(antenna: Antenna) -> None:
    antenna.execute(f"{TAXON.format(pk=60, name='ACTIAS LUNA')}")
    antenna.execute("UPDATE main_taxon SET rank = 'SUBTRIBE', parent_id = 51 WHERE id = 55")
    report = copy_antenna(antenna.dsn, UTC)
    kept = {one.kind: one.ids for one in report.findings if one.effect == Effect.KEPT}
    assert kept == {"alike": [60], "rank_order": [55]}
    assert Taxon.objects.get(pk=55).parent_id == 51


def test_links_to_missing_rows_are_left_out(antenna: Antenna) -> None:
    antenna.execute(
        "INSERT INTO main_userprojectmembership (id, created_at, updated_at, project_id, user_id) "
        "VALUES (901, now(), now(), 21, 999), (902, now(), now(), 999, 11);"
        "INSERT INTO main_taxalist_taxa (id, taxalist_id, taxon_id) VALUES (903, 61, 999)"
    )
    report = copy_antenna(antenna.dsn, UTC)
    orphans = {one.table: one.ids for one in report.findings if one.kind == "orphan"}
    assert orphans["main_userprojectmembership"] == [901, 902]
    assert orphans["main_taxalist_taxa"] == [903]
    skipped = {one.table: one.skipped for one in report.tables}
    assert (skipped["main_userprojectmembership"], skipped["main_taxalist_taxa"]) == (3, 1)


def test_rows_that_do_not_arrive_roll_everything_back(antenna: Antenna) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION drop_one() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "DELETE FROM main_identification WHERE id = 131 AND id = NEW.id; RETURN NULL; END $$; "
            "CREATE TRIGGER drop_one AFTER INSERT ON main_identification "
            "FOR EACH ROW EXECUTE FUNCTION drop_one()"
        )
    with pytest.raises(ImportRefusedError) as refused:
        copy_antenna(antenna.dsn, UTC)
    assert str(refused.value) == (
        "Of 3 rows of Antenna's main_identification, 2 arrived in main_identification; everything "
        "was rolled back."
    )
    assert not Project.objects.exists()
    assert not Identification.objects.exists()


def test_rows_that_a_constraint_of_another_kind_refuses_are_told(antenna: Antenna) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE main_event ADD CONSTRAINT named CHECK (group_by <> '2022-06-20')"
        )
    with pytest.raises(ImportRefusedError, match="The database refuses rows of main_event") as told:
        copy_antenna(antenna.dsn, UTC)
    assert "named" in str(told.value)
    assert not Project.objects.exists()


def test_number_that_fits_no_array_is_told(antenna: Antenna) -> None:
    antenna.execute("UPDATE main_detection SET bbox = '[1, 2, 3, 1e999]' WHERE id = 111")
    with pytest.raises(ImportRefusedError, match="out of range for type double precision"):
        copy_antenna(antenna.dsn, UTC)
    assert not Project.objects.exists()


class TestTimeZones:
    def test_each_deployment_needs_one(self, antenna: Antenna) -> None:
        with pytest.raises(ImportRefusedError) as refused:
            copy_antenna(antenna.dsn, Options(time_zone_of={71: "UTC"}))
        assert str(refused.value) == (
            "Antenna stores times as the clocks of its cameras showed them. The time zone is not "
            "known of deployment 72 (Canopy): pass --time-zone for all, or --time-zone-of ID=ZONE "
            "for each."
        )

    def test_captures_without_a_deployment_need_one_for_all(self, antenna: Antenna) -> None:
        antenna.execute("UPDATE main_sourceimage SET deployment_id = NULL WHERE id = 93")
        zones = {71: "UTC", 72: "UTC"}
        with pytest.raises(CopyRefusedError) as refused:
            copy_antenna(antenna.dsn, Options(time_zone_of=zones))
        found = {(one.kind, one.table): one.ids for one in refused.value.report.refused}
        assert found == {
            ("time_zone", "main_sourceimage"): [93],
            ("time_zone", "main_detection"): [114],
        }
        assert copy_antenna(antenna.dsn, UTC).written

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (Options(time_zone="Vermont"), "--time-zone must be an IANA time zone"),
            (Options(time_zone_of={71: "'; --"}), "--time-zone-of must be an IANA time zone"),
            (Options(server_time_zone="EST5"), "--server-time-zone must be an IANA time zone"),
            (Options(time_zone_of={73: "UTC"}), "names deployment 73, which is not among those"),
        ],
    )
    def test_unknown_ones_are_refused(self, antenna: Antenna, options: Options, words: str) -> None:
        with pytest.raises(ImportRefusedError, match=words):
            copy_antenna(antenna.dsn, options)


class TestAddresses:
    @pytest.mark.parametrize("address", ["antenna", "postgresql://", "host=x", "http://a/b", ""])
    def test_what_is_no_address_is_refused(self, address: str) -> None:
        with pytest.raises(ImportRefusedError) as refused:
            copy_antenna(address, UTC)
        example = "postgresql://user@host:5432/antenna"
        assert str(refused.value) == f"--database must be an address such as {example}."

    def test_server_that_does_not_answer(self) -> None:
        with pytest.raises(ImportRefusedError, match="Cannot connect to --database: ") as refused:
            copy_antenna("postgresql://ann:geheim@127.0.0.1:1/antenna", UTC)
        assert "refused" in str(refused.value)
        assert "geheim" not in str(refused.value)

    def test_unknown_database_and_person(self, antenna: Antenna) -> None:
        for change in ({"dbname": "geheim-none"}, {"user": "nobody-geheim"}):
            with pytest.raises(
                ImportRefusedError, match=r"Cannot connect to --database: .+\.$"
            ) as one:
                copy_antenna(make_dsn(antenna.dsn, password="geheim", **change), UTC)
            assert "geheim" not in str(one.value)

    def test_own_database_is_none_of_antenna(self) -> None:
        with pytest.raises(ImportRefusedError) as refused:
            copy_antenna(dsn_of(connection.settings_dict["NAME"]), UTC)
        assert str(refused.value) == (
            "This is not a database of Antenna, or too old, or its user may not read it: it lacks "
            "the table main_userprojectmembership and the column main_sourceimage.public_base_url."
        )

    def test_missing_columns_are_named(self, antenna: Antenna) -> None:
        rename = "ALTER TABLE main_classification RENAME COLUMN {} TO {}"
        antenna.execute(rename.format("applied_to_id", "former"))
        try:
            with pytest.raises(ImportRefusedError, match="lacks the column main_classification"):
                copy_antenna(antenna.dsn, UTC)
        finally:
            antenna.execute(rename.format("former", "applied_to_id"))

    def test_without_groups_all_members_are_viewers(self, antenna: Antenna) -> None:
        antenna.execute("ALTER TABLE auth_group RENAME TO former")
        try:
            copy_antenna(antenna.dsn, UTC)
        finally:
            antenna.execute("ALTER TABLE former RENAME TO auth_group")
        assert set(Project.objects.values_list("memberships__role", flat=True)) == {"viewer"}

    def test_database_without_the_project(self, antenna: Antenna) -> None:
        with pytest.raises(ImportRefusedError) as refused:
            copy_antenna(antenna.dsn, Options(project=7, time_zone="UTC"))
        assert str(refused.value) == (
            "The Antenna database has no project 7. It has 21 (Vermont), 22 (Panama)."
        )

    def test_database_without_any_project(self, empty_antenna: Antenna) -> None:
        with pytest.raises(ImportRefusedError, match="has no project; nothing was written"):
            copy_antenna(empty_antenna.dsn, UTC)


def test_connection_that_breaks_rolls_everything_back(antenna: Antenna) -> None:
    def break_off(rows: int) -> None:
        antenna.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    with pytest.raises(ImportRefusedError, match="The Antenna database reports an error") as told:
        copy_antenna(antenna.dsn, UTC, on_start=break_off)
    assert "connection" in str(told.value)
    assert not Project.objects.exists()


class _Interrupted(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        raise KeyboardInterrupt


def test_ctrl_c_while_rows_arrive_is_no_error_of_the_database() -> None:
    with pytest.raises(KeyboardInterrupt):
        copying._receive("COPY main_project (name) FROM STDIN", _Interrupted())

"""The buttons of an occurrence's page: agree, disagree, withdraw, recompute; next and previous."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from ami.base.audit import entries_of
from ami.base.tests.factories import (
    make_classification,
    make_deployment,
    make_detection,
    make_member,
    make_occurrence,
    make_taxon,
    make_user,
)
from ami.main.access import Role
from ami.main.models import Classification, Detection, Identification, Occurrence, Project, Taxon
from ami.main.models.identification import INDEPENDENT

pytestmark = pytest.mark.django_db


@pytest.fixture
def occurrence() -> Occurrence:
    row = make_occurrence()
    make_classification(
        detection=make_detection(occurrence=row), taxon=make_taxon(name="Zale galbanata")
    )
    row.save()
    return row


@pytest.fixture
def identifier(client: Client, occurrence: Occurrence) -> Client:
    assert occurrence.project is not None
    client.force_login(make_member(occurrence.project, Role.IDENTIFIER, name="Ada"))
    return client


def page_of(occurrence: Occurrence) -> str:
    return reverse("admin:main_occurrence_change", args=[occurrence.pk])


def press(client: Client, occurrence: Occurrence, query: str = "", **data: Any) -> str:
    """Press a button and return the page to which it leads."""
    url = reverse("admin:main_occurrence_identify", args=[occurrence.pk]) + query
    response = client.post(url, data, follow=True)
    assert response.redirect_chain == [(f"{page_of(occurrence)}{query}#identifications", 302)]
    return response.text


def recorded(occurrence: Occurrence) -> list[tuple[str, str]]:
    entries = entries_of(occurrence).order_by("pk")
    return list(entries.values_list("note__kind", "change_message"))


def test_a_person_agrees_in_their_own_name(identifier: Client, occurrence: Occurrence) -> None:
    text = press(identifier, occurrence, agree=occurrence.determination_id)
    said = occurrence.identifications.get()
    assert (said.user and said.user.name, said.taxon) == ("Ada", occurrence.determination)
    assert "You identified it as Zale galbanata." in text
    best = Classification.objects.get(detection__occurrence=occurrence)
    assert (said.agreed_with_prediction, said.is_independent) == (best, False)
    assert recorded(occurrence) == [("identify", "Identified as Zale galbanata.")]
    assert "because Ada identified it on" in text
    assert "You have already identified it as" in press(
        identifier, occurrence, agree=occurrence.determination_id
    )
    assert occurrence.identifications.count() == 1


def test_agreeing_with_a_person_is_recorded(identifier: Client, occurrence: Occurrence) -> None:
    taxon = occurrence.determination
    first = Identification.objects.create(occurrence=occurrence, taxon=taxon)
    press(identifier, occurrence, agree=occurrence.determination_id)
    said = occurrence.identifications.latest("pk")
    assert (said.agreed_with_identification, said.agreed_with_prediction) == (first, None)
    first.delete()
    said.refresh_from_db()
    assert not said.is_independent, "the fact outlives the row"
    assert set(Identification.objects.filter(INDEPENDENT)) == set()


def test_a_person_disagrees_with_a_typed_name(identifier: Client, occurrence: Occurrence) -> None:
    lunata = make_taxon(name="Zale lunata")
    press(identifier, occurrence, taxon="  zale  LUNATA ", comment="The wing.")
    said = occurrence.identifications.get()
    assert (said.taxon, said.comment) == (lunata, "The wing.")
    occurrence.refresh_from_db()
    assert occurrence.determination == lunata


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"taxon": " "}, "Enter the name of a taxon."),
        ({"taxon": "galb"}, "No taxon is named “galb”. Similar names: Zale galbanata."),
        ({"taxon": "Xyz\x00"}, "No taxon is named “Xyz”. Enter a name of the catalogue of taxa."),
        ({"taxon": "\"'"}, "No taxon is named"),
        ({"agree": "9" * 30}, "The taxon no longer exists; enter another one."),
        ({"agree": "x"}, "The taxon no longer exists; enter another one."),
        ({"withdraw": "1"}, "You can withdraw only your own identifications"),
        ({"withdraw": "x"}, "You can withdraw only your own identifications"),
    ],
)
def test_what_cannot_be_done_is_told(
    identifier: Client, occurrence: Occurrence, sent: dict[str, str], told: str
) -> None:
    assert told in press(identifier, occurrence, **sent)
    assert not Identification.objects.exists()


def test_a_person_withdraws_only_what_they_said(identifier: Client, occurrence: Occurrence) -> None:
    foreign = Identification.objects.create(
        occurrence=occurrence, taxon=make_taxon(), user=make_user()
    )
    text = press(identifier, occurrence, taxon="Zale galbanata")
    own = occurrence.identifications.latest("pk")
    assert f'name="withdraw" value="{own.pk}"' in text
    assert f'name="withdraw" value="{foreign.pk}"' not in text
    press(identifier, occurrence, withdraw=foreign.pk)
    press(identifier, occurrence, withdraw=own.pk)
    assert recorded(occurrence)[1:] == [
        ("identify", "Changed the identification as Zale galbanata, withdrawn.")
    ]
    assert [one.withdrawn for one in occurrence.identifications.order_by("pk")] == [False, True]
    occurrence.refresh_from_db()
    assert occurrence.determination == foreign.taxon


def test_viewers_get_no_buttons(client: Client, occurrence: Occurrence) -> None:
    assert occurrence.project is not None
    client.force_login(make_member(occurrence.project))
    text = client.get(page_of(occurrence)).text
    assert "Zale galbanata</a></em>, because" in text
    assert "/identify/" not in text


def test_the_filters_of_the_list_are_kept(identifier: Client, occurrence: Occurrence) -> None:
    query = "?_changelist_filters=q%3Dzale"
    text = press(identifier, occurrence, query, agree=occurrence.determination_id)
    assert f"/identify/{query}" in text


def test_a_name_that_is_not_up_to_date_is_recomputed(
    admin_client: Client, occurrence: Occurrence
) -> None:
    lunata = make_taxon(name="Zale lunata")
    assert "is not up to date" not in admin_client.get(page_of(occurrence)).text
    best = Classification.objects.get()
    Classification.objects.update(taxon=lunata)
    text = admin_client.get(page_of(occurrence)).text
    assert "<em>Zale galbanata</em> (0.900), is not up to date. It should be: <em>" in text
    url = reverse("admin:main_occurrence_recompute", args=[occurrence.pk])
    response = admin_client.post(f"{url}?classification={best.pk}", follow=True)
    assert response.redirect_chain[0][0].endswith(f"/classification/{best.pk}/change/")
    assert f"The determination of {occurrence} has changed to Zale lunata." in response.text
    assert "is up to date: Zale lunata" in admin_client.post(url, follow=True).text
    assert recorded(occurrence) == [
        ("recompute", "Recomputed; it changed."),
        ("recompute", "Recomputed; it was correct."),
    ]


def neighbours_of(client: Client, occurrence: Occurrence, filters: str = "") -> list[int]:
    query = {"_changelist_filters": filters} if filters else {}
    text = client.get(page_of(occurrence), query).text
    found = re.findall(r'<a href="/admin/main/occurrence/(\d+)/change/([^"]*)" rel="(\w+)"', text)
    assert [rel for _, _, rel in found] in (["prev", "next"], ["prev"], ["next"], [])
    assert all(bool(kept) == bool(filters) for _, kept, _ in found)
    return [int(pk) for pk, _, _ in found]


class TestNeighbours:
    @pytest.fixture
    def rows(self) -> list[Occurrence]:
        deployment = make_deployment()
        taxa = [make_taxon(name="Zale a"), make_taxon(name="Zale b"), None]
        rows = [make_occurrence(deployment=deployment) for _ in range(6)]
        for number, row in enumerate(rows):
            Occurrence.objects.filter(pk=row.pk).update(determination=taxa[number % 3])
        return rows

    @pytest.mark.parametrize(
        ("filters", "at", "expected"),
        [
            ("", 2, [3, 1]),
            ("", 5, [4]),
            ("", 0, [1]),
            ("o=1", 2, [1, 3]),
            ("q=zale&p=1", 3, [1, 0]),  # sorted by taxon, then newest first
            ("q=zale", 4, [1]),
            ("determination__id__exact={a}", 3, [0]),
            ("determination__id__exact=999", 3, []),
            ("odd=1", 3, []),
            ("night_from=odd", 3, []),
        ],
    )
    def test_they_follow_the_list(
        self, admin_client: Client, rows: list[Occurrence], filters: str, at: int,
        expected: list[int],
    ) -> None:  # fmt: skip
        filters = filters.format(a=Taxon.objects.get(name="Zale a").pk)
        found = neighbours_of(admin_client, rows[at], filters)
        assert found == [rows[number].pk for number in expected]

    @pytest.mark.django_db(transaction=True)
    def test_there_are_none_in_a_list_that_cannot_be_read(
        self, admin_client: Client, rows: list[Occurrence]
    ) -> None:
        assert neighbours_of(admin_client, rows[3], "id__regex=(") == []

    def test_they_are_never_foreign(self, client: Client, rows: list[Occurrence]) -> None:
        foreign = Project.objects.create(name="Foreign")
        Occurrence.objects.filter(pk__in=[rows[1].pk, rows[3].pk]).update(project=foreign)
        assert rows[2].project is not None
        client.force_login(make_member(rows[2].project))
        assert neighbours_of(client, rows[2]) == [rows[4].pk, rows[0].pk]


def test_the_page_of_500_detections_takes_few_queries(
    identifier: Client, occurrence: Occurrence
) -> None:
    detection = Detection.objects.get()
    Detection.objects.bulk_create(
        Detection(source_image=detection.source_image, occurrence=occurrence) for _ in range(500)
    )
    Classification.objects.bulk_create(
        Classification(detection=one, taxon_id=occurrence.determination_id)
        for one in Detection.objects.all()
    )
    press(identifier, occurrence, taxon="Zale galbanata")
    with CaptureQueriesContext(connection) as queries:
        identifier.get(page_of(occurrence), {"_changelist_filters": "identified=yes"})
    assert len(queries) <= 20, [query["sql"] for query in queries]


class TestForm:
    """The form of identifications, as opposed to the buttons of an occurrence's page."""

    def add(self, client: Client, occurrence: Occurrence, **data: Any) -> Identification:
        sent = {"occurrence": occurrence.pk, "taxon": occurrence.determination_id, **data}
        response = client.post(reverse("admin:main_identification_add"), sent)
        assert response.status_code == 302
        return Identification.objects.latest("pk")

    def test_the_person_is_the_one_signed_in(
        self, identifier: Client, occurrence: Occurrence
    ) -> None:
        page = identifier.get(reverse("admin:main_identification_add")).text
        assert 'name="user"' not in page
        said = self.add(identifier, occurrence, user=make_user().pk)
        assert said.user is not None
        assert said.user.name == "Ada"

    def test_managers_may_choose_another_person(
        self, client: Client, occurrence: Occurrence
    ) -> None:
        assert occurrence.project is not None
        manager = make_member(occurrence.project, Role.MANAGER)
        client.force_login(manager)
        page = client.get(reverse("admin:main_identification_add")).text
        assert f'<option value="{manager.pk}" selected>' in page
        other = make_user()
        assert self.add(client, occurrence, user=other.pk).user == other
        assert self.add(client, occurrence, user="").user == manager

    @pytest.mark.parametrize(
        ("role", "whose", "may"),
        [
            (Role.IDENTIFIER, "own", True),
            (Role.IDENTIFIER, "other", False),
            (Role.OPERATOR, "other", False),
            (Role.MANAGER, "other", True),
        ],
    )
    def test_only_managers_change_what_others_have_said(
        self, client: Client, occurrence: Occurrence, role: Role, whose: str, may: bool
    ) -> None:
        assert occurrence.project is not None
        person = make_member(occurrence.project, role)
        client.force_login(person)
        user = person if whose == "own" else make_user()
        said = Identification.objects.create(occurrence=occurrence, user=user)
        url = reverse("admin:main_identification_change", args=[said.pk])
        assert ('name="_save"' in client.get(url).text) == may
        sent = {"occurrence": occurrence.pk, "taxon": occurrence.determination_id, "user": user.pk}
        assert client.post(url, sent).status_code == (302 if may else 403)
        said.refresh_from_db()
        assert (said.taxon_id is not None) == may
        assert said.user == user

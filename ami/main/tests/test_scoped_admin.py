"""What the pages tell a member about rows of foreign projects: nothing."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.contrib.messages import get_messages
from django.test import Client

from ami.base.tests.factories import (
    make_capture,
    make_deployment,
    make_detection,
    make_member,
    make_occurrence,
    make_project,
    make_taxon,
    make_user,
)
from ami.main.access import Role
from ami.main.models import Event, Identification, Membership, Occurrence, Project, TaxaList, Taxon
from ami.main.tests.projects import populate
from ami.users.models import User

pytestmark = pytest.mark.django_db


class World:
    def __init__(self) -> None:
        self.own, self.foreign = make_project(name="Abracadabra"), make_project(name="Hocuspocus")
        self.own_rows, self.rows = populate(self.own), populate(self.foreign)
        self.member = make_member(self.own, Role.MANAGER)


@pytest.fixture
def world(client: Client) -> World:
    world = World()
    client.force_login(world.member)
    return world


def grant(user: User, *codenames: str) -> None:
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))


class TestLists:
    def test_filter_by_a_foreign_row_is_one_by_an_unknown_id(
        self, client: Client, world: World
    ) -> None:
        taxon, taxa_list = make_taxon(), world.rows["main.taxalist"]
        taxa_list.taxa.add(taxon)
        url = "/admin/main/taxon/?lists__id__exact="
        assert not client.get(f"{url}{taxa_list.pk}").context["cl"].result_list
        taxa_list.projects.add(world.own)
        assert client.get(f"{url}{taxa_list.pk}").context["cl"].result_list == [taxon]

    def test_filter_does_not_name_a_foreign_row(self, client: Client, world: World) -> None:
        url = "/admin/main/occurrence/?project__id__exact="
        assert "Abracadabra</option>" in client.get(f"{url}{world.own.pk}").text
        assert "Hocuspocus" not in client.get(f"{url}{world.foreign.pk}").text

    @pytest.mark.parametrize("lookup", ["occurrences", "lists__in", "projects__id__exact"])
    def test_shared_rows_do_not_tell_to_which_foreign_rows_they_belong(
        self, client: Client, world: World, lookup: str
    ) -> None:
        assert client.get(f"/admin/main/taxon/?{lookup}=1").status_code == 400
        client.force_login(make_user(is_staff=True, is_superuser=True))
        assert client.get(f"/admin/main/taxon/?{lookup}=1").status_code == 200

    def test_search_finds_captures_of_the_project_only(
        self, client: Client, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ami.main.admin.search.MOST_CAPTURES", 1)
        mine = make_capture(deployment=world.own_rows["main.deployment"], path="seed/1.jpg")
        detection = make_detection(source_image=mine)
        for number in range(2, 5):
            make_capture(deployment=world.rows["main.deployment"], path=f"seed/{number}.jpg")
        response: Any = client.get("/admin/main/detection/?q=seed")
        assert response.context["cl"].result_list == [detection]
        assert not list(get_messages(response.wsgi_request))

    def test_suggestions_are_of_the_project(self, client: Client, world: World) -> None:
        asked = "app_label=main&model_name=event&field_name=deployment&term=Trap"
        found = client.get(f"/admin/autocomplete/?{asked}").json()["results"]
        assert [one["text"] for one in found] == ["Trap of Abracadabra"]


class TestForms:
    def occurrence(self, client: Client, world: World, **data: Any) -> str:
        row = world.own_rows["main.occurrence"]
        fields = {"project": world.own.pk, **data}
        return client.post(f"/admin/main/occurrence/{row.pk}/change/", fields).text

    def test_foreign_choice_is_refused_like_an_unknown_one(
        self, client: Client, world: World
    ) -> None:
        night = world.rows["main.event"]
        text = self.occurrence(client, world, event=night.pk)
        assert "Select a valid choice" in text
        assert f"/admin/main/event/{night.pk}/" not in text
        unknown = self.occurrence(client, world, event=987654)
        assert text.count("errornote") == unknown.count("errornote") == 1

    def test_row_stays_in_a_project(self, client: Client, world: World) -> None:
        text = self.occurrence(client, world, project="")
        assert "This field is required" in text

    def test_row_moves_only_to_a_project_where_it_may_be_changed(
        self, client: Client, world: World
    ) -> None:
        world.foreign.members.add(world.member)
        text = self.occurrence(client, world, project=world.foreign.pk)
        assert "Select a valid choice" in text
        Membership.objects.filter(project=world.foreign, user=world.member).update(role="manager")
        self.occurrence(client, world, project=world.foreign.pk)
        row = Occurrence.objects.get(pk=world.own_rows["main.occurrence"].pk)
        assert row.project == world.foreign

    def test_taxa_list_keeps_projects_that_the_form_does_not_show(
        self, client: Client, world: World
    ) -> None:
        taxa_list: TaxaList = world.rows["main.taxalist"]
        taxa_list.projects.add(world.own)
        url = f"/admin/main/taxalist/{taxa_list.pk}/change/"
        assert "Hocuspocus</option>" not in client.get(url).text
        assert "Abracadabra, Hocuspocus" not in client.get(url).text
        grant(world.member, "change_taxalist")
        assert "Abracadabra</option>" in client.get(url).text
        client.post(url, {"name": "Renamed", "projects": [world.own.pk]})
        client.post(url, {"name": "Renamed", "projects": []})
        taxa_list.refresh_from_db()
        assert taxa_list.name == "Renamed"
        assert list(taxa_list.projects.all()) == [world.foreign]

    def test_taxon_does_not_name_foreign_projects(self, client: Client, world: World) -> None:
        taxon: Taxon = make_taxon()
        taxon.projects.add(world.own, world.foreign)
        page = client.get(f"/admin/main/taxon/{taxon.pk}/change/").text
        assert "Abracadabra" in page
        assert "Hocuspocus" not in page

    def test_identifier_identifies_in_their_own_name(self, client: Client, world: World) -> None:
        user = make_member(world.own, Role.IDENTIFIER)
        client.force_login(user)
        data = {"occurrence": world.own_rows["main.occurrence"].pk, "user": world.member.pk}
        client.post("/admin/main/identification/add/", data | {"taxon": make_taxon().pk})
        assert Identification.objects.latest("pk").user == user


class TestProject:
    def formset(self, project: Project, *rows: Any) -> dict[str, Any]:
        present = list(project.memberships.order_by("pk"))
        data: dict[str, Any] = {
            "name": project.name,
            "memberships-TOTAL_FORMS": len(present) + len(rows),
            "memberships-INITIAL_FORMS": len(present),
        }
        for number, (user, role) in enumerate([*((m.user, m.role) for m in present), *rows]):
            prefix = f"memberships-{number}-"
            data |= {f"{prefix}user": user.pk, f"{prefix}role": role}
            data |= {f"{prefix}project": project.pk}
            if number < len(present):
                data[f"{prefix}id"] = present[number].pk
        return data

    def test_manager_makes_someone_an_operator(self, client: Client, world: World) -> None:
        person = make_user(is_staff=True)
        url = f"/admin/main/project/{world.own.pk}/change/"
        client.post(url, self.formset(world.own, (person, Role.OPERATOR)))
        assert person.has_perm("jobs.add_job", world.own)

    def test_manager_of_another_project_only_sees_the_members(
        self, client: Client, world: World
    ) -> None:
        world.foreign.members.add(world.member)
        grant(world.member, "change_project")
        url = f"/admin/main/project/{world.foreign.pk}/change/"
        assert 'name="memberships-0-role"' not in client.get(url).text
        person = make_user()
        client.post(url, self.formset(world.foreign, (person, Role.OPERATOR)))
        assert not person.projects.exists()

    def test_who_adds_a_project_owns_it(self, client: Client, world: World) -> None:
        person = make_user(is_staff=True)
        grant(person, "add_project")
        client.force_login(person)
        client.post("/admin/main/project/add/", {"name": "New"})
        assert Project.objects.get(name="New").owner == person

    def test_methods_are_limited_on_the_page(self, client: Client, world: World) -> None:
        url = f"/admin/main/project/{world.own.pk}/change/"
        assert "Small size filter" in client.get(url).text
        client.post(url, self.formset(world.own) | {"methods": ["tracking"]})
        world.own.refresh_from_db()
        assert world.own.methods == ["tracking"]


class TestActions:
    def test_rows_on_which_the_role_is_too_low_are_refused(
        self, client: Client, world: World
    ) -> None:
        world.foreign.members.add(world.member)
        own = make_occurrence(deployment=make_deployment(project=world.own))
        seen = world.rows["main.occurrence"]
        for _ in range(4):
            make_occurrence(deployment=seen.deployment)
        ids = list(Occurrence.objects.values_list("pk", flat=True))
        data = {"action": "delete_selected", "_selected_action": ids, "post": "yes"}
        response: Any = client.post("/admin/main/occurrence/", data)
        (message,) = get_messages(response.wsgi_request)
        assert "for some of the selected occurrences: " in str(message)
        assert str(message).count("“") == 3
        assert "” and others. Nothing was done." in str(message)
        assert str(own) not in str(message)
        assert Occurrence.objects.filter(pk__in=ids).count() == len(ids)

    def test_foreign_rows_of_a_selection_are_left_alone(self, client: Client, world: World) -> None:
        night: Event = world.rows["main.event"]
        data = {"action": "delete_selected", "_selected_action": [night.pk], "post": "yes"}
        client.post("/admin/main/event/", data)
        assert Event.objects.filter(pk=night.pk).exists()

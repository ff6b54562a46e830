from ami.main.checks.tests.world import Rows, World, execute, fault
from ami.main.models import Taxon
from ami.ml.models import AlgorithmCategoryMap

SET_PARENT = "UPDATE main_taxon SET parent_id = %s WHERE id = %s"


@fault("taxon_loop")
def parent_below_its_child(world: World) -> Rows:
    execute(SET_PARENT, world.species.pk, world.genus.pk)
    return {(Taxon, world.species.pk), (Taxon, world.genus.pk)}


@fault("taxon_loop")
def parent_of_itself(world: World) -> Rows:
    """The species below it leads into the loop, but is not part of it."""
    execute(SET_PARENT, world.genus.pk, world.genus.pk)
    return {(Taxon, world.genus.pk)}


@fault("rank_order")
def parent_of_a_lower_rank(world: World) -> Rows:
    execute("UPDATE main_taxon SET rank = 'SUBSPECIES' WHERE id = %s", world.genus.pk)
    return {(Taxon, world.species.pk)}


@fault("rank_order")
def parent_of_the_same_rank(world: World) -> Rows:
    execute("UPDATE main_taxon SET rank = 'GENUS' WHERE id = %s", world.species.pk)
    return {(Taxon, world.species.pk)}


@fault("unresolved_labels")
def renamed_taxon(world: World) -> Rows:
    execute("UPDATE main_taxon SET name = name || ' (renamed)' WHERE id = %s", world.species.pk)
    return {(AlgorithmCategoryMap, world.category_map.pk)}


@fault("orphan_name")
def label_of_an_import(world: World) -> Rows:
    """No category map holds it. A name that was added by hand is not found."""
    pk = world.project.pk
    orphan, added = execute(
        "INSERT INTO main_taxon (created_at, updated_at, name, rank, active, identifiable, "
        "search_names, notes) SELECT now(), now(), name, 'SPECIES', true, true, '{}', '' "
        "FROM unnest(%s) AS name RETURNING id",
        [f"Misspelt {pk}", f"Added {pk}"],
    )
    execute(
        "INSERT INTO main_taxon_projects (taxon_id, project_id) SELECT unnest(%s), %s",
        [orphan, added],
        pk,
    )
    execute("UPDATE main_classification SET taxon_id = %s WHERE id = %s", orphan, world.raw.pk)
    execute(
        "INSERT INTO django_admin_log (action_time, user_id, content_type_id, object_id, "
        "object_repr, action_flag, change_message) SELECT now(), u.id, c.id, %s, '', 1, '' "
        "FROM users_user u, django_content_type c "
        "WHERE (c.app_label, c.model) = ('main', 'taxon') LIMIT 1",
        str(added),
    )
    return {(Taxon, orphan)}

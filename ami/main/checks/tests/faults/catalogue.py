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
    """The species below it leads into the loop, and is no part of it."""
    execute(SET_PARENT, world.genus.pk, world.genus.pk)
    return {(Taxon, world.genus.pk)}


@fault("unresolved_labels")
def renamed_taxon(world: World) -> Rows:
    execute("UPDATE main_taxon SET name = name || ' (renamed)' WHERE id = %s", world.species.pk)
    return {(AlgorithmCategoryMap, world.category_map.pk)}

"""The words of camera traps for what a picture shows besides taxa."""

ANIMAL = "animal"
NOT_ANIMALS = frozenset({"human", "person", "people", "vehicle"})
EMPTY = frozenset({"blank", "empty"})
NO_ANIMAL = "is not an animal"
NO_BOX = "has no box, without which nothing is imported"
NO_OWN_PICTURE = "has no box, and no picture of its own"
SHARED_PICTURE = "has no box, and shares its picture with others that have none"
BOXLESS = frozenset({NO_BOX, NO_OWN_PICTURE, SHARED_PICTURE})
ABSENT = "was not there: the row tells an absence"
NO_PICTURE = "is not a picture, and only pictures are imported"

"""The words of camera traps for what a picture shows besides taxa."""

ANIMAL = "animal"
NOT_ANIMALS = frozenset({"human", "person", "people", "vehicle"})
EMPTY = frozenset({"blank", "empty"})
NO_ANIMAL = "is not an animal"
NO_BOX = "has no box, without which nothing is imported"
NO_PICTURE = "is not a picture, and only pictures are imported"

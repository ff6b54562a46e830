"""The tables of Camtrap DP 1.0.2: https://camtrap-dp.tdwg.org/data/."""

from typing import Any, NamedTuple

VERSION = "1.0.2"
PROFILE = f"https://raw.githubusercontent.com/tdwg/camtrap-dp/{VERSION}/camtrap-dp-profile.json"
TABLE = f"https://raw.githubusercontent.com/tdwg/camtrap-dp/{VERSION}/{{}}-table-schema.json"
TIME = "%Y-%m-%dT%H:%M:%S%z"
RANKS = ("kingdom", "phylum", "class", "order", "family", "genus", "species", "subspecies")


class Field(NamedTuple):
    """A column: its name, its type, whether it is required, and its other constraints."""

    name: str
    type: str = "string"
    required: bool = False
    limits: dict[str, Any] = {}


def _share(name: str, *, above: float = 0) -> Field:
    return Field(name, "number", limits={"minimum": above, "maximum": 1})


DEPLOYMENTS = (
    Field("deploymentID", required=True, limits={"unique": True}),
    Field("locationID"),
    Field("locationName"),
    Field("latitude", "number", True, {"minimum": -90, "maximum": 90}),
    Field("longitude", "number", True, {"minimum": -180, "maximum": 180}),
    Field("coordinateUncertainty", "integer", limits={"minimum": 1}),
    Field("deploymentStart", "datetime", True),
    Field("deploymentEnd", "datetime", True),
    Field("setupBy"),
    Field("cameraID"),
    Field("cameraModel"),
    Field("cameraDelay", "integer", limits={"minimum": 0}),
    Field("cameraHeight", "number", limits={"minimum": 0}),
    Field("cameraDepth", "number", limits={"minimum": 0}),
    Field("cameraTilt", "integer", limits={"minimum": -90, "maximum": 90}),
    Field("cameraHeading", "integer", limits={"minimum": 0, "maximum": 360}),
    Field("detectionDistance", "number", limits={"minimum": 0}),
    Field("timestampIssues", "boolean"),
    Field("baitUse", "boolean"),
    Field("featureType"),
    Field("habitat"),
    Field("deploymentGroups"),
    Field("deploymentTags"),
    Field("deploymentComments"),
)
MEDIA = (
    Field("mediaID", required=True, limits={"unique": True}),
    Field("deploymentID", required=True),
    Field("captureMethod", limits={"enum": ["activityDetection", "timeLapse"]}),
    Field("timestamp", "datetime", True),
    Field("filePath", required=True, limits={"pattern": r"^(?=^[^./~])(^((?!\.{2}).)*$).*$"}),
    Field("filePublic", "boolean", True),
    Field("fileName"),
    Field("fileMediatype", required=True, limits={"pattern": "^(image|video|audio)/.*$"}),
    Field("exifData", "object"),
    Field("favorite", "boolean"),
    Field("mediaComments"),
)
OBSERVATIONS = (
    Field("observationID", required=True, limits={"unique": True}),
    Field("deploymentID", required=True),
    Field("mediaID"),
    Field("eventID"),
    Field("eventStart", "datetime", True),
    Field("eventEnd", "datetime", True),
    Field("observationLevel", required=True, limits={"enum": ["media", "event"]}),
    Field(
        "observationType",
        required=True,
        limits={"enum": ["animal", "human", "vehicle", "blank", "unknown", "unclassified"]},
    ),
    Field("cameraSetupType", limits={"enum": ["setup", "calibration"]}),
    Field("scientificName"),
    Field("count", "integer", limits={"minimum": 1}),
    Field("lifeStage", limits={"enum": ["adult", "subadult", "juvenile"]}),
    Field("sex", limits={"enum": ["female", "male"]}),
    Field("behavior"),
    Field("individualID"),
    Field("individualPositionRadius", "number", limits={"minimum": 0}),
    Field("individualPositionAngle", "number", limits={"minimum": -90, "maximum": 90}),
    Field("individualSpeed", "number", limits={"minimum": 0}),
    _share("bboxX"),
    _share("bboxY"),
    _share("bboxWidth", above=1e-15),
    _share("bboxHeight", above=1e-15),
    Field("classificationMethod", limits={"enum": ["human", "machine"]}),
    Field("classifiedBy"),
    Field("classificationTimestamp", "datetime"),
    _share("classificationProbability"),
    Field("observationTags"),
    Field("observationComments"),
)
# A resource of our own: the lineage of each detection, by the observation's id.
CLASSIFICATIONS = (
    Field("classificationID", required=True, limits={"unique": True}),
    Field("observationID", required=True),
    Field("appliedTo"),
    Field("scientificName"),
    Field("taxonRank"),
    _share("probability"),
    Field("terminal", "boolean", True),
    Field("timestamp", "datetime", True),
    Field("algorithm"),
    Field("algorithmVersion", "integer"),
    Field("run", "integer"),
    Field("method"),
    Field("options"),
    Field("taxaList"),
    Field("software"),
)


def names(fields: tuple[Field, ...]) -> list[str]:
    return [field.name for field in fields]


def schema(fields: tuple[Field, ...]) -> dict[str, Any]:
    """Return the fields as a Table Schema."""
    return {
        "fields": [
            {
                "name": field.name,
                "type": field.type,
                **({"format": TIME} if field.type == "datetime" else {}),
                "constraints": {"required": field.required, **field.limits},
            }
            for field in fields
        ],
        "missingValues": [""],
    }

"""The normal form of names, and what a written name stands for.

Files, classifiers and people write one name in many ways: "Noctua pronuba", "noctua_pronuba",
"NOCTUA PRONUBA (Linnaeus, 1758)". :func:`read_name` reads them all as one name. Two names are the
same if their `key` is.
"""

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from ami.base.ids import parse_id
from ami.main.models.taxon import NOT_IDENTIFIABLE, TaxonRank

INVISIBLE = re.compile("[\u00ad\u180e\u200b-\u200f\u2060-\u2064\ufeff]")
BLANKS = re.compile(r"[\s_\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u206f]+")
PLAIN = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201a\u201b\u2032`\u00b4\u02bc", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u201f\u2033", '"')
    | dict.fromkeys("\u2010\u2011", "-")
    | {"×": " × "}
)
LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")

# A label that consists of one of these stands for no taxon.
NOTHING = {"?", "-", "n/a", "na", "nan", "none", "null", "no", "nil", "tbd", "undefined"}
# Nor does a name with one of these words, except for the genus or family before it.
NO_NAME = {
    *("unknown", "unidentified", "undetermined", "indeterminate", "unclassified", "uncertain"),
    *("not", "non", "other", "others", "blank", "empty", "background", "unsure", "incertae"),
}
# These leave the species open: what precedes them is the genus, or a family.
OPEN = {"sp", "spp", "indet", "cf", "aff", "nr", "near", "gen"}
# Several species under one name.
AGGREGATES = {"agg", "aggregate", "complex", "group", "gr"}
# Words of everyday names, which have the form of a species: "Luna moth".
EVERYDAY = {
    *("moth", "moths", "butterfly", "butterflies", "beetle", "beetles", "fly", "flies", "bug"),
    *("bugs", "bee", "bees", "wasp", "wasps", "ant", "ants", "spider", "spiders", "insect"),
    *("insects", "animal", "frame", "image", "larva", "caterpillar", "underwing", "hawkmoth"),
    *("hawk-moth", "pug", "carpet", "wainscot", "rustic", "emerald", "footman", "looper", "borer"),
    *("armyworm", "cutworm", "skipper", "swallowtail", "hairstreak", "weevil", "ladybird"),
    *("cricket", "grasshopper", "dragonfly", "damselfly", "mosquito", "midge", "leafhopper"),
    *("lacewing", "caddisfly", "mayfly", "cockroach", "earwig"),
}
PARTICLES = {"de", "den", "der", "van", "von", "du", "le", "la", "del", "di", "da", "zu", "ter"}
SUFFIXES = {
    "oidea": TaxonRank.SUPERFAMILY,
    "idae": TaxonRank.FAMILY,
    "inae": TaxonRank.SUBFAMILY,
}
BELOW_SPECIES = {
    "subsp": TaxonRank.SUBSPECIES,
    "ssp": TaxonRank.SUBSPECIES,
    "var": TaxonRank.VARIETY,
    "f": TaxonRank.FORM,
    "fo": TaxonRank.FORM,
    "form": TaxonRank.FORM,
    "forma": TaxonRank.FORM,
}
MARKS = {TaxonRank.VARIETY: ["var."], TaxonRank.FORM: ["f."]}

GENUS = re.compile(r"[A-Z][a-z]+(?:-[a-z]+)?")
EPITHET = re.compile(r"[a-z][a-z-]*[a-z]")
SUBGENUS = re.compile(r"\([A-Z][a-z-]+\)")
NUMBERED = re.compile(r"(spp?)[0-9]+")
YEAR = re.compile(r"(?:1[7-9]|20)[0-9]{2}[a-z]?[\])]*$")


class Name(NamedTuple):
    """A name as it was written, and the taxon that it stands for.

    `text` is the name of that taxon: without its author, and of the genus alone where the species
    is open ("Noctua cf. pronuba"). `rank` is what the form of the name shows, else UNKNOWN.
    `doubt` is the word because of which the name stands for no species. `above` holds the species
    and the genus that the name contains, nearest first. `otherwise` is a second key: that of the
    name without its end, which may be an author, or that of the genus of an aggregate.
    """

    written: str
    text: str
    rank: TaxonRank = TaxonRank.UNKNOWN
    author: str = ""
    doubt: str = ""
    above: tuple[tuple[str, TaxonRank], ...] = ()
    otherwise: str = ""

    @property
    def key(self) -> str:
        """The name without regard to case."""
        return fold(self.text)

    @property
    def caveat(self) -> str:
        """A predicate that tells why the name stands for no species, or ""."""
        if not self.doubt:
            return ""
        named = "" if self.text == self.written else f", only {self.text!r}"
        return f"names no species{named}, because of {self.doubt!r}"


def tidy(text: str) -> str:
    """Return the text in NFC with single blanks, plain quotes, and "×" for a hybrid.

    Control characters and underscores count as blanks. Applying it again changes nothing.
    """
    text = unicodedata.normalize("NFC", INVISIBLE.sub("", text)).translate(PLAIN)
    text = BLANKS.sub(" ", text).strip()
    return re.sub(r"(?<= )[xX](?= )", "×", text)


def fold(text: str) -> str:
    """Return a tidy text for comparison without regard to the case of A to Z."""
    return text.translate(LOWER)


def read_key(written: object) -> int | None:
    """Read a GBIF key. Spreadsheets with empty cells write 7.0 instead of 7."""
    return parse_id(str(written).strip().removesuffix(".0"))


@lru_cache(maxsize=100_000)
def read_name(written: str) -> Name:
    """Return what a written name stands for."""
    whole = tidy(written)
    bare = fold(whole).rstrip(".")
    if bare in NOTHING or not bare:
        return Name(whole, whole, doubt=bare or "blank")
    if bare.replace("-", " ") == fold(NOT_IDENTIFIABLE):
        return Name(whole, NOT_IDENTIFIABLE, doubt="not")
    words = whole.split(" ")
    if whole.isupper() and len(words) > 1:
        words = [words[0].capitalize(), words[1].lower(), *words[2:]]
    words = _without_subgenus(words)
    if found := _in_doubt(words):
        return found._replace(written=whole)
    words, author = _without_author(words)
    found = _by_form(words)
    if found and (not author or _is_author(author, words)):
        return found._replace(written=whole, author=author)
    otherwise = found.key if found and len(words) > 1 else ""
    return Name(whole, whole, otherwise=otherwise)


def _without_subgenus(words: list[str]) -> list[str]:
    if len(words) > 2 and SUBGENUS.fullmatch(words[1]) and words[2][:1].islower():
        return [words[0], *words[2:]]
    return words


def _without_author(words: list[str]) -> tuple[list[str], str]:
    """Split the words where the first one follows that begins with neither a-z nor "×"."""
    end = min(1 + (words[0] == "×"), len(words))
    while end < len(words) and (words[end][:1].islower() or words[end] == "×"):
        if words[end] in PARTICLES and end + 1 < len(words):
            break
        end += 1
        if words[end - 1].endswith(","):
            break
    name = [*words[: end - 1], words[end - 1].rstrip(",")]
    following = words[end] if end < len(words) else ""
    # "Agrotis ipsilon × Agrotis segetum" and "Noctua sp. A" have no author.
    if name[-1] == "×" or not following:
        return words, ""
    return name, " ".join(words[end:])


def _is_author(text: str, name: list[str]) -> bool:
    """Whether the text after a name is an author beyond doubt."""
    in_brackets = text[0] in "([" and text[-1] in ")]" and text != text.lower()
    if len(name) == 1:
        alone = in_brackets or "(" not in text
        return bool(YEAR.search(text)) and alone and (in_brackets or "," in text)
    return in_brackets or text.endswith(".") or " & " in text or bool(YEAR.search(text))


def _in_doubt(words: list[str]) -> Name | None:
    """Return the genus or family before the word of doubt, or a name that stands for nothing."""
    plain = [fold(word).rstrip(".:,") for word in words]
    plain = [NUMBERED.sub(r"\1", word) for word in plain]
    doubts = [
        (place, word)
        for place, word in enumerate(plain)
        if word in NO_NAME or (place > 0 and (word in OPEN or word in AGGREGATES))
    ]
    if words[-1].endswith("?"):
        doubts.append((len(words) - 1, "?"))
    if any("/" in word for word in words):
        doubts.append((len(words) - 1, "/"))
    if not doubts:
        return None
    place, doubt = doubts[0]
    text = " ".join(words)
    genus = words[0].capitalize()
    if place == 0 or plain[0] in EVERYDAY or not GENUS.fullmatch(genus):
        return Name(text, text, doubt=doubt)
    rank = _rank_of_one(genus, TaxonRank.GENUS)
    if doubt in AGGREGATES or doubt == "/":
        return Name(text, text, doubt=doubt, above=((genus, rank),), otherwise=fold(genus))
    return Name(text, genus, rank, doubt=doubt)


def _by_form(words: list[str]) -> Name | None:
    """Return the name by the form of its words, or None if they have no form of a name."""
    text = " ".join(words)
    if not GENUS.fullmatch(words[0]) or {fold(word) for word in words} & EVERYDAY:
        return None
    if len(words) == 1:
        return Name(text, text, _rank_of_one(text, TaxonRank.UNKNOWN))
    genus, *epithets = words
    in_genus = ((genus, TaxonRank.GENUS),)
    if epithets[0] == "×":
        epithets = epithets[1:]
        text = f"{genus} × {' '.join(epithets)}"
        is_species = len(epithets) == 1 and EPITHET.fullmatch(epithets[0])
        return Name(text, text, TaxonRank.SPECIES, above=in_genus) if is_species else None
    if "×" in epithets:
        return Name(text, text, doubt="×", above=in_genus, otherwise=fold(genus))
    return _species_or_below(genus, epithets)


def _species_or_below(genus: str, epithets: list[str]) -> Name | None:
    rank, mark = TaxonRank.SUBSPECIES, []
    if len(epithets) == 3 and (below := BELOW_SPECIES.get(epithets[1].rstrip("."))):
        rank, mark = below, MARKS.get(below, [])
        epithets = [epithets[0], epithets[2]]
    if len(epithets) > 2 or not all(map(EPITHET.fullmatch, epithets)):
        return None
    species = f"{genus} {epithets[0]}"
    in_genus = ((genus, TaxonRank.GENUS),)
    if len(epithets) == 1:
        return Name(species, species, TaxonRank.SPECIES, above=in_genus)
    text = " ".join([species, *mark, epithets[1]])
    return Name(text, text, rank, above=((species, TaxonRank.SPECIES), *in_genus))


def _rank_of_one(word: str, otherwise: TaxonRank) -> TaxonRank:
    ranks = (rank for suffix, rank in SUFFIXES.items() if word.endswith(suffix))
    return next(ranks, otherwise)

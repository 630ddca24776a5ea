"""C-FIND answers of small archives by a look at every data set: PS3.4 §C, nothing else."""

import io

import pydicom
from oracle import is_universal, matches, texts_of
from pydicom.datadict import tag_for_keyword
from small_archives import COMPUTED, CREATOR, LEVEL_OF, LEVELS, PRIVATE, SEQUENCE, UNIQUE


class Oracle:
    """Answers by looking at each data set."""

    def __init__(self, files):
        self.datasets = [pydicom.dcmread(io.BytesIO(file)) for file in files]
        for dataset in self.datasets:
            dataset.decode()

    def answers(self, search):
        """Return of each resource that matches its path, and the data sets it may be told from."""
        depth = LEVELS.index(search.level)
        resources = {}
        for dataset in self.datasets:
            resources.setdefault(path(dataset, depth), []).append(dataset)
        found = {}
        for one, inside in resources.items():
            lower = self.lower(search, inside, depth)
            if lower and self.is_match(search, inside, depth):
                found[one] = (inside[0], lower)
        return found

    def is_match(self, search, inside, depth):
        asked = {}
        for name, key in search.keys.items():
            if name == "ModalitiesInStudy":
                if not self.has_modality(inside, key, depth):
                    return False
            elif name not in COMPUTED and LEVELS.index(LEVEL_OF[name]) <= depth:
                asked[name] = key
        return all_match(inside[0], asked, search.combined)

    def has_modality(self, inside, key, depth):
        study = inside[0].StudyInstanceUID
        of_study = [one for one in self.datasets if one.StudyInstanceUID == study]
        # Above a study: one that has it.
        return is_universal(key) or any(
            matches(one["Modality"], key, folded=False) for one in (of_study if depth else inside)
        )

    @staticmethod
    def lower(search, inside, depth):
        """Return the instances that match what is asked of lower levels."""
        asked = {
            name: key
            for name, key in search.keys.items()
            if name in LEVEL_OF and LEVELS.index(LEVEL_OF[name]) > depth
        }
        if not any(is_asked(key) for key in asked.values()):
            return inside[:1]
        # A level has the values of the first instance of its resource.
        lowest = max(LEVELS.index(LEVEL_OF[name]) for name, key in asked.items() if is_asked(key))
        firsts = {}
        for dataset in inside:
            firsts.setdefault(path(dataset, lowest), dataset)
        return [one for one in firsts.values() if all_match(one, asked, False)]

    def computed(self, name, dataset):
        """Return the value of a computed key."""
        if name == "ModalitiesInStudy":
            study = dataset.StudyInstanceUID
            return sorted({o.Modality for o in self.datasets if o.StudyInstanceUID == study})
        of, what = (LEVELS.index(level) for level in COMPUTED[name])
        own = path(dataset, of)
        return len({path(one, what) for one in self.datasets if path(one, of) == own})


def path(dataset, depth):
    return tuple(str(dataset[UNIQUE[at]].value) for at in range(depth + 1))


def is_asked(key):
    """Whether a key restricts what matches."""
    if isinstance(key, dict):
        return any(not is_universal(inner) for inner in key.values())
    return key is not None and not is_universal(key)


def element_of(dataset, name):
    if name != PRIVATE:
        return dataset.get(tag_for_keyword(name))
    try:
        return dataset.private_block(0x0009, CREATOR)[1]
    except KeyError:
        return None


def all_match(dataset, asked, combined):
    asked = {name: key for name, key in asked.items() if is_asked(key)}
    if combined:
        for prefix in ("Study", "Content"):
            date, time = asked.get(f"{prefix}Date", ""), asked.get(f"{prefix}Time", "")
            if form(date) and form(date) == form(time):
                del asked[f"{prefix}Date"], asked[f"{prefix}Time"]
                if not moment_matches(dataset, prefix, date, time):
                    return False
    return all(one_matches(dataset, name, key) for name, key in asked.items())


def form(key):
    """Return which bounds a range has, None if it is none."""
    low, dash, high = key.partition("-")
    return (bool(low), bool(high)) if dash else None


def moment_matches(dataset, prefix, date, time):
    day, hour = (dataset.get(f"{prefix}{what}") for what in ("Date", "Time"))
    if not day:
        return False
    (first_day, _, last_day), (first_hour, _, last_hour) = date.partition("-"), time.partition("-")
    # A day without a time is all of its moments.
    low, high = (day + hour.ljust(6, "0"),) * 2 if hour else (day + "000000", day + "235959")
    first = first_day + first_hour.ljust(6, "0") if first_day else ""
    last = last_day + last_hour.ljust(6, "9") if last_day else "9"
    return first <= high and low <= last


def one_matches(dataset, name, key):
    if name != SEQUENCE:
        return matches(element_of(dataset, name), key, folded=False)
    return bool(matching_items(dataset, key))


def matching_items(dataset, asked):
    return [
        item
        for item in dataset.get(SEQUENCE) or []
        if all(
            matches(item.get(tag_for_keyword(name)), key, folded=False)
            for name, key in asked.items()
            if not is_universal(key)
        )
    ]


def value_of(answer, name):
    """Return a value of an answer or a data set, in a form that can be compared."""
    element = element_of(answer, name)
    if element is None or element.VM == 0:
        return ""
    value = element.value
    if isinstance(value, bytes):  # a private one in Implicit VR
        return value.decode().strip()
    return "\\".join(texts_of(element)[1])


def item_values(all_items, names):
    """Return what items say: of these names, or all."""
    return [
        {
            element.keyword: str(element.value)
            for element in item
            if (names is None or element.keyword in names) and element.value
        }
        for item in all_items
    ]

"""Labels given, taken, listed, shown and searched for, with good and with bad arguments."""

from support_compare import Request
from support_requests import LEVELS, NO_SUCH_ID, get, of, post

GOOD = ["a", "Z", "0", "With_all-3", "x" * 64]
BAD = ["a.b", "a%20b", "%C3%A9", "a%2Fb", "*", "x" * 65, "a:b"]


def labels(held):
    """Yield them in an order in which each finds what those before it left."""
    by_name = {one.name: one for one in held}
    one, other = by_name["made/H1/0/0/1"], by_name["made/H3/0/0/1"]

    def on(method, level, of, label, body=None):
        path = f"/{level}/{of.ids[level]}/labels/{label}"
        return Request(f"{method} /{level}/{{{of.name}}}/labels/{label}", method, path, body)

    yield get("/tools/labels", "/tools/labels (none)")
    for level in LEVELS:
        yield of(level, one, "/labels")
        for label in (*GOOD, *BAD):
            yield on("GET", level, one, label)
            yield on("PUT", level, one, label)
        yield on("PUT", level, one, "a")
        yield on("PUT", level, one, "a", b"a body")
        yield on("PUT", level, one, level)
        yield on("GET", level, one, "a")
        yield on("GET", level, one, "A")
        yield of(level, one, "/labels")
        yield of(level, one)
    yield on("PUT", "studies", other, "a")
    yield get("/tools/labels", ordered=True)
    for level in LEVELS:
        yield from searched(level)
    for level in LEVELS:
        for label in ("Z", "Z", "never", *BAD):
            yield on("DELETE", level, one, label)
        yield of(level, one, "/labels")
        yield get(f"/{level}?expand", f"/{level}?expand (with labels)")
        nowhere = f"/{level}/{NO_SUCH_ID}/labels"
        yield get(nowhere)
        yield get(f"{nowhere}/a")
        for method in ("PUT", "DELETE", "POST"):
            yield Request(f"{method} {nowhere}/a", method, f"{nowhere}/a")
        yield Request(f"PUT {nowhere}", "PUT", nowhere)
    # Of another level than the id.
    path = f"/series/{one.ids['studies']}/labels"
    yield get(path, "/series/{study}/labels")
    yield Request("PUT /series/{study}/labels/a", "PUT", f"{path}/a")
    yield get("/tools/labels", "/tools/labels (at the end)", ordered=True)
    new = "type=NewPatient;NewStudy;NewSeries;NewInstance"
    yield get(f"/changes?limit=1000000&{new}", "/changes (with labels)", ordered=True)


def searched(level):
    """Yield searches by label at a level."""
    singular = {"patients": "Patient", "studies": "Study", "series": "Series"}
    body = {"Level": singular.get(level, "Instance"), "Query": {}}
    for wanted in (["a"], ["a", "Z"], ["a", "never"], ["never"], []):
        for constraint in (None, "All", "Any", "None"):
            asked = {**body, "Labels": wanted}
            if constraint is not None:
                asked["LabelsConstraint"] = constraint
            yield post("/tools/find", asked, f"{level} with {constraint} of {wanted}")
            yield post("/tools/count-resources", asked, f"{level} with {constraint} of {wanted}")
    asked = {**body, "Labels": ["a"], "ResponseContent": ["Labels"]}
    yield post("/tools/find", asked, f"labels of {level}")
    yield post("/tools/find", {**body, "Labels": ["a.b"]}, f"{level} with what is no label")

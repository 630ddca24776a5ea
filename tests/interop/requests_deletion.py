"""Deletion, at every level, and what is left."""

from support_compare import Request
from support_requests import LEVELS, get, of


def deletions(held):
    by_name = {one.name: one for one in held}

    def delete(level, name):
        return Request(
            f"DELETE /{level}/{{{name}}}", "DELETE", f"/{level}/{by_name[name].ids[level]}"
        )

    def look(level, name):
        return of(level, by_name[name])

    yield delete("instances", "made/H1/0/0/1")
    yield look("series", "made/H1/0/0/1")
    yield delete("instances", "made/H1/0/0/1")
    yield look("instances", "made/H1/0/0/1")
    yield delete("series", "made/H1/0/1/1")
    yield look("studies", "made/H1/0/0/1")
    yield delete("studies", "made/H1/1/0/1")
    yield look("patients", "made/H1/0/0/1")
    yield delete("instances", "made/odd/wide")  # the last of its patient
    yield look("patients", "made/odd/wide")
    yield delete("series", "made/counted/0/1")
    yield delete("patients", "made/H2/0/0/1")
    yield look("studies", "made/H2/0/0/1")
    yield delete("patients", "made/H2/0/0/1")
    one = by_name["made/H3/0/0/1"]
    path = f"/instances/{one.ids['instances']}"
    yield Request("GET /instances/{made/H3/0/0/1}?_method=DELETE", "GET", f"{path}?_method=DELETE")
    path = f"/instances/{by_name['made/H3/0/0/2'].ids['instances']}"
    yield Request(
        "POST /instances/{made/H3/0/0/2} as DELETE",
        "POST",
        path,
        b"",
        {"X-HTTP-Method-Override": "DELETE"},
    )
    yield get("/statistics", "/statistics (at the end)")
    for level in LEVELS:
        yield get(f"/{level}", f"/{level} (at the end)")
    new = "type=NewPatient;NewStudy;NewSeries;NewInstance"
    yield get(f"/changes?limit=1000000&{new}", "/changes?limit=1000000 (at the end)", ordered=True)

"""ZIP archives and media: names and bytes of what is in them, and arguments good and bad."""

from support_requests import NO_SUCH_ID, distinct, get, of, post, some

IMPLICIT = "1.2.840.10008.1.2"


def archives(held):
    """Yield archives at every level. Media have one instance: their files are named by an order."""
    # More than one study or series of a name is told apart by a number, in an order of each server.
    for level in ("patients", "studies", "series"):
        for one in some(distinct(level, held), 4):
            yield of(level, one, "/archive")
    for one in some(held, 6):
        path = f"resources={one.ids['instances']}"
        yield get(f"/tools/create-archive?{path}", f"/tools/create-archive {{{one.name}}}")
        yield get(f"/tools/create-media?{path}", f"/tools/create-media {{{one.name}}}")
        name = f"/tools/create-media-extended {{{one.name}}}"
        yield get(f"/tools/create-media-extended?{path}", name)
    for one in some(distinct("series", held), 12):
        yield of("series", one, f"/archive?transcode={IMPLICIT}")
    yield from asked_for(held)


def asked_for(held):
    one, other = ({one.name: one for one in held}[name] for name in ONE_AND_OTHER)
    study, instance = one.ids["studies"], one.ids["instances"]
    for kind in ("archive", "media"):
        path = f"/studies/{study}/{kind}"
        for tail in ("?filename=a.zip", "?filename=a%22b", "?transcode=", "?transcode=1.2.3"):
            yield of("studies", one, f"/{kind}{tail}")
        yield get(f"/studies/{NO_SUCH_ID}/{kind}")
        yield get(f"/series/{study}/{kind}", f"/series/{{study}}/{kind}")
        yield get(f"/instances/{instance}/{kind}", f"/instances/{{instance}}/{kind}")
        for name, body in {
            "(as it comes)": {},
            "(nothing)": b"",
            "(no JSON)": b"{",
            "(a list)": [],
            "(named)": {"Filename": "a.zip"},
            "(transcoded)": {"Transcode": IMPLICIT},
            "(into nothing)": {"Transcode": "1.2.3"},
            "(into a number)": {"Transcode": 5},
            "(a switch that is none)": {"Synchronous": "x"},
        }.items():
            request = post(path, body, name)
            yield request._replace(name=f"POST /studies/{{study}}/{kind} {name}")
        request = post(f"/studies/{NO_SUCH_ID}/{kind}", {}, "(not there)")
        yield request
    for kind in ("archive", "media", "media-extended"):
        path = f"/tools/create-{kind}"
        both = [instance, other.ids["instances"]]
        for name, body in {
            "(a list)": [instance],
            "(an empty list)": [],
            "(no resources)": {},
            "(an object)": {"Resources": [instance], "Filename": "a.zip"},
            "(twice)": {"Resources": [instance, instance]},
            "(one that is not there)": {"Resources": [instance, NO_SUCH_ID]},
            "(no list)": {"Resources": instance},
            "(numbers)": {"Resources": [5]},
        }.items():
            yield post(path, body, name)
        yield get(path)
        yield get(f"{path}?resources=", f"{path} (of nothing)")
        yield get(f"{path}?resources={instance},{NO_SUCH_ID}", f"{path} (one that is not there)")
        yield get(f"{path}?resources={instance}&transcode=1.2.3", f"{path} (into nothing)")
        yield get(f"{path}?resources={instance}&filename=a.zip", f"{path} (named)")
        if kind == "archive":
            yield get(f"{path}?resources={','.join(both)}", f"{path} (both)")


ONE_AND_OTHER = ("made/H1/0/0/1", "made/H3/0/0/1")

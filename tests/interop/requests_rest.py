"""What no other group asks: archives of every level, jobs and what they made, lists, the server."""

from support_compare import Request
from support_made import End
from support_requests import NO_SUCH_ID, get, of, post


def rest(held):
    by_name = {one.name: one for one in held}
    one = by_name["made/H5/0/0/1"]
    yield from posted_archives(one)
    yield from posted_media(by_name["made/odd/wide"])
    yield from outputs(one)
    yield from content(one, by_name)
    yield from bulk(one)
    yield from reconstructions(one)
    yield from about()


def posted_archives(one):
    """Archives of the levels that `archives` does not post to."""
    for level in ("patients", "series"):
        path = f"/{level}/{one.ids[level]}/archive"
        yield post(path, {}, "(rest)")._replace(name=f"POST {level}/archive (rest)")


def posted_media(one):
    """Media of every level; of one instance, since files are named by an order."""
    for level in ("patients", "studies", "series"):
        yield of(level, one, "/media")
        path = f"/{level}/{one.ids[level]}/media"
        yield post(path, {}, "")._replace(name=f"POST {level}/media")


def outputs(one):
    """Archives that are made in the background, and fetched, and thrown away."""
    path = f"/studies/{one.ids['studies']}/archive"
    body = {"Asynchronous": True}
    yield post(path, body, "(later)")._replace(keeps="ID", makes=True, name="POST archive (later)")
    yield End("job of archive (later)")
    yield get("/jobs/{kept}/nothing", "/jobs/{kept}/nothing")
    yield get("/jobs/{kept}/archive", "/jobs/{kept}/archive")
    for said in ("", " (again)"):
        name = f"DELETE /jobs/{{kept}}/archive{said}"
        yield Request(name, "DELETE", "/jobs/{kept}/archive")
    yield get("/jobs/{kept}/archive", "/jobs/{kept}/archive (deleted)")
    yield get("/jobs")._replace(kind=True)
    yield get("/jobs?expand")._replace(kind=True)


def content(one, by_name):
    """Documents, frames, slices in order."""
    for name in ("made/H5/0/0/1", "made/odd/binary", "made/odd/frames"):
        for tail in ("/pdf", "/frames", "/frames/0", "/frames/1", "/frames/99", "/frames/x"):
            yield of("instances", by_name[name], tail)
    for tail in ("", "?compress", "?rescale"):
        yield of("series", one, f"/numpy{tail}")._replace(kind=True)
        yield of("instances", one, f"/numpy{tail}")._replace(kind=True)
    yield of("instances", one, "/matlab")
    yield of("series", one, "/ordered-slices")
    yield of("series", by_name["made/counted/temporal/1"], "/ordered-slices")
    for tail in ("/numpy", "/ordered-slices"):
        yield get(f"/series/{NO_SUCH_ID}{tail}")


def bulk(one):
    """What many resources hold, at once."""
    path, ids = "/tools/bulk-content", one.ids
    for name, body in {
        "nothing": b"",
        "a list": [],
        "no resources": {},
        "none": {"Resources": []},
        "a number": {"Resources": [5]},
        "a text": {"Resources": "x"},
        "no such resource": {"Resources": [NO_SUCH_ID]},
        "each level": {"Resources": sorted(ids.values())},
        "short": {"Resources": [ids["studies"]], "Short": True},
        "full": {"Resources": [ids["series"]], "Full": True},
        "metadata": {"Resources": [ids["patients"]], "Metadata": True},
        "as series": {"Resources": [ids["studies"]], "Level": "Series"},
        "as instances": {"Resources": [ids["series"]], "Level": "Instance"},
        "as patients": {"Resources": [ids["instances"]], "Level": "Patient"},
        "no level": {"Resources": [ids["studies"]], "Level": "x"},
        "no switch": {"Resources": [ids["studies"]], "Short": "x"},
    }.items():
        yield post(path, body, name)


def reconstructions(one):
    """Read what is known of resources from their files again."""
    for level, public_id in one.ids.items():
        path = f"/{level}/{public_id}/reconstruct"
        for name, body in {
            "nothing": b"",
            "object": {},
            "no files": {"ReconstructFiles": False},
            "limited": {"LimitToThisLevelMainDicomTags": True},
            "no JSON": b"x",
            "no switch": {"ReconstructFiles": "x"},
        }.items():
            yield post(path, body, name)._replace(name=f"POST reconstruct of {level} ({name})")
        yield of(level, one)
        yield get(f"/{level}/{NO_SUCH_ID}/reconstruct")
        nowhere = f"/{level}/{NO_SUCH_ID}/reconstruct"
        yield post(nowhere, {}, "")
    yield post("/tools/reconstruct", b"", "")
    yield post("/tools/invalidate-tags", b"", "")
    yield of("studies", one)


def about():
    """Ask the server about itself; what it says is of its own."""
    for path in (
        "/tools/now",
        "/tools/now-local",
        "/tools/dicom-conformance",
        "/tools/metrics-prometheus",
        "/plugins/explorer.js",
        "/queries",
        "/queries?expand",
        "/tools/generate-uid?level=patient",
        "/tools/generate-uid?level=study",
        "/tools/generate-uid?level=series",
        "/tools/generate-uid?level=instance",
        "/tools/generate-uid?level=x",
        "/tools/generate-uid",
        "/tools",
        "/storage-commitment/none",
        "/modalities/unknown/storage-commitment",
    ):
        yield get(path)._replace(kind=True)
    yield Request("POST remove", "POST", "/storage-commitment/none/remove", b"", kind=True)
    for tail in ("/storage-commitment", "/find"):
        yield post(f"/modalities/unknown{tail}", {}, "")


def forgotten(_):
    """Forget what happened: last, since others look at it."""
    for path in ("/changes", "/exports"):
        yield Request(f"DELETE {path}", "DELETE", path)
        yield get(f"{path}?limit=5", f"{path} (forgotten)")

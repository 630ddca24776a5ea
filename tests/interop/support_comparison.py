"""Loading two servers alike and asking both the same."""

import io
from concurrent.futures import ThreadPoolExecutor

import httpx
import pydicom
from requests_archives import archives
from requests_changing import KNOWN, changed
from requests_creating import creations
from requests_deletion import deletions
from requests_keep import kept
from requests_labels import labels
from requests_notes import notes
from requests_reading import (
    changes,
    content,
    family,
    files,
    forms,
    headers,
    lists,
    metadata,
    server,
    singles,
    statistics,
    tags,
)
from requests_refused import refused
from requests_remote import acceptance, asked, modalities
from requests_rest import forgotten, rest
from requests_search import bad_searches, counts, lookups, searches
from requests_site import peers, tools
from requests_uploads import packed_uploads, uploads
from requests_views import modules, shared
from support_compare import Request, compare
from support_corpus import files as corpus
from support_corpus import readable
from support_made import End, Files, Forget, Pairs, compare_made, data_sets, end_of_job
from support_requests import IDENTIFIERS, stored
from support_samples import collections, identity

# In this order: the last group changes what there is.
GROUPS = {
    "uploads": uploads,
    "packed_uploads": packed_uploads,
    "lists": lists,
    "singles": singles,
    "family": family,
    "tags": tags,
    "forms": forms,
    "headers": headers,
    "content": content,
    "files": files,
    "statistics": statistics,
    "metadata": metadata,
    "changes": changes,
    "server": server,
    "searches": searches,
    "counts": counts,
    "bad_searches": bad_searches,
    "lookups": lookups,
    "refused": refused,
    "modules": modules,
    "shared": shared,
    "labels": labels,
    "notes": notes,
    "archives": archives,
    "modalities": modalities,
    "asked": asked,
    "acceptance": acceptance,
    "peers": peers,
    "tools": tools,
    "creations": creations,
    "changed": changed,
    "kept": kept,
    "rest": rest,
    "deletions": deletions,
    "forgotten": forgotten,
}


class Comparison:
    """The answers of our server and of a peer's, by group of requests."""

    def __init__(self, ours, theirs):
        self.ours, self.theirs = ours, theirs
        self.asking = ThreadPoolExecutor(2)
        self.held = []
        self.names = {}  # of resources, by id: the file that made each known
        self.differences = {}
        self.asked = 0
        self.pairs = Pairs(KNOWN)  # of identifiers that both have made
        self.kept = {}  # of each server, the id that it gave last

    def run(self):
        self.differences["corpus"] = self.load()
        for name, requests in GROUPS.items():
            self.differences[name] = [
                difference for request in requests(self.held) for difference in self.ask(request)
            ]

    def answers(self, request):
        """Ask both at the same time; return both answers."""
        self.asked += 1
        both = (self.ours, self.theirs)
        found = list(self.asking.map(lambda server: ask(server, self.named(server, request)), both))
        if request.keeps:
            done = all(answer.status_code == 200 for answer in found)
            self.kept = {
                id(server): named_in(answer.json(), request.keeps)
                for server, answer in zip(both, found, strict=True)
                if done
            }
        return found

    def forget(self):
        """Delete all patients that are not of the corpus."""
        for each in (self.ours, self.theirs):
            for patient in each.get("/patients").json():
                if patient not in self.names:
                    assert each.delete(f"/patients/{patient}").status_code == 200
        return []

    def named(self, server, request):
        """Return a request with the id in it that the server chose."""
        if "{kept}" not in request.path:
            return request
        return request._replace(path=request.path.replace("{kept}", self.kept[id(server)]))

    def ask(self, request):
        if "{kept}" in request.path and not self.kept:
            return []  # one of them made nothing, which is a difference already
        if isinstance(request, Forget):
            return self.forget()
        if isinstance(request, Files | End):
            return self.look(request)
        pairs = self.pairs if request.makes else None
        return compare(request, *self.answers(request), self.names, pairs)

    def look(self, request):
        """Compare what both have made, or the ends of the jobs that make it."""
        find = data_sets if isinstance(request, Files) else end_of_job
        both = (self.ours, self.theirs)
        found = self.asking.map(lambda server: find(server, self.named(server, request).path), both)
        return compare_made(request, *found, self.pairs)

    def load(self):
        """Send every file of the corpus to both; what they do not take alike is deleted again."""
        differences = []
        for name, data in corpus():
            request = Request(f"POST /instances {readable(name)}", "POST", "/instances", data)
            answers = self.answers(request)
            found = compare(request, *answers)
            differences += found
            new = [answer for answer in answers if is_new(answer)]
            if not found and new:
                self.keep(name, data, answers[0].json())
            elif found:
                for server, answer in zip((self.ours, self.theirs), answers, strict=True):
                    if answer in new:
                        server.delete(answer.json()["Path"])
        return differences

    def keep(self, name, data, answer):
        one = stored(readable(name), answer)
        self.held.append(one)
        for resource in one.ids.values():
            self.names.setdefault(resource, one.name)
        found = identity(pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True, force=True))
        IDENTIFIERS[one.ids["instances"]] = dict(
            zip(("patients", "studies", "series", "instances"), found, strict=True)
        )

    def collections(self):
        """Return which collections of files were sent."""
        return set(collections())

    def all_differences(self):
        return [difference for found in self.differences.values() for difference in found]

    def summary(self):
        return (
            f"{self.asked:,} requests over {len(self.held)} instances, "
            f"{len(self.all_differences()):,} differences"
        )


def ask(server, request):
    try:
        return server.request(
            request.method, request.path, content=request.body, headers=request.headers
        )
    except httpx.TransportError as error:
        raise AssertionError(f"{request.name} at {server.base_url}: {error!r}") from error


def named_in(answer, wanted):
    """Return the id that an answer has under a name, or of the only resource of that type in it."""
    if wanted in answer:
        return answer[wanted]
    (found,) = (one["ID"] for one in answer["Resources"] if one["Type"] == wanted)
    return found


def is_new(answer):
    return answer.status_code == 200 and answer.json()["Status"] == "Success"

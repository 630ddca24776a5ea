"""What a server should refuse: unknown ids, unknown routes, methods that a route has not."""

from support_compare import Request
from support_requests import ABOVE, BELOW, LEVELS, NO_SUCH_ID, get

TOOLS = ("/tools/find", "/tools/lookup", "/tools/count-resources")


def refused(held):
    one = held[0]
    for level in LEVELS:
        for wrong in (
            NO_SUCH_ID,
            "not-an-id",
            "%20",
            one.ids["instances" if level != "instances" else "series"],
        ):
            name = wrong if wrong != one.ids["instances"] else "{an instance}"
            name = name if wrong != one.ids["series"] else "{a series}"
            tails = ["", "/statistics", "/metadata", "/metadata?expand", "/nothing"]
            tails += [f"/{other}" for other in (*ABOVE[level], *BELOW[level])]
            if level == "instances":
                tails += [
                    "/file",
                    "/tags",
                    "/simplified-tags",
                    "/header",
                    "/content",
                    "/content/PatientName",
                ]
            for tail in tails:
                yield get(f"/{level}/{wrong}{tail}", f"/{level}/{name}{tail}")
            yield Request(f"DELETE /{level}/{name}", "DELETE", f"/{level}/{wrong}")
    for path in ("/nothing", "/tools/nothing", "/instances/a/b/c/d", "/Patients", "/system/x"):
        for method in ("GET", "POST", "PUT", "DELETE"):
            yield Request(
                f"{method} {path}", method, path, b"{}" if method in ("POST", "PUT") else None
            )
    routes = ["/system", "/statistics", "/changes", *TOOLS, *(f"/{level}" for level in LEVELS)]
    for path in routes:
        for method in ("PUT", "PATCH", "OPTIONS", "HEAD"):
            yield Request(
                f"{method} {path}", method, path, b"{}" if method in ("PUT", "PATCH") else None
            )
    for path in ("/system", "/statistics", "/patients", "/studies", "/series"):
        yield Request(f"POST {path}", "POST", path, b"{}")
    for path in TOOLS:
        yield get(path)
    for path in ("/system", "/statistics", "/patients", "/instances", *TOOLS):
        yield Request(f"DELETE {path}", "DELETE", path)
    for method in ("POST", "PUT", "PATCH", "HEAD"):
        for tail in ("", "/file", "/tags", "/study", "/header", "/content", "/statistics"):
            body = b"{}" if method != "HEAD" else None
            yield Request(f"{method} /instances/{{{one.name}}}{tail}", method,
                          f"/instances/{one.ids['instances']}{tail}", body)  # fmt: skip

"""Views of levels: tags of modules, tags that instances share, and those of each instance."""

from support_requests import LEVELS, distinct, of

FORMS = ("", "?simplify", "?short", "?ignore-length=PatientComments,ImageComments")


def modules(held):
    for level in LEVELS:
        # Of several instances each server takes one, not always the same.
        times = [one.ids[level] for one in held]
        for one in [one for one in held if times.count(one.ids[level]) == 1][::5]:
            for form in FORMS:
                yield of(level, one, f"/module{form}")
            if level == "studies":
                yield of(level, one, "/module-patient")
                yield of(level, one, "/module-patient?simplify")
        yield of(level, held[0], "/module-patient")


def shared(held):
    for level in ("patients", "studies", "series"):
        for one in distinct(level, held)[::5]:
            yield of(level, one, "/shared-tags")
            yield of(level, one, "/shared-tags?simplify")
            yield of(level, one, "/instances-tags?short")
        one = held[0]
        for form in FORMS[1:]:
            yield of(level, one, f"/shared-tags{form}")
            yield of(level, one, f"/instances-tags{form}")

"""Routes of remote nodes, of what they are asked for, and of what is taken from them.

Their modules are imported by the first request that needs them.
"""

from __future__ import annotations

from vna.rest.describe import (
    DICOM,
    EXPAND,
    JSON,
    LIMIT,
    SHORT,
    SIMPLIFY,
    TEXT,
    Body,
    Entry,
    Parameter,
    answer,
)
from vna.rest.workflow_routes import imported_on_use

EMPTY = answer("Text", media_type=TEXT)
AFTER = Parameter("since", "number", "the number of the last entry that is known already")
LAST = Parameter("last", "flag", "only the last entry")
FORMS = (SIMPLIFY, SHORT)
STARTED = answer("JobOrResult", "What the job did; or at once, if asked so, its id and path")


def modality_routes() -> list[Entry]:
    """Return what there is of modalities."""
    one = "/modalities/{id}"
    entries = [
        Entry(
            "GET",
            "/modalities",
            imported_on_use("modalities.listed"),
            "Remote nodes: their names, or what is known of them",
            answer("Modalities"),
            (EXPAND,),
        ),
        Entry(
            "GET",
            one,
            imported_on_use("modalities.operations"),
            "What can be asked of a remote node",
            answer("Names"),
        ),
        Entry(
            "PUT",
            one,
            imported_on_use("modalities.put"),
            "Add or change a remote node",
            EMPTY,
            body=Body({JSON: "ModalityBody"}, "An object; or AET, host, port and manufacturer"),
            refusals=(507,),
        ),
        Entry(
            "DELETE",
            one,
            imported_on_use("modalities.remove"),
            "Forget a remote node",
            EMPTY,
            refusals=(507,),
        ),
        Entry(
            "GET",
            f"{one}/configuration",
            imported_on_use("modalities.configuration"),
            "What is known of a remote node",
            answer("Modality"),
        ),
        Entry(
            "POST",
            f"{one}/echo",
            imported_on_use("modalities.echo"),
            "Test a remote node",
            answer("Done"),
            body=Body({JSON: "Echo"}, "How to test it; may be empty"),
        ),
        Entry(
            "POST",
            "/tools/dicom-echo",
            imported_on_use("modalities.echo_any"),
            "Test a node that need not be known",
            answer("Done"),
            body=Body({JSON: "EchoAny"}, "The node, and how to test it"),
        ),
        Entry(
            "POST",
            f"{one}/store",
            imported_on_use("modalities.store"),
            "Send resources to a remote node",
            STARTED,
            body=Body({JSON: "Send", TEXT: "Text"}, "An id, a list of ids, or an object"),
            refusals=(507,),
        ),
        Entry(
            "POST",
            f"{one}/store-straight",
            imported_on_use("modalities.store_straight"),
            "Send a file to a remote node without storing it here",
            answer("SentFile"),
            body=Body({DICOM: "Bytes"}, "A DICOM file"),
        ),
        Entry(
            "POST",
            f"{one}/procedure-steps",
            imported_on_use("modalities.create_step"),
            "Tell a remote node that a procedure step has begun",
            answer("Referenced"),
            body=Body({JSON: "WorklistItem"}, "The attributes of the step"),
        ),
        Entry(
            "PUT",
            f"{one}/procedure-steps/{{uid}}",
            imported_on_use("modalities.change_step"),
            "Tell a remote node of a change of a procedure step, or of its end",
            answer("Done"),
            body=Body({JSON: "WorklistItem"}, "The attributes that changed"),
        ),
        Entry(
            "POST",
            f"{one}/storage-commitment",
            imported_on_use("modalities.storage_commitment"),
            "Ask a remote node to commit itself to instances",
            answer("Begun"),
            body=Body({JSON: "Commit"}, "Resources, or SOP classes with instances"),
            refusals=(507,),
        ),
        Entry(
            "POST",
            f"{one}/query",
            imported_on_use("modalities.query"),
            "Ask a remote node what it has",
            answer("Begun"),
            body=Body({JSON: "RemoteQuery"}, "Level, and keys with what they must match"),
            refusals=(507,),
        ),
        Entry(
            "POST",
            f"{one}/find-worklist",
            imported_on_use("modalities.find_worklist"),
            "Worklist items of a remote node",
            answer("RemoteFound"),
            body=Body({JSON: "Keys"}, "Keys with what they must match; may be in Query"),
        ),
    ]
    for service, text in {
        "move": "Let a remote node send resources to us, or to another",
        "get": "Fetch resources from a remote node over one association",
    }.items():
        entries.append(
            Entry(
                "POST",
                f"{one}/{service}",
                imported_on_use(f"modalities.{service}"),
                text,
                STARTED,
                body=Body({JSON: "Retrieve"}, "Level, and the unique keys of each resource"),
                refusals=(507,),
            )
        )
    for name, text in {
        "patient": "Patients of a remote node",
        "study": "Studies of a patient of a remote node",
        "series": "Series of a study of a remote node",
        "instance": "Instances of a series of a remote node",
    }.items():
        plural = {"patient": "patients", "study": "studies", "instance": "instances"}
        entries.append(
            Entry(
                "POST",
                f"{one}/find-{name}",
                imported_on_use(f"modalities.find_{plural.get(name, name)}"),
                f"{text}; superseded by /query",
                answer("RemoteFound"),
                body=Body({JSON: "Keys"}, "Keys with what they must match"),
            )
        )
    entries.append(
        Entry(
            "POST",
            f"{one}/find",
            imported_on_use("modalities.find_all"),
            "Patients of a remote node with their studies and series; superseded by /query",
            answer("RemoteFound"),
            body=Body({JSON: "Keys"}, "Keys with what they must match"),
        )
    )
    return entries


def query_routes() -> list[Entry]:
    """Return what there is of queries."""
    one = "/queries/{id}"
    of_answer = f"{one}/answers/{{index}}"
    entries = [
        Entry(
            "GET",
            "/queries",
            imported_on_use("queries.listed"),
            "Queries of remote nodes",
            answer("Names"),
        ),
        Entry(
            "GET",
            one,
            imported_on_use("queries.operations"),
            "What there is of a query",
            answer("Names"),
        ),
        Entry(
            "DELETE",
            one,
            imported_on_use("queries.remove"),
            "Forget a query",
            EMPTY,
            refusals=(507,),
        ),
        Entry(
            "GET",
            f"{one}/answers",
            imported_on_use("queries.answers"),
            "Numbers of its answers, or what they say",
            answer("RemoteAnswers"),
            (EXPAND, *FORMS),
        ),
        Entry(
            "GET",
            of_answer,
            imported_on_use("queries.answer_operations"),
            "What there is of an answer",
            answer("Names"),
            refusals=(400,),
        ),
        Entry(
            "GET",
            f"{of_answer}/content",
            imported_on_use("queries.content"),
            "What an answer says",
            answer("Tags"),
            FORMS,
        ),
        Entry(
            "GET",
            f"{one}/level",
            imported_on_use("queries.level"),
            "The level that was asked for",
            EMPTY,
        ),
        Entry(
            "GET",
            f"{one}/modality",
            imported_on_use("queries.modality"),
            "The remote node that was asked",
            EMPTY,
        ),
        Entry(
            "GET",
            f"{one}/query",
            imported_on_use("queries.keys"),
            "What was asked for",
            answer("Tags"),
            FORMS,
        ),
    ]
    fetched = Body({JSON: "RetrieveAnswers", TEXT: "Text"}, "An AE title, or an object; or empty")
    for path, name, text in (
        (one, "retrieve_all", "Fetch all that was found"),
        (of_answer, "retrieve_one", "Fetch what an answer names"),
    ):
        entries.append(
            Entry(
                "POST",
                f"{path}/retrieve",
                imported_on_use(f"queries.{name}"),
                text,
                STARTED,
                body=fetched,
                refusals=(507,),
            )
        )
    return entries + [
        Entry(
            "POST",
            f"{of_answer}/query-{below}",
            imported_on_use(f"queries.query_{below}"),
            f"Ask the remote node for the {below} below an answer",
            answer("Begun"),
            body=Body({JSON: "QueryBelow"}, "Further keys"),
            refusals=(507,),
        )
        for below in ("studies", "series", "instances")
    ]


ACCEPTANCE = [
    Entry(
        "GET",
        "/tools/accepted-transfer-syntaxes",
        imported_on_use("acceptance.transfer_syntaxes"),
        "Transfer syntaxes in which instances are taken over DICOM",
        answer("Names"),
    ),
    Entry(
        "PUT",
        "/tools/accepted-transfer-syntaxes",
        imported_on_use("acceptance.set_transfer_syntaxes"),
        "Take instances in these alone, until the next start",
        answer("Names"),
        body=Body({JSON: "Names", TEXT: "Text"}, "UIDs, with * and ? as wildcards"),
    ),
    Entry(
        "GET",
        "/tools/accepted-sop-classes",
        imported_on_use("acceptance.sop_classes"),
        "Storage SOP classes of the standard that are taken over DICOM",
        answer("Names"),
    ),
    Entry(
        "GET",
        "/tools/unknown-sop-class-accepted",
        imported_on_use("acceptance.unknown_sop_classes"),
        "1 if SOP classes are taken that the standard does not name",
        EMPTY,
    ),
    Entry(
        "PUT",
        "/tools/unknown-sop-class-accepted",
        imported_on_use("acceptance.set_unknown_sop_classes"),
        "Take SOP classes that the standard does not name, or not, until the next start",
        EMPTY,
        body=Body({TEXT: "Text"}, "true or false"),
    ),
    Entry(
        "GET",
        "/exports",
        imported_on_use("exports.listed"),
        "What was sent to remote nodes, if that is recorded",
        answer("Exports"),
        (AFTER, LIMIT, LAST),
    ),
    Entry(
        "DELETE",
        "/exports",
        imported_on_use("exports.clear"),
        "Forget what was sent",
        EMPTY,
        refusals=(507,),
    ),
]

ROUTES = [*modality_routes(), *query_routes(), *ACCEPTANCE]

"""Shapes of the JSON that the interface takes and gives, as JSON schemas by name.

Objects say which members are always there and leave room for more: clients must do so too, and
Orthanc's have come in time.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

PUBLIC_ID: Schema = {
    "type": "string",
    "pattern": "^[0-9a-f]{8}(-[0-9a-f]{8}){4}$",
    "description": "SHA-1 over the identifiers down to this level",
}
STAMP: Schema = {"type": "string", "pattern": "^[0-9]{8}T[0-9]{6}$"}
MOMENT: Schema = {"type": "string", "pattern": r"^[0-9]{8}T[0-9]{6}\.[0-9]{6}$"}
TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
FLAG: Schema = {"type": "boolean"}
# Sizes are text: programs that read every number as a double would lose the last digits.
SIZE: Schema = {"type": "string", "pattern": "^[0-9]+$"}
BY_NAME: Schema = {"type": "object", "additionalProperties": TEXT}
BY_KEYWORD: Schema = {"type": "object", "description": "Tags by keyword or number, with values"}
WORKLIST_STATUS: Schema = {"enum": ["SCHEDULED", "IN PROGRESS", "COMPLETED", "DISCONTINUED"]}


def reference(name: str) -> Schema:
    """Return a reference to the schema of that name."""
    return {"$ref": f"#/components/schemas/{name}"}


def array(items: Schema) -> Schema:
    """Return the schema of a list of `items`."""
    return {"type": "array", "items": items}


def record(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    """Return the schema of an object with these members."""
    return {
        "type": "object",
        "required": sorted(required),
        "properties": required | (optional or {}),
    }


def orthanc_type(name: str) -> Schema:
    """Return the schema of the member that tells what a resource is."""
    return {"const": name}


SIZES = ("DicomDisk", "DicomUncompressed", "Disk", "Uncompressed")
LEVELS = ["Patient", "Study", "Series", "Instance"]
TAGS: Schema = {
    "type": "object",
    "additionalProperties": {"anyOf": [TEXT, reference("Tag")]},
}
# With `response-content`, an object has the members that were asked for.
COMMON = {"Labels": array(TEXT), "MainDicomTags": TAGS, "Metadata": BY_NAME}
PARENT = {"IsStable": FLAG, "LastUpdate": STAMP}


def resource(name: str, optional: dict[str, Schema]) -> Schema:
    """Return the schema of the object of a resource."""
    return record({"ID": PUBLIC_ID, "Type": orthanc_type(name)}, {**COMMON, **optional})


RESOURCES: dict[str, Schema] = {
    "Patient": resource("Patient", {**PARENT, "IsProtected": FLAG, "Studies": array(PUBLIC_ID)}),
    "Study": resource(
        "Study",
        {
            **PARENT,
            "ParentPatient": PUBLIC_ID,
            "PatientMainDicomTags": TAGS,
            "Series": array(PUBLIC_ID),
        },
    ),
    "Series": resource(
        "Series",
        {
            **PARENT,
            "ParentStudy": PUBLIC_ID,
            "Instances": array(PUBLIC_ID),
            "ExpectedNumberOfInstances": {"type": ["integer", "null"]},
            "Status": {"enum": ["Unknown", "Missing", "Inconsistent", "Complete"]},
        },
    ),
    "Instance": resource(
        "Instance",
        {
            "ParentSeries": PUBLIC_ID,
            "FileSize": COUNT,
            "FileUuid": TEXT,
            "IndexInSeries": {"type": ["integer", "null"]},
        },
    ),
}

SWITCHES = dict.fromkeys(("Asynchronous", "Permissive", "Synchronous"), FLAG)
JOB_SWITCHES: dict[str, Schema] = {**SWITCHES, "Priority": {"type": "integer"}, "UserData": {}}
TIMEOUT: Schema = {"type": "number", "minimum": 0, "description": "Seconds; 0: as configured"}
KEYS: Schema = {"type": "object", "description": "Names or numbers of tags"}
NODE = {
    **dict.fromkeys(("AllowEcho", "AllowFind", "AllowFindWorklist", "AllowGet", "AllowMove"), FLAG),
    **dict.fromkeys(("AllowMpps", "AllowNAction", "AllowEventReport", "AllowStore"), FLAG),
    **dict.fromkeys(("AllowTranscoding", "UseDicomTls"), FLAG),
    **dict.fromkeys(("LocalAet", "Manufacturer", "RetrieveMethod"), TEXT),
    "Parallel": COUNT,
    "Timeout": TIMEOUT,
}
ADDRESS: dict[str, Schema] = {"AET": TEXT, "Host": TEXT, "Port": {"type": "integer"}}
CALLED = {"LocalAet": TEXT, "Timeout": TIMEOUT}
ECHO = {"CheckFind": FLAG, **CALLED}
AS_ARCHIVE: dict[str, Schema] = {
    **JOB_SWITCHES,
    "Filename": TEXT,
    "LossyQuality": {"type": "integer", "minimum": 1, "maximum": 100},
    "Transcode": {"type": "string", "description": "UID of a transfer syntax"},
    "Utf8": FLAG,
}
AS_MEDIA: dict[str, Schema] = {**AS_ARCHIVE, "Extended": FLAG}
# ZIP archives and media.
ARCHIVES: dict[str, Schema] = {
    "ArchiveBody": record({}, AS_ARCHIVE),
    "MediaBody": record({}, AS_MEDIA),
    "ArchiveOfBody": {
        "anyOf": [array(PUBLIC_ID), record({"Resources": array(PUBLIC_ID)}, AS_MEDIA)]
    },
    "JobStarted": record({"ID": TEXT, "Path": TEXT}),
}
# Remote nodes.
REMOTE: dict[str, Schema] = {
    "Modality": record({**ADDRESS, **NODE}),
    "ModalityBody": {
        "anyOf": [
            record(ADDRESS, {**NODE, "AllowStorageCommitment": FLAG}),
            {"type": "array", "minItems": 3, "maxItems": 4},
        ]
    },
    "Modalities": {
        "anyOf": [
            array(TEXT),
            {"type": "object", "additionalProperties": reference("Modality")},
        ]
    },
    "Echo": record({}, ECHO),
    "EchoAny": {
        "anyOf": [
            record(ADDRESS, {**NODE, **ECHO}),
            {"type": "array", "minItems": 3, "maxItems": 4},
        ]
    },
    "Send": {
        "anyOf": [
            TEXT,
            array(TEXT),
            record(
                {"Resources": array(TEXT)},
                {
                    **JOB_SWITCHES,
                    **CALLED,
                    **dict.fromkeys(("CalledAet", "Host", "MoveOriginatorAet"), TEXT),
                    **dict.fromkeys(("MoveOriginatorID", "Port"), COUNT),
                    "StorageCommitment": FLAG,
                },
            ),
        ]
    },
    "SentFile": record({"SOPClassUID": TEXT, "SOPInstanceUID": TEXT}),
    "Commit": record(
        {}, {"Resources": array(TEXT), "DicomInstances": {"type": "array"}, "Timeout": TIMEOUT}
    ),
    "Begun": record({"ID": TEXT, "Path": TEXT}),
    "JobOrResult": {"type": "object"},
    "RemoteQuery": record({"Level": TEXT}, {"Query": KEYS, "Normalize": FLAG, **CALLED}),
    "QueryBelow": record({}, {"Query": KEYS, "Timeout": TIMEOUT}),
    "Keys": KEYS,
    "RemoteFound": array({"type": "object"}),
    "RemoteAnswers": {"anyOf": [array(TEXT), array(reference("Tags"))]},
    "Retrieve": record(
        {"Level": TEXT, "Resources": array(KEYS)}, {"TargetAet": TEXT, **CALLED, **JOB_SWITCHES}
    ),
    "RetrieveAnswers": record(
        {},
        {
            **dict.fromkeys(("RetrieveMethod", "TargetAet"), TEXT),
            **dict.fromkeys(("Full", "Simplify"), FLAG),
            "Timeout": TIMEOUT,
            **JOB_SWITCHES,
        },
    ),
    "Peer": record(
        {
            "HttpHeaders": array(TEXT),
            "Parallel": COUNT,
            "Pkcs11": FLAG,
            "Timeout": TIMEOUT,
            "Url": TEXT,
        },
        {"CertificateFile": TEXT, "Username": TEXT},
    ),
    "PeerBody": {
        "anyOf": [
            record(
                {"Url": TEXT},
                {
                    **dict.fromkeys(("Username", "Password"), TEXT),
                    **dict.fromkeys(("CertificateFile", "CertificateKeyFile"), TEXT),
                    "CertificateKeyPassword": TEXT,
                    "HttpHeaders": BY_NAME,
                    "Parallel": COUNT,
                    "Timeout": TIMEOUT,
                },
            ),
            {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 3},
        ]
    },
    "Peers": {
        "anyOf": [array(TEXT), {"type": "object", "additionalProperties": reference("Peer")}]
    },
    "PeerSend": {
        "anyOf": [
            TEXT,
            array(TEXT),
            record(
                {"Resources": array(TEXT)}, {**JOB_SWITCHES, "Compress": FLAG, "Transcode": TEXT}
            ),
        ]
    },
    "Exports": record(
        {"Done": FLAG, "Last": COUNT, "Exports": array({"type": "object"})}, {"First": COUNT}
    ),
}
DATA_URI: Schema = {"type": "string", "description": "data:image/png;base64,..."}
CREATE: dict[str, Schema] = {
    "Tags": BY_KEYWORD,
    "Content": {
        "anyOf": [
            {"type": "null"},
            DATA_URI,
            array({"anyOf": [DATA_URI, record({"Content": DATA_URI}, {"Tags": BY_KEYWORD})]}),
        ]
    },
    "Parent": {"type": ["string", "null"], "description": "Id of a patient, study or series"},
    "PrivateCreator": TEXT,
    **dict.fromkeys(("Encapsulate", "Force", "InterpretBinaryTags"), FLAG),
}
SYNTAX: Schema = {"type": ["string", "null"], "description": "UID of a transfer syntax"}
RECIPE: dict[str, Schema] = {
    "Replace": BY_KEYWORD,
    "Remove": array(TEXT),
    "Keep": array(TEXT),
    "PrivateCreator": {"type": ["string", "null"]},
    "Transcode": SYNTAX,
    "LossyQuality": {"type": "integer", "minimum": 1, "maximum": 100},
    **dict.fromkeys(("Force", "KeepLabels", "KeepSource"), FLAG),
    **JOB_SWITCHES,
}
MODIFY = {**RECIPE, "RemovePrivateTags": FLAG}
ANONYMIZE = {
    **RECIPE,
    "DicomVersion": TEXT,
    "KeepPrivateTags": FLAG,
    "Options": {**array(TEXT), "description": "Options of PS3.15 §E.3, such as RetainUIDs"},
}
BULK = {"Level": {"enum": ["Patient", "Study", "Series", "Instance"]}}
CHOSEN = {"Resources": array(TEXT)}
MOVED: dict[str, Schema] = {"KeepSource": FLAG, **JOB_SWITCHES}
CHANGES: dict[str, Schema] = {
    "Modify": record({}, MODIFY),
    "Anonymize": record({}, ANONYMIZE),
    "BulkModify": record(CHOSEN, MODIFY | BULK),
    "BulkAnonymize": record(CHOSEN, ANONYMIZE | BULK),
    "Merge": record(CHOSEN, MOVED),
    "Split": record(
        {},
        {
            "Series": array(TEXT),
            "Instances": array(TEXT),
            "Replace": BY_KEYWORD,
            "Remove": array(TEXT),
            "KeepLabels": FLAG,
            **MOVED,
        },
    ),
}
SCHEMAS: dict[str, Schema] = {
    **CHANGES,
    "Any": {},
    "Bytes": {},  # in OpenAPI 3.1, what is no JSON has no schema
    "Text": TEXT,
    "LogLevel": {"enum": ["default", "verbose", "trace"]},
    "BulkDelete": record(
        {
            "Resources": array(
                {
                    "anyOf": [
                        TEXT,
                        record(
                            {
                                "Level": {"enum": ["Patient", "Study", "Series", "Instance"]},
                                "ID": TEXT,
                            }
                        ),
                    ]
                }
            )
        }
    ),
    "LabelList": array(TEXT),
    "Names": array(TEXT),
    "Flag": {"enum": ["0", "1"]},
    "AttachmentList": {"anyOf": [array(TEXT), {"type": "object", "additionalProperties": COUNT}]},
    "AttachmentInfo": record(
        {
            "CompressedMD5": TEXT,
            "CompressedSize": COUNT,
            "ContentType": COUNT,
            "UncompressedMD5": TEXT,
            "UncompressedSize": COUNT,
            "Uuid": TEXT,
        }
    ),
    "Numbers": array(COUNT),
    "OrderedSlices": record(
        {
            "Dicom": array(TEXT),
            "Slices": array(TEXT),
            "SlicesShort": array({"type": "array"}),
            "Type": {"enum": ["Volume", "Sequence"]},
        }
    ),
    "DicomJson": {"type": "object", "description": "PS3.18 Annex F"},
    "TagsById": {"type": "object", "additionalProperties": reference("Tags")},
    **RESOURCES,
    **{
        f"{level}List": {
            "oneOf": [
                {**array(PUBLIC_ID), "minItems": 1},
                {**array(reference(level)), "minItems": 1},
                {"type": "array", "maxItems": 0},
            ]
        }
        for level in LEVELS
    },
    "Ancestor": record(
        {"ID": PUBLIC_ID, "Path": TEXT, "Type": {"enum": LEVELS[:-1]}},
    ),
    "Deleted": record({"RemainingAncestor": {"oneOf": [{"type": "null"}, reference("Ancestor")]}}),
    "Metadata": {
        "description": "Names; with `numeric` numbers; with `expand` values by them",
        "anyOf": [array(TEXT), array(COUNT), BY_NAME],
    },
    "ResourceStatistics": record(
        {
            **{f"{kind}Size": SIZE for kind in SIZES},
            **{f"{kind}SizeMB": COUNT for kind in SIZES},
        },
        {f"Count{level}": COUNT for level in ("Studies", "Series", "Instances")},
    ),
    "Find": record(
        {"Level": {"enum": LEVELS}, "Query": BY_NAME},
        {
            **dict.fromkeys(("Expand", "Short", "Full", "CaseSensitive"), FLAG),
            **dict.fromkeys(("Since", "Limit"), COUNT),
            **{f"Parent{level}": TEXT for level in LEVELS[:-1]},
            **{name: array(TEXT) for name in ("Labels", "RequestedTags", "ResponseContent")},
            "LabelsConstraint": {"enum": ["All", "Any", "None"]},
            "MetadataQuery": BY_NAME,
            "OrderBy": array(
                record(
                    {
                        "Type": {
                            "enum": [
                                of + how
                                for of in ("DicomTag", "Metadata")
                                for how in ("", "AsInt", "AsFloat")
                            ]
                        },
                        "Key": TEXT,
                        "Direction": {"enum": ["ASC", "DESC"]},
                    }
                )
            ),
        },
    ),
    "Found": {
        "oneOf": [
            {**array(PUBLIC_ID), "minItems": 1},
            {**array(record({"ID": PUBLIC_ID, "Type": {"enum": LEVELS}})), "minItems": 1},
            {"type": "array", "maxItems": 0},
        ]
    },
    "Count": record({"Count": COUNT}),
    "LookedUp": array(
        record({"ID": PUBLIC_ID, "Path": TEXT, "Type": {"enum": LEVELS}}),
    ),
    "Deletions": array(
        record(
            {
                "Deletion": COUNT,
                "ID": PUBLIC_ID,
                "Type": {"enum": LEVELS},
                "Deleted": STAMP,
                "Until": STAMP,
                "Instances": COUNT,
                "Bytes": COUNT,
                "MainDicomTags": BY_NAME,
            }
        )
    ),
    "BulkContentRequest": record(
        {"Resources": array(TEXT)},
        {"Level": {"enum": LEVELS}, "Metadata": FLAG, "Short": FLAG, "Full": FLAG},
    ),
    "BulkContent": array({"oneOf": [reference(level) for level in LEVELS]}),
    "Reconstruct": record({}, {"ReconstructFiles": FLAG, "LimitToThisLevelMainDicomTags": FLAG}),
    "IndexTags": array(
        record(
            {
                "Level": {"enum": LEVELS},
                "Tag": TEXT,
                "Name": TEXT,
                "Configured": FLAG,
                "Filled": COUNT,
                "Due": COUNT,
            }
        )
    ),
    "IndexTagRequest": record({"Tag": TEXT}, {"Level": {"enum": LEVELS}}),
    "IndexTagAdded": record(
        {"ID": {"type": ["string", "null"]}, "Path": {"type": ["string", "null"]}}
    ),
    "Undelete": record({"Resources": array(TEXT)}),
    "Undeleted": record(
        {
            "Restored": COUNT,
            "Present": COUNT,
            "Versions": COUNT,
            "Unknown": array(TEXT),
            "Problems": array(TEXT),
        }
    ),
    "Erase": record({}, {"Resources": array(TEXT), "All": FLAG}),
    "Erased": record({"Erased": COUNT, "Unknown": array(TEXT)}),
    "Compact": record({}, {"BelowPercent": {"type": "integer", "minimum": 1, "maximum": 100}}),
    "Compacted": array(
        record({"Pack": TEXT, "BytesBefore": COUNT, "BytesAfter": COUNT}, {"Problem": TEXT})
    ),
    "Recompress": record(
        {},
        {
            "Method": {"enum": ["htj2k", "jpeg-ls", "j2k", "rle", "deflate"]},
            "OlderThanDays": {"type": "integer", "minimum": 0, "maximum": 36500},
            "DryRun": FLAG,
            "GiveUpOriginals": FLAG,
            "Lossy": FLAG,
            "After": COUNT,
            "Run": {"type": ["integer", "null"], "minimum": 1},
        },
    ),
    "GivenUp": record(
        {
            "Runs": array(
                record(
                    {
                        **dict.fromkeys(("Run", "OlderThanDays", "Files", "Replaced"), COUNT),
                        **dict.fromkeys(("BytesBefore", "BytesAfter"), COUNT),
                        **dict.fromkeys(("Began", "Last"), MOMENT),
                        **dict.fromkeys(("User", "WayIn", "Address", "Method"), TEXT),
                        **dict.fromkeys(("Ended", "Lossy"), FLAG),
                    }
                )
            ),
            **dict.fromkeys(("Objects", "BytesReceived", "BytesKept"), COUNT),
        }
    ),
    "Recompressed": record(
        {
            "Files": COUNT,
            "Recompressed": COUNT,
            "BytesBefore": COUNT,
            "BytesAfter": COUNT,
            "SampledBefore": COUNT,
            "SampledAfter": COUNT,
            "Microseconds": COUNT,
            "At": COUNT,
            "End": COUNT,
            "Next": {"type": ["integer", "null"]},
        },
        {"Problem": TEXT, "Run": COUNT},
    ),
    "Stored": record(
        {
            "ID": PUBLIC_ID,
            "ParentPatient": PUBLIC_ID,
            "ParentStudy": PUBLIC_ID,
            "ParentSeries": PUBLIC_ID,
            "Path": TEXT,
            "Status": {"enum": ["Success", "AlreadyStored", "FilteredOut", "Failure"]},
        },
        # The same UID was there with other content, or is below another parent too.
        {"Conflict": {"enum": ["Content", "Parent"]}},
    ),
    "CreateDicom": {"type": "object", "properties": CREATE},
    "Created": {
        "anyOf": [
            reference("Stored"),
            record({"ID": PUBLIC_ID, "Path": TEXT, "Status": {"const": "Success"}}),
        ]
    },
    "NotStored": record(
        {"Status": {"enum": ["Failure", "Skipped"]}, "Name": TEXT, "Code": TEXT, "Details": TEXT}
    ),
    "Uploaded": {
        "oneOf": [
            reference("Stored"),
            array({"anyOf": [reference("Stored"), reference("NotStored")]}),
        ]
    },
    "Tag": record(
        {
            "Name": TEXT,
            "Type": {"enum": ["String", "Sequence", "Null", "TooLong", "Binary"]},
            "Value": {"oneOf": [TEXT, {"type": "null"}, array(reference("Tags"))]},
        },
        {"PrivateCreator": TEXT},
    ),
    "Tags": {
        "description": "Tags by number; with `short` or `simplify` their values only",
        "type": "object",
        "additionalProperties": {"anyOf": [reference("Tag"), reference("TagValue")]},
    },
    "TagValue": {"oneOf": [TEXT, {"type": "null"}, array(reference("SimplifiedTags"))]},
    "SimplifiedTags": {"type": "object", "additionalProperties": reference("TagValue")},
    "Change": record(
        {
            "ChangeType": TEXT,
            "Date": STAMP,
            "ID": PUBLIC_ID,
            "Path": TEXT,
            "ResourceType": {"enum": LEVELS},
            "Seq": COUNT,
        }
    ),
    "Changes": record({"Changes": array(reference("Change")), "Done": FLAG, "Last": COUNT}),
    "Statistics": record(
        {
            **{f"Count{level}": COUNT for level in ("Patients", "Studies", "Series", "Instances")},
            **{f"Total{kind}Size": SIZE for kind in ("Disk", "Uncompressed")},
            **{f"Total{kind}SizeMB": COUNT for kind in ("Disk", "Uncompressed")},
        }
    ),
    "System": record(
        {
            "ApiVersion": COUNT,
            "DicomAet": TEXT,
            "DicomPort": COUNT,
            "HttpPort": COUNT,
            "MainDicomTags": BY_NAME,
            "Name": TEXT,
            "Version": TEXT,
            "VnaVersion": TEXT,
        }
    ),
    **REMOTE,
    **ARCHIVES,
    "Done": {"type": "object"},
    "Job": record(
        {
            **dict.fromkeys(("CreationTime", "Timestamp"), MOMENT),
            **dict.fromkeys(("ErrorDescription", "ErrorDetails", "ID", "Type"), TEXT),
            **{key: {"type": "integer"} for key in ("ErrorCode", "Priority")},
            "Content": {"type": "object"},
            "EffectiveRuntime": {"type": "number", "description": "Seconds"},
            "Progress": {"type": "integer", "minimum": 0, "maximum": 100},
            "State": {"enum": ["Pending", "Running", "Success", "Failure", "Paused", "Retry"]},
        },
        {
            **dict.fromkeys(("CompletionTime", "EstimatedTimeOfArrival"), MOMENT),
            "DimseErrorStatus": COUNT,
            "ErrorPayload": {"type": "object"},
            "UserData": {},
        },
    ),
    "JobList": {"anyOf": [array(TEXT), array(reference("Job"))]},
    "WorklistItem": record({"Tags": BY_KEYWORD}),
    "WorklistChange": record({}, {"Tags": BY_KEYWORD, "Status": WORKLIST_STATUS}),
    "WorklistCreated": record({"ID": TEXT, "Path": TEXT}),
    "WorklistEntry": record(
        {
            "ID": TEXT,
            "Status": WORKLIST_STATUS,
            "Tags": {"anyOf": [reference("SimplifiedTags"), reference("Tags")]},
        },
        {"File": {"type": "string", "description": "The worklist file that it came from"}},
    ),
    "Worklist": array(reference("WorklistEntry")),
    "ProcedureStep": record(
        {
            **dict.fromkeys(("CreationTime", "LastUpdate"), STAMP),
            **dict.fromkeys(("AET", "SOPInstanceUID"), TEXT),
            "Status": {"enum": ["IN PROGRESS", "COMPLETED", "DISCONTINUED"]},
            "Tags": reference("SimplifiedTags"),
        }
    ),
    "ProcedureSteps": array(reference("ProcedureStep")),
    "Referenced": record(dict.fromkeys(("SOPClassUID", "SOPInstanceUID"), TEXT)),
    "CommitmentReport": record(
        {
            "Failures": array(reference("Referenced")),
            "RemoteAET": TEXT,
            "Status": {"enum": ["Pending", "Success", "Failure"]},
            "Success": array(reference("Referenced")),
        }
    ),
    "Live": record({"live": FLAG}),
    "Ready": record({"ready": FLAG}),
    "NotReady": {"anyOf": [reference("Ready"), reference("Error")]},
    "Error": record(
        {
            "Code": {"type": "string", "description": "Stays what it is; for programs"},
            "Details": {"type": "string", "description": "What was found, and what was awaited"},
            "HttpError": TEXT,
            "HttpStatus": COUNT,
            "Message": TEXT,
            "Method": TEXT,
            "OrthancError": TEXT,
            "OrthancStatus": {"type": "integer"},
            "Uri": TEXT,
        }
    ),
}

"""What schemathesis has to be told about Keywright: whose key opens which operation, and which refusals of well-formed
requests are right because they are about the state of the installation or about several fields at once."""

import json
import os
import unicodedata

import schemathesis
from schemathesis import GenerationMode

OPERATOR_KEY = os.environ["CONTRACT_OPERATOR_KEY"]
MANAGEMENT_KEY = os.environ["CONTRACT_MANAGEMENT_KEY"]

# Opened by a key of a workspace only.
BY_KEY = ("/v1/usage", "/v1/redact", "/v1/check", "/v1/prompts", "/v1/prompts/get", "/api/v1/", "/v1/prompts/context/")


@schemathesis.auth()
class Credential:
    """Operator or workspace key, in the one header that documents name first."""

    def get(self, case, context):
        path = case.operation.path
        is_by_key = any(path == prefix or (prefix.endswith("/") and path.startswith(prefix)) for prefix in BY_KEY)
        return MANAGEMENT_KEY if is_by_key else OPERATOR_KEY

    def set(self, case, data, context):
        # The two headers are alternatives; both at once are refused.
        case.headers.pop("X-API-Key", None)
        case.headers["Authorization"] = f"Bearer {data}"


# Codes whose cause no schema can state: names that have to exist, places in a list, a header's earlier use.
OF_STATE = {
    "unknown_plan",
    "unknown_permission",
    "invalid_cursor",
    "idempotency_mismatch",
    "password_refused",
    "password_needed",
}
# Fields whose values are refused for how they relate to the clock, to other fields or to the installation.
RELATED = {
    "expires_at": "lies in the past, or further ahead than the workspace's policy allows",
    "limits": "two windows of one name",
    "key_limits": "two windows of one name",
    "workspace_limits": "two windows of one name",
    "min_seq": "beyond the newest change",
    "filter": "an empty filter",
    "from": "after `until`, or too many buckets",
    "external_id": "either it or `key_id` names an account of credits",
    "confirm": "the slug in the path once more",
    "role": "a service account is no Owner",
    "generator": "an empty draft is not published",
    "email": "lower case only",
    "invitations": "e-mail addresses have a form that no pattern here states",
    "url": "the address of a public host, without credentials in it",
    "to": "another one than `from`",
    "allowed_ips": "no format of JSON Schema names addresses and networks of both families",
    "client_ip": "the same of addresses",
    "policy": "the parts of a policy contradict each other",
}


def is_beyond_schemas(problem, case):
    """Whether a refusal is for something that schemas cannot say."""
    field = str(problem.get("field", "")).split(".")[0].split("[")[0]
    if problem["code"] in OF_STATE:
        return True
    if problem["code"] == "invalid_json":
        return "NaN" in str(case.body) or "nan" in str(case.body) or "inf" in str(case.body)
    if problem["code"] not in ("invalid_field", "invalid_query"):
        return False
    if field in RELATED:
        return True
    # `$` of the fuzzer's patterns also matches in front of a line break at the end.
    if "printable" in problem["detail"] or "NUL" in problem["detail"] or field == "slug":
        return any(not text.strip() or any(unicodedata.category(letter) == "Cc" for letter in text) for text in texts(case))
    # 5.0 is an integer for JSON Schema, and a number with a fraction for those who count money.
    return "with a fraction" in problem["detail"]


def texts(case):
    """Every text in the request."""
    found, rest = [], [case.body, case.query, case.path_parameters]
    while rest:
        value = rest.pop()
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, dict):
            rest += list(value.values())
        elif isinstance(value, (list, tuple)):
            rest += list(value)
    return found


@schemathesis.check
def valid_data_is_accepted(ctx, response, case):
    """As the built-in positive_data_acceptance, but judged by the code of the refusal, not by its status alone."""
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return None
    if response.status_code not in (400, 413, 415, 422):
        return None
    problem = json.loads(response.content)
    if is_beyond_schemas(problem, case):
        return None
    raise AssertionError(f"valid data was refused: {problem['code']} {problem.get('field', '')}: {problem['detail']}")


@schemathesis.deserializer("application/octet-stream")
def file(ctx, response):
    """Files are what they are."""
    return response.content

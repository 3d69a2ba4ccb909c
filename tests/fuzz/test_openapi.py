"""Schemathesis against the API document: whatever it makes up, each answer is a documented one, and never a fault."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from exchange.gateway.openapi import document
from tests.fuzz.conftest import Served

MAX_EXAMPLES = 15
"""Of each operation, so that all of them together take seconds."""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]

# A body beyond the bound is refused before anybody looks at what is wrong inside.
CONFIG = SchemathesisConfig.from_dict(
    {"checks": {"negative_data_rejection": {"expected-statuses": [400, 401, 403, 404, 413, 415, 422]}}}
)

schema = schemathesis.openapi.from_dict(json.loads(document()), config=CONFIG)
_turns = count()


@schema.parametrize()
@settings(max_examples=MAX_EXAMPLES, derandomize=True, suppress_health_check=list(HealthCheck))
def test_whatever_is_sent_is_answered_as_documented(case: Case[Any], served: Served) -> None:
    # Every other good request names what is there, so that it gets past the first look-up.
    if case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE and next(_turns) % 2:
        for fields in (case.path_parameters, case.body):
            if isinstance(fields, dict):
                fields.update({name: served.known[name] for name in fields if name in served.known})
    # Waiting for a sequence far ahead ends in a 503, as it must; here it would only take time.
    if str(case.query.get("min_seq", "")).isdecimal():
        case.query["min_seq"] = 0
    headers = {"Authorization": f"Bearer {served.token}"}
    case.call_and_validate(base_url=served.url, headers=headers, checks=CHECKS, timeout=30)

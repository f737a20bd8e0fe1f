"""The API's own description: an OpenAPI 3.1 document, made from the routes and their shapes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, get_type_hints

import msgspec

from homeostat.operate.live import VERSION
from homeostat.web.api.route import JSON, ApiRoute
from homeostat.web.api.shapes import Failure, NoQuery, Ready
from homeostat.web.guard import MEANING, status_of

REFERENCE = "#/components/schemas/{name}"
RESPONSE = "#/components/responses/{}"
SCHEME = "token"
Json = dict[str, Any]


def document(routes: Sequence[ApiRoute]) -> Json:
    """Return the description of these routes."""
    types = [one.answer for one in routes] + [one.body for one in routes if one.body] + [Failure]
    shapes, components = msgspec.json.schema_components(
        types, schema_hook=_anything, ref_template=REFERENCE
    )
    answers = dict(zip((id(one) for one in routes), shapes, strict=False))
    paths: dict[str, Json] = {}
    for one in routes:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, answers[id(one)])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Homeostat",
            "version": VERSION,
            "summary": "The operator's API, on 127.0.0.1 only.",
            "description": "docs/reference/api.md tells who may ask and what errors mean.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {str(one): _response(MEANING[one], Failure) for one in MEANING},
            "securitySchemes": {SCHEME: {"type": "http", "scheme": "bearer"}},
        },
    }


def encoded(routes: Sequence[ApiRoute]) -> bytes:
    """Return the description as indented JSON that ends with a line's end."""
    return msgspec.json.format(msgspec.json.encode(document(routes)), indent=2) + b"\n"


def _anything(kind: type) -> Json:
    """Return the schema of a value of any kind."""
    if kind is object:
        return {"description": "Any value."}
    message = f"{kind} has no description in JSON"
    raise TypeError(message)


def _operation(one: ApiRoute, answer: Json) -> Json:
    made: Json = {
        "operationId": one.name,
        "summary": one.about.split(". ", maxsplit=1)[0].rstrip("."),
        "description": one.about,
        "x-role": one.role,
        "x-errors": sorted(error.__name__ for error in one.all_errors),
        "security": [{SCHEME: []}] if one.role else [],
        "parameters": [*_parameters(one.path_shape, "path"), *_parameters(one.query, "query")],
        "responses": {
            "200": {"description": "Done.", "content": {one.media: {"schema": answer}}},
            **_failures(one),
        },
    }
    if one.body is not None:
        schema = {"$ref": REFERENCE.format(name=one.body.__name__)}
        required = any(field.required for field in msgspec.structs.fields(one.body))
        made["requestBody"] = {"required": required, "content": {JSON: {"schema": schema}}}
    return made


def _parameters(shape: type[msgspec.Struct] | None, place: str) -> Iterable[Json]:
    if shape is None or shape is NoQuery:
        return
    hints = get_type_hints(shape, include_extras=True)
    for field in msgspec.structs.fields(shape):
        schema = msgspec.json.schema(hints[field.name])
        # a parameter that is left away is never null, so only the other type is told
        options = [one for one in schema.get("anyOf", []) if one != {"type": "null"}]
        schema = options[0] if len(options) == 1 else schema
        if not field.required and field.default is not None:
            schema["default"] = field.default
        yield {
            "name": field.name,
            "in": place,
            "required": field.required,
            **({"description": schema.pop("description")} if "description" in schema else {}),
            "schema": schema,
        }


def _failures(one: ApiRoute) -> Json:
    """Return the answers of failures, by status."""
    found = {500, *(status_of(error()) for error in one.all_errors)}
    told: Json = {str(status): {"$ref": RESPONSE.format(status)} for status in sorted(found)}
    if one.answer is Ready:  # that it is not ready is an answer, not a failure
        told["503"] = _response("Not ready.", Ready)
    return told


def _response(about: str, shape: type[msgspec.Struct]) -> Json:
    schema = {"$ref": REFERENCE.format(name=shape.__name__)}
    return {"description": about, "content": {JSON: {"schema": schema}}}

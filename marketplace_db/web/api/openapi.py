"""The OpenAPI 3.1 document, made of the table of routes and of nothing else."""

from __future__ import annotations

from typing import Any

import msgspec

from marketplace_db.accounts import SCOPES, TOKEN_FORM
from marketplace_db.web.api.forms import PageQuery
from marketplace_db.web.api.problem import PROBLEM_TYPE, ProblemDocument
from marketplace_db.web.api.routes import Route
from marketplace_db.web.api.table import BASE, ROUTES

__all__ = ["document", "statuses"]

_REF = "#/components/schemas/{name}"
_REASONS = {
    304: "It is as you have it", 400: "The request cannot be read",
    401: "The token is missing, unknown, over or revoked", 403: "Your token does not allow it",
    404: "There is no such thing", 405: "This method is not for this address",
    409: "It does not fit what is there", 413: "The body is too large",
    415: "The body has another type", 422: "What was handed in is refused",
    429: "Too many requests; Retry-After says when to come back",
    503: "Not possible at the moment",
}  # fmt: skip


def statuses(route: Route) -> tuple[int, ...]:
    """Return the statuses that a route may answer besides that of success."""
    found = {401, 429, 503, *route.problems}
    if route.method == "GET":
        found.add(304)
    if route.query is not None or route.values or route.method == "GET":
        found.add(400)
    cursor = route.query is not None and issubclass(route.query, PageQuery)
    if route.values or cursor:
        found.add(404)
    if route.scope and route.scope != "any":
        found.add(403)
    if route.body is not None:
        found |= {400, 413, 415}
    else:
        found |= {400, 413}
    return tuple(sorted(found))


def document(version: str, server: str = "/") -> dict[str, Any]:
    """Return the document for this version of the program."""
    structs: set[type[msgspec.Struct]] = {ProblemDocument}
    for route in ROUTES:
        structs |= {one for one in (route.query, route.body, route.answer) if isinstance(one, type)}
    _, schemas = msgspec.json.schema_components(
        sorted(structs, key=lambda one: one.__name__), ref_template=_REF
    )
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    for route in ROUTES:  # queries are parameters, no documents
        if route.query is not None:
            schemas.pop(route.query.__name__, None)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tavo marketplace",
            "version": version,
            "description": "Plugins for securing AI systems. What is listed is in the signed"
            " catalog; whoever installs verifies it again.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": server}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http", "scheme": "bearer", "bearerFormat": TOKEN_FORM,
                    "description": "Made by the operator. Scopes: "
                    + "; ".join(f"`{name}` to {text}" for name, text in SCOPES.items()),
                }
            },
        },
        "x-base": BASE,
    }  # fmt: skip


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": [
            *(
                {"name": name, "in": "path", "required": True,
                 "schema": {"type": "string", "pattern": pattern}}
                for name, pattern in route.values.items()
            ),
            *_query(route, schemas),
        ],
        "responses": {
            str(route.status): _success(route),
            **{str(status): _failure(status) for status in statuses(route)},
        },
    }  # fmt: skip
    if route.scope:
        operation["security"] = [{"token": []}]
        operation["x-scope"] = route.scope
    if route.body is not None:
        schema = (
            {"type": "string", "format": "binary"}
            if isinstance(route.body, str)
            else {"$ref": _REF.format(name=route.body.__name__)}
        )
        operation["requestBody"] = {
            "required": True, "content": {route.content_type: {"schema": schema}},
        }  # fmt: skip
    return operation


def _query(route: Route, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    schema = schemas[route.query.__name__]
    required = schema.get("required", [])
    found = []
    for name, one in schema["properties"].items():
        value = dict(one)
        parameter = {"name": name, "in": "query", "required": name in required}
        if "description" in value:
            parameter["description"] = value.pop("description")
        found.append({**parameter, "schema": value})
    return found


def _success(route: Route) -> dict[str, Any]:
    if isinstance(route.answer, str):
        content = {route.answer: {"schema": {"type": "string", "format": "binary"}}}
    else:
        schema = {"$ref": _REF.format(name=route.answer.__name__)}
        content = {"application/json": {"schema": schema}}
    return {"description": "Done", "content": content}


def _failure(status: int) -> dict[str, Any]:
    if status == 304:
        return {"description": _REASONS[304]}
    schema = {"$ref": _REF.format(name=ProblemDocument.__name__)}
    return {"description": _REASONS[status], "content": {PROBLEM_TYPE: {"schema": schema}}}

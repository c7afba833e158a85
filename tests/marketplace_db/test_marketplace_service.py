"""The REST API of a served marketplace, asked over real HTTP as people of three organisations."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from jsonschema import Draft202012Validator

from marketplace_db.errors import QueueFullError
from marketplace_db.intake import Market
from marketplace_db.targets import Targets
from marketplace_db.web.api.openapi import document, statuses
from marketplace_db.web.api.problem import problem_of
from marketplace_db.web.api.routes import CSV, SUBMISSION, Route
from marketplace_db.web.api.table import BASE, ROUTES
from tests.fakes.executed import ENABLED, add_dynamic
from tests.fakes.served import Served, marketplace

ATTACKS = Path(__file__).parents[1] / "attacks" / "web"
MARKUP = (ATTACKS / "markup.txt").read_text().splitlines()
QUERIES = (ATTACKS / "queries.txt").read_text().splitlines()
REACH = quote("acme/reach", safe="")
PROBER = quote("acme/prober", safe="")
MONTH = "2026-11"
COUNTED = r'"downloads":\d+'
NOWHERE = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    operated = marketplace(tmp_path_factory.mktemp("served"), count=6)
    add_dynamic(operated, instead={"a model tell the secret of": "it tell a secret of"})
    opened = Served(operated, more=ENABLED)
    with Market.open(operated.directory) as market:
        for organization in ("acme-corp", "other-corp"):
            Targets(market.connection).add(
                organization, f"{organization}-staging", url="http://127.0.0.1:9/v1",
                description='{"url": "http://127.0.0.1:9/v1"}', now=operated.now,
            )  # fmt: skip
    yield opened
    assert opened.stop() == "ended in order\n"


@pytest.fixture(scope="module")
def submission(served: Served) -> str:
    """A submission of acme-corp that waits."""
    done = served.hand_in("alice", id="waits", name="Waits")
    assert done.status_code == 201, done.text
    return str(done.json()["id"])


@pytest.fixture(scope="module")
def review(served: Served) -> str:
    """A review of bob's that waits to be read."""
    done = served.ask("POST", f"/plugins/{REACH}/reviews", "bob", json={"rating": 4})
    assert done.status_code == 200, done.text
    return str(done.json()["id"])


@pytest.fixture(scope="module")
def told(served: Served) -> None:
    """An installation of acme-corp."""
    body = {"key": "laptop-of-alice"}
    assert served.ask("POST", f"/plugins/{REACH}/install", "alice", json=body).status_code == 200


@pytest.fixture(scope="module")
def execution(served: Served) -> str:
    """A run of acme-corp that waits."""
    body = {"target": "acme-corp-staging", "key": "run-of-alice"}
    done = served.ask("POST", f"/plugins/{PROBER}/execute", "alice", json=body)
    assert done.status_code == 202, done.text
    return str(done.json()["id"])


# -- the document


def test_the_document_is_that_of_the_table(served: Served) -> None:
    answer = served.ask("GET", "/openapi.json")
    found = answer.json()
    assert found == msgspec.to_builtins(document("1.2.3"))
    assert found["openapi"] == "3.1.0"
    operations = {
        (method.upper(), path) for path, item in found["paths"].items() for method in item
    }
    assert operations == {(route.method, route.path) for route in ROUTES}
    for schema in found["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    again = served.ask("GET", "/openapi.json", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_answers_are_as_the_document_says(
    served: Served, submission: str, review: str, execution: str
) -> None:
    described = served.ask("GET", "/openapi.json").json()
    for route in ROUTES:
        if route.method != "GET" or isinstance(route.answer, str):
            continue
        answer = call(served, route, who_of(route), submission=submission, execution=execution)
        if route.name == "show_result":  # what one looks like is in test_operator_execution.py
            assert (answer.status_code, "it waits" in answer.text) == (404, True)
            continue
        assert answer.status_code == 200, (route.name, answer.text)
        schema = {"$ref": f"#/components/schemas/{route.answer.__name__}", **described}
        Draft202012Validator(schema).validate(answer.json())


def call(
    served: Served, route: Route, who: str | None, *, submission: str = NOWHERE,
    review: str = NOWHERE, execution: str = NOWHERE, query: dict[str, str] | None = None,
) -> Any:  # fmt: skip
    """Call a route with values that are right."""
    path = route.path.removeprefix(BASE)
    plugin = PROBER if route.name == "execute_plugin" else REACH
    for name, value in {
        "id": plugin, "publisher": "acme", "submission": submission, "review": review,
        "execution": execution, "month": MONTH,
    }.items():  # fmt: skip
        path = path.replace(f"{{{name}}}", value)
    if route.name == "withdraw_plugin":
        query = {"reason": "It breaks", "version": "9.9.9", **(query or {})}
    more: dict[str, Any] = {"params": query} if query else {}
    if route.body == SUBMISSION:
        more |= {"content": served.submission(id="reach", name="Reach", version="2.0.0"),
                 "headers": {"content-type": SUBMISSION}}  # fmt: skip
    elif route.body is not None:
        more["json"] = {
            "ReviewBody": {"rating": 1}, "InstallBody": {"key": "machine-1"},
            "ModerateBody": {"state": "published"},
            "ExecuteBody": {"target": "acme-corp-staging", "key": "run-of-somebody"},
        }[route.body.__name__]  # type: ignore[union-attr]  # fmt: skip
    return served.ask(route.method, path, who, **more)


def who_of(route: Route) -> str | None:
    return None if not route.scope else "carol" if route.scope == "operate" else "alice"


# -- who may ask


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_route_asks_for_its_scope(served: Served, route: Route) -> None:
    without = call(served, route, None)
    if not route.scope:
        assert without.status_code == 200
    else:
        assert without.status_code == 401
        assert without.headers["www-authenticate"].startswith("Bearer")
        assert without.headers["content-type"] == "application/problem+json"
    wrong = served.ask(
        route.method, route.path.removeprefix(BASE).replace("{id}", REACH)
        .replace("{publisher}", "acme").replace("{submission}", NOWHERE)
        .replace("{review}", NOWHERE).replace("{execution}", NOWHERE).replace("{month}", MONTH),
        headers={"authorization": "Bearer tavo_" + "x" * 43},
    )  # fmt: skip
    assert wrong.status_code == 401, "a wrong token is refused on public routes, too"
    if route.scope not in {"", "any", "install"}:
        lacking = call(served, route, "dave")  # a token for installations only
        assert lacking.status_code == 403
        assert f"lacks the scope {route.scope}" in lacking.json()["detail"]
    for header in ("Basic YTpi", "Bearer", "Bearer a b", "tavo_x", "Bearer \x7f"):
        answer = served.ask(route.method, "/account", headers={"authorization": header})
        assert answer.status_code in {400, 401, 405}  # 400 by the server, of what is no header


CROSS_TENANT = {
    "submit_plugin": "the namespace acme",
    "submit_version": "the namespace acme",
    "withdraw_plugin": "the namespace acme",
    "show_submission": "there is no submission",
    "execute_plugin": "there is no target 'acme-corp-staging' of your organisation",
    "show_execution": "there is no execution",
    "cancel_execution": "there is no execution",
    "show_result": "there is no execution",
    "list_waiting_reviews": "lacks the scope operate",
    "moderate_review": "lacks the scope operate",
}
"""What bob of another organisation is told for what is acme's, by route."""


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_nobody_reaches_what_belongs_to_another_organisation(
    served: Served, submission: str, review: str, execution: str, told: None, route: Route
) -> None:
    before = everything(served)
    given = {"submission": submission, "review": review, "execution": execution}
    if route.name == "cancel_execution":  # or it would be gone for those that come after
        given = {**given, "execution": asked(served, "run-to-cancel")}
    mine = call(served, route, who_of(route) or "alice", **given)
    match route.other:
        case "refused":
            assert route.name in CROSS_TENANT, f"{route.name} has no cross-tenant case"
            theirs = call(served, route, "bob", **given)
            assert theirs.status_code in {403, 404}, theirs.text
            assert CROSS_TENANT[route.name] in theirs.json()["detail"]
        case "own":
            theirs = call(served, route, "bob", **given)
            assert theirs.status_code == 200 or route.name == "write_review"
            text = theirs.text
            assert "alice" not in text
            assert "acme-corp" not in text
            assert submission not in text
            assert execution not in text
            if theirs.status_code == 200 and route.method == "GET":
                assert theirs.text != mine.text
            assert theirs.headers["cache-control"] in {"private, no-store", "no-store"}
        case "public":
            theirs = call(served, route, "bob", **given)
            # what was fetched is summed up now and then: the number may change in between
            assert re.sub(COUNTED, "", theirs.text) == re.sub(COUNTED, "", mine.text)
            assert "private" not in theirs.headers["cache-control"]
    if route.method == "GET":
        assert everything(served) == before


def test_control_without_its_organisation_a_submission_is_anybodys(
    served: Served, submission: str
) -> None:
    """What keeps bob out is the name on the row: with his own there, he reads it."""
    path = served.operated.directory / "market.db"
    address = f"/submissions/{submission}"
    statement = "UPDATE submissions SET organization = ? WHERE uuid = ?"
    assert served.ask("GET", address, "bob").status_code == 404
    with sqlite3.connect(path) as connection:
        connection.execute(statement, ("other-corp", submission))
    assert served.ask("GET", address, "bob").json()["id"] == submission
    assert served.ask("GET", address, "alice").status_code == 404
    with sqlite3.connect(path) as connection:
        connection.execute(statement, ("acme-corp", submission))


def asked(served: Served, key: str) -> str:
    body = {"target": "acme-corp-staging", "key": key}
    return str(served.ask("POST", f"/plugins/{PROBER}/execute", "alice", json=body).json()["id"])


def everything(served: Served) -> list[Any]:
    """All that reading must not change."""
    path = served.operated.directory / "market.db"
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        return [
            connection.execute(f"SELECT * FROM {table}").fetchall()
            for table in (
                "submissions",
                "plugin_reviews",
                "tokens",
                "plugin_installations",
                "jobs",
                "plugin_executions",
                "targets",
            )
        ]


def test_a_token_ends_with_the_next_request(served: Served) -> None:
    from marketplace_db.accounts import Accounts
    from marketplace_db.intake import Market

    with Market.open(served.operated.directory) as market:
        secret = served.token("erin", "other-corp", ["review"], market)
        assert served.ask("GET", "/account", "erin").json()["user"] == "erin"
        accounts = Accounts(market.connection)
        (mine,) = [one for one in accounts.tokens(now=served.operated.now) if one.user == "erin"]
        accounts.revoke(mine.uuid, now=served.operated.now)
    assert served.ask("GET", "/account", "erin").status_code == 401
    assert secret not in served.log.read_text()


# -- lists


def test_a_list_goes_on_where_it_ended_in_every_order(served: Served) -> None:
    for sort in ("relevance", "name", "updated", "rating", "downloads"):
        seen: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            params = {"limit": "4", "sort": sort, **({"cursor": cursor} if cursor else {})}
            page = served.ask("GET", "/plugins/marketplace", params=params).json()
            seen += [one["id"] for one in page["plugins"]]
            cursor = page["next"]
        assert len(seen) == page["total"] == 10
        assert len(set(seen)) == 10
    assert seen != sorted(seen, reverse=True)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"q": "model"}, ["tavo/model-files"]),
        ({"q": "REACH"}, ["acme/reach"]),
        ({"q": "small 3"}, ["acme/small-3"]),
        ({"type": "proxy"}, []),
        ({"permission": "network"}, ["acme/reach"]),
        ({"pricing_tier": "paid"}, ["acme/reach"]),
        ({"verified": "true"}, ["tavo/model-files"]),
        ({"publisher": "tavo"}, ["tavo/model-files"]),
        ({"q": "reach", "without": "network"}, []),
        ({"q": "reach", "license": "Apache-2.0", "category": "testing"}, ["acme/reach"]),
        ({"tag": "none"}, []),
        ({"q": "small", "min_rating": "1"}, []),
    ],
)
def test_plugins_are_found_by_what_they_are(
    served: Served, params: dict[str, str], expected: list[str]
) -> None:
    page = served.ask("GET", "/plugins/marketplace", params=params).json()
    assert [one["id"] for one in page["plugins"]] == expected
    assert page["total"] == len(expected)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("limt=1", "there is no parameter 'limt'"),
        ("limit=0", "Expected `int` >= 1"),
        ("limit=101", "Expected `int` <= 100"),
        ("limit=1&limit=2", "a parameter is given twice"),
        ("min_rating=nan", "min_rating"),
        ("min_rating=inf", "min_rating"),
        ("verified=maybe", "Expected `bool`"),
        ("sort=price", "Invalid enum value"),
        ("cursor=a+b", "matching regex"),
        ("q=%ff", "not in the form"),
        ("q", "not in the form"),
        ("q=" + "x" * 201, "length <= 200"),
        ("q=" + "x" * 5000, "longer than 4096"),
    ],
)
def test_a_wrong_parameter_is_one_sentence(served: Served, query: str, sentence: str) -> None:
    answer = served.client.get(f"/api/v1/plugins/marketplace?{query}")
    assert answer.status_code == 400
    problem = answer.json()
    assert sentence in problem["detail"]
    assert problem["status"] == 400
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("cursor", ["AAAA", "WyJuYW1lIiwxXQ", "x", "W10", "WyJyZWxldmFuY2UiLDFd"])
def test_a_cursor_of_another_list_leads_nowhere(served: Served, cursor: str) -> None:
    answer = served.ask("GET", "/plugins/marketplace", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:tavo:problem:cursor")


def test_what_a_client_has_is_not_sent_again(served: Served) -> None:
    for path in ("/plugins/marketplace", f"/plugins/{REACH}", f"/plugins/{REACH}/download"):
        first = served.ask("GET", path)
        etag = first.headers["etag"]
        for header in (etag, f'"other", {etag}', f"W/{etag}", "*"):
            again = served.ask("GET", path, headers={"if-none-match": header})
            assert (again.status_code, again.content) == (304, b"")
        assert served.ask("GET", path, headers={"if-none-match": '"x"'}).content == first.content
        head = served.ask("HEAD", path)
        assert head.content == b""
        assert head.headers["content-length"] == str(len(first.content))


# -- one plugin


def test_a_plugin_has_two_names(served: Served) -> None:
    by_name = served.ask("GET", f"/plugins/{REACH}").json()
    by_uuid = served.ask("GET", f"/plugins/{by_name['plugin']['uuid']}").json()
    assert by_name == by_uuid
    assert [one["version"] for one in by_name["versions"]] == ["1.1.0", "1.0.0"]
    old = by_name["versions"][1]
    assert (old["withdrawn"], old["reason"]) == (True, "It <b>breaks</b>")
    assert "connect to api.example.com:443" in by_name["permissions"]["can"]
    assert served.ask("GET", "/plugins/acme/reach").status_code == 404  # a slash is %2F
    assert served.ask("GET", "/plugins/acme%2Fnothing").status_code == 404
    assert served.ask("GET", f"/plugins/{NOWHERE}").status_code == 404


def test_a_package_is_the_one_of_the_catalog(served: Served) -> None:
    from signing.digests import Digest

    shown = served.ask("GET", f"/plugins/{REACH}").json()["versions"][0]
    package = served.ask("GET", f"/plugins/{REACH}/download")
    assert Digest.of(package.content).hex == shown["sha256"]
    assert package.headers["content-type"] == "application/zip"
    withdrawn = served.ask("GET", f"/plugins/{REACH}/download", params={"version": "1.0.0"})
    assert withdrawn.status_code == 409
    assert "It <b>breaks</b>" in withdrawn.json()["detail"]


def test_what_was_taken_back_is_listed(served: Served) -> None:
    (found,) = served.ask("GET", "/advisories").json()["advisories"]
    assert (found["kind"], found["plugin"], found["version"]) == (
        "withdrawn", "acme/reach", "1.0.0",
    )  # fmt: skip


# -- what people say


def test_a_person_has_one_review_of_a_version_and_it_shows_when_it_was_read(served: Served) -> None:
    path = f"/plugins/{quote('tavo/model-files', safe='')}/reviews"
    first = served.ask("POST", path, "bob", json={"rating": 2, "title": "So so", "body": "a\nb"})
    assert first.json()["state"] == "waiting"
    assert served.ask("GET", path).json()["reviews"] == []
    second = served.ask("POST", path, "bob", json={"rating": 5, "title": "Good"}).json()
    assert second["id"] == first.json()["id"]
    shown = served.ask("PUT", f"/reviews/{second['id']}", "carol", json={"state": "published"})
    assert shown.json()["state"] == "published"
    alone = served.ask("GET", path).json()
    assert (alone["rating"], alone["ratings"]) == (5.0, 1)
    assert [one["title"] for one in alone["reviews"]] == ["Good"]
    served.ask("POST", path, "alice", json={"rating": 1})
    queue = served.ask("GET", "/reviews", "carol").json()["reviews"]
    (mine,) = [one for one in queue if one["author"] == "alice"]
    empty = served.ask("PUT", f"/reviews/{mine['id']}", "carol", json={"state": "hidden"})
    assert (empty.status_code, "with a reason" in empty.text) == (409, True)
    hidden = {"state": "hidden", "reason": "It is about another plugin"}
    assert served.ask("PUT", f"/reviews/{mine['id']}", "carol", json=hidden).status_code == 200
    changed = served.ask("POST", path, "bob", json={"rating": 1}).json()
    assert changed["state"] == "waiting", "what was changed is read again"
    assert served.ask("GET", path).json()["ratings"] == 0


def test_nobody_rates_their_own_work(served: Served) -> None:
    own = served.ask("POST", f"/plugins/{REACH}/reviews", "alice", json={"rating": 5})
    assert own.status_code == 403
    assert "nobody rates their own work" in own.json()["detail"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"rating": 6}, 400), ({"rating": 0}, 400), ({"rating": "5"}, 400), ({"rating": 4.5}, 400),
        ({"rating": 1e300}, 400), ({}, 400), ({"rating": 5, "admin": True}, 400),
        ({"rating": 5, "title": "x" * 121}, 400), ({"rating": 4.0, "version": "7"}, 404),
        ({"rating": 5, "body": "x" * 4001}, 400), ({"rating": 5, "version": "7"}, 404),
        ({"rating": 5, "title": "a\u202eb"}, 409), ({"rating": 5, "body": "a\u0000b"}, 409),
        ([], 400), (None, 400),
    ],
)  # fmt: skip
def test_a_wrong_review_is_refused(served: Served, body: object, status: int) -> None:
    answer = served.ask(
        "POST", f"/plugins/{REACH}/reviews", "bob",
        content=msgspec.json.encode(body), headers={"content-type": "application/json"},
    )  # fmt: skip
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400), (b'"\xff"', "application/json", 400),
        (b'{"rating":5,"title":"\\ud800"}', "application/json", 400),
        (b"[" * 30_000, "application/json", 400), (b"rating=5", None, 415),
        (b'{"rating":5}', "text/plain", 415), (b'{"rating":5}', "application/json; a=b", 415),
        (b" " * 70_000, "application/json", 413),
    ],
)  # fmt: skip
def test_a_body_that_is_none_is_refused(
    served: Served, content: bytes, kind: str | None, status: int
) -> None:
    headers = {"content-type": kind} if kind else {}
    answer = served.ask(
        "POST", f"/plugins/{REACH}/reviews", "bob", content=content, headers=headers
    )
    assert answer.status_code == status, answer.text


def test_an_installation_counts_once_and_is_the_organisations_own(served: Served) -> None:
    body = {"key": "laptop-of-bob", "version": "1.1.0", "client_version": "0.1.0"}
    first = served.ask("POST", f"/plugins/{REACH}/install", "bob", json=body).json()
    again = served.ask("POST", f"/plugins/{REACH}/install", "dave", json=body).json()
    assert again == first
    mine = served.ask("GET", "/plugins/installed", "bob").json()["installations"]
    assert [one["id"] for one in mine].count(first["id"]) == 1
    theirs = served.ask("POST", f"/plugins/{REACH}/install", "alice", json=body).json()
    assert theirs["id"] != first["id"], "the same key of another organisation is another one"


# -- handing in


def test_what_a_client_would_refuse_is_refused(served: Served) -> None:
    headers = {"content-type": SUBMISSION}
    good = served.submission(id="twice", name="Twice")
    assert served.ask("POST", "/plugins", "alice", content=good, headers=headers).status_code == 201
    again = served.ask("POST", "/plugins", "alice", content=good, headers=headers)
    assert (again.status_code, "is already here" in again.text) == (409, True)
    for content in (b"", b"PK\x05\x06" + bytes(18), good[:-100], b"x" * 1000):
        answer = served.ask("POST", "/plugins", "alice", content=content, headers=headers)
        assert answer.status_code == 422, answer.text
        assert answer.json()["detail"].startswith("submission: ")
    other = served.hand_in("alice", f"/plugins/{REACH}", "PUT", id="third", name="Third")
    assert (other.status_code, "expected acme/reach" in other.text) == (409, True)
    alike = served.hand_in("alice", id="reoch", name="Reoch")
    assert alike.status_code in {201, 409}
    assert list((served.operated.directory / "incoming").iterdir()) == []


def test_control_the_owner_of_a_namespace_hands_in(served: Served) -> None:
    done = served.hand_in("alice", f"/plugins/{REACH}", "PUT", id="reach", name="Reach",
                          version="3.0.0")  # fmt: skip
    assert done.status_code == 201, done.text
    assert served.ask("GET", done.headers["location"].removeprefix(BASE), "alice").json() == (
        done.json()
    )


def test_a_withdrawal_waits_for_the_next_release(served: Served) -> None:
    done = served.ask("DELETE", "/plugins/acme%2Fsmall-1", "alice", params={"reason": "It is slow"})
    assert done.json() == {"plugin": "acme/small-1", "versions": ["1.0.0"], "reason": "It is slow"}
    assert served.ask("GET", "/plugins/acme%2Fsmall-1").json()["plugin"]["version"] == "1.0.0"


# -- runs for organisations: what they are is in tests/operator/test_operator_execution.py


def execute(served: Served, who: str = "bob", **body: object) -> Any:
    value = {"target": "other-corp-staging", "key": "run-of-bob", **body}
    return served.ask("POST", f"/plugins/{PROBER}/execute", who, json=value)


def test_a_run_is_the_same_whatever_became_of_its_plugin_and_target(served: Served) -> None:
    first = execute(served)
    assert first.status_code == 202
    assert served.ask("GET", first.headers["location"].removeprefix(BASE), "bob").json() == (
        first.json()
    )
    assert execute(served).json() == first.json()
    other = execute(served, config={"x": 1})
    assert (other.status_code, "was used for another run" in other.text) == (409, True)
    named = execute(served, version="0.1.0")
    assert named.status_code == 409, "who names a version asks something else"
    with Market.open(served.operated.directory) as market:
        targets, now = Targets(market.connection), served.operated.now
        gone = targets.remove("other-corp", "other-corp-staging", now=now)
    assert execute(served).json()["id"] == first.json()["id"]
    fresh = execute(served, key="another-run")
    assert (fresh.status_code, "there is no target" in fresh.text) == (404, True)
    with Market.open(served.operated.directory) as market:
        Targets(market.connection).add(
            gone.organization, gone.name, url=gone.url, description=gone.description, now=now
        )


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"key": "short"}, 400), ({"key": "x" * 65}, 400), ({"key": None}, 400),
        ({"target": "A B"}, 400), ({"target": "-"}, 400), ({"target": "../etc"}, 400),
        ({"config": []}, 400), ({"config": {"a": "x" * 70_000}}, 413), ({"more": 1}, 400),
        ({"version": "7"}, 404), ({"target": "acme-corp-staging"}, 404),
    ],
)  # fmt: skip
def test_a_wrong_run_is_refused(served: Served, body: dict[str, object], status: int) -> None:
    assert execute(served, **{"key": "wrong-run-1", **body}).status_code == status


def test_a_configuration_may_be_deep_or_odd_and_is_no_defect(served: Served) -> None:
    for number, content in enumerate(
        ["[" * deep + "]" * deep for deep in (50, 400, 900, 2000, 20_000)]
        + ["1e400", "-0", "12345678901234567890123", '"\\u0000"', '{"": {"": null}}']
    ):
        body = (
            f'{{"target": "other-corp-staging", "key": "odd-run-{number}",'
            f' "config": {{"a": {content}}}}}'
        )
        answer = served.ask(
            "POST", f"/plugins/{PROBER}/execute", "bob", content=body.encode(),
            headers={"content-type": "application/json"},
        )  # fmt: skip
        assert answer.status_code in {202, 400}, (content[:50], answer.text)


def test_what_is_full_says_when_to_come_back() -> None:
    own = problem_of(QueueFullError("20 runs of yours wait", wait_s=30))
    whole = problem_of(QueueFullError("100 runs wait", wait_s=7, whole=True))
    assert (own.status, own.headers, own.kind) == (429, {"retry-after": "30"}, "full")
    assert (whole.status, whole.headers) == (503, {"retry-after": "7"})
    assert own.hint == "Come back in 30 s."


# -- attacks


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_no_attack_gets_an_answer_of_ours_wrong(served: Served, route: Route) -> None:
    before = tables(served)
    path = route.path.removeprefix(BASE)
    for name in route.values:
        wrong = {"id": REACH, "month": MONTH}.get(name, NOWHERE)
        path = path.replace(f"{{{name}}}", wrong)
    fields = route.query.__struct_fields__ if route.query else ("q",)
    for attack in (*MARKUP, *QUERIES):
        for field in fields:
            check(served.ask(route.method, path, "alice", params={field: attack}), route)
        check(served.ask(route.method, path, "alice", params={attack: "1"}), route)
        for name in route.values:
            wrong = route.path.removeprefix(BASE).replace(f"{{{name}}}", quote(attack, safe=""))
            check(served.ask(route.method, wrong, "alice"), route)
        if route.name == "write_review":
            review = {"rating": 3, "title": attack, "body": attack}
            written = served.ask("POST", f"/plugins/{REACH}/reviews", "bob", json=review)
            assert (written.status_code, written.json()["title"]) == (200, attack)
    assert tables(served) == before


def tables(served: Served) -> set[str]:
    path = served.operated.directory / "market.db"
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        return {name for (name,) in connection.execute("SELECT sql FROM sqlite_master")}


def check(answer: Any, route: Route) -> None:
    assert answer.status_code < 500
    assert answer.status_code in {route.status, 404, *statuses(route)}
    assert answer.headers["content-type"] in {
        "application/json", "application/problem+json", "application/zip", CSV,
    }  # fmt: skip
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("method", ["PATCH", "OPTIONS", "TRACE", "PROPFIND", "PUT"])
def test_another_method_says_which_there_are(served: Served, method: str) -> None:
    answer = served.ask(method, "/plugins/marketplace")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"


def test_a_defect_is_logged_and_says_nothing(served: Served) -> None:
    assert {line["level"] for line in served.lines()} <= {"info", "warning"}
    routes = {line["route"] for line in served.lines() if line["event"] == "request"}
    assert routes <= {"pages", "none", *(route.path for route in ROUTES), f"{BASE}/openapi.json",
                      "/repository/{file}", "/healthz", "/metrics", "foreign host"}  # fmt: skip
    assert not re.search("tavo_[A-Za-z0-9_-]{43}", served.log.read_text())

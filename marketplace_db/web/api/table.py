"""The routes of the API. A row here is all that it takes: it is served, checked and documented."""

from __future__ import annotations

from collections.abc import Mapping

from marketplace_db.execution_result import RunResult
from marketplace_db.web.api import executions, forms, people, plugins, submissions
from marketplace_db.web.api.routes import CSV, SUBMISSION, Route

__all__ = ["BASE", "BY_PATH", "ROUTES"]

BASE = "/api/v1"

ROUTES = (
    Route(
        method="GET", path=f"{BASE}/plugins/marketplace", name="list_plugins",
        summary="List and search plugins", handler=plugins.marketplace,
        answer=forms.Listing, query=forms.ListQuery, other="public", cached=True,
    ),
    Route(
        method="POST", path=f"{BASE}/plugins", name="submit_plugin",
        summary="Hand in a package; who signs it decides who published it",
        handler=submissions.hand_in, answer=forms.Submission, body=SUBMISSION, scope="submit",
        status=201, problems=(403, 409, 422), where="intake", other="refused",
    ),
    Route(
        method="GET", path=f"{BASE}/plugins/installed", name="list_installations",
        summary="List what your organisation told that it has installed",
        handler=people.installed, answer=forms.Installations, query=forms.PageQuery,
        scope="install", other="own",
    ),
    Route(
        method="GET", path=f"{BASE}/plugins/{{id}}", name="show_plugin",
        summary="Show a plugin with its newest versions and what vouches for them",
        handler=plugins.plugin, answer=forms.Plugin, problems=(404,), other="public", cached=True,
    ),
    Route(
        method="PUT", path=f"{BASE}/plugins/{{id}}", name="submit_version",
        summary="Hand in another version of this plugin", handler=submissions.hand_in_next,
        answer=forms.Submission, body=SUBMISSION, scope="submit", status=201,
        problems=(403, 404, 409, 422), where="intake", other="refused",
    ),
    Route(
        method="DELETE", path=f"{BASE}/plugins/{{id}}", name="withdraw_plugin",
        summary="Withdraw a release, or all, with the next catalog",
        handler=submissions.withdraw, answer=forms.Withdrawn, query=forms.WithdrawQuery,
        scope="submit", problems=(403, 404, 409), where="write", other="refused",
    ),
    Route(
        method="POST", path=f"{BASE}/plugins/{{id}}/install", name="tell_installation",
        summary="Tell that your organisation has installed a version; nothing tells it by itself",
        handler=people.install, answer=forms.Installation, body=forms.InstallBody,
        scope="install", problems=(404,), where="write", other="own",
    ),
    Route(
        method="GET", path=f"{BASE}/plugins/{{id}}/download", name="download_plugin",
        summary="Download the package of a release", handler=plugins.download,
        answer="application/zip", query=forms.VersionQuery, problems=(404, 409), other="public",
    ),
    Route(
        method="GET", path=f"{BASE}/plugins/{{id}}/reviews", name="list_reviews",
        summary="List the shown reviews of a plugin, the newest first", handler=people.reviews,
        answer=forms.Reviews, query=forms.PageQuery, problems=(404,), other="public",
    ),
    Route(
        method="POST", path=f"{BASE}/plugins/{{id}}/reviews", name="write_review",
        summary="Write or replace your review of a version; it is shown when it was read",
        handler=people.review, answer=forms.Review, body=forms.ReviewBody, scope="review",
        problems=(403, 404, 409), where="write", other="own",
    ),
    Route(
        method="POST", path=f"{BASE}/plugins/{{id}}/execute", name="execute_plugin",
        summary="Have a plugin attack a registered target from the operator's machines",
        handler=executions.execute, answer=forms.Execution, body=forms.ExecuteBody,
        scope="execute", status=202, problems=(403, 404, 409, 422), where="write",
        other="refused",
    ),
    Route(
        method="GET", path=f"{BASE}/executions", name="list_executions",
        summary="List the runs of your organisation, the newest first",
        handler=executions.executions, answer=forms.ExecutionList, query=forms.PageQuery,
        scope="execute", other="own",
    ),
    Route(
        method="GET", path=f"{BASE}/executions/{{execution}}", name="show_execution",
        summary="Show a run: its state, what it used and what it costs",
        handler=executions.execution, answer=forms.Execution, scope="execute", other="refused",
    ),
    Route(
        method="POST", path=f"{BASE}/executions/{{execution}}/cancel", name="cancel_execution",
        summary="Cancel a run; one that has ended stays as it is",
        handler=executions.cancel, answer=forms.Execution, scope="execute", where="write",
        other="refused",
    ),
    Route(
        method="GET", path=f"{BASE}/executions/{{execution}}/result", name="show_result",
        summary="Send what a run found", handler=executions.result, answer=RunResult,
        scope="execute", other="refused",
    ),
    Route(
        method="GET", path=f"{BASE}/targets", name="list_targets",
        summary="List the targets that the operator registered for your organisation",
        handler=executions.targets, answer=forms.TargetList, scope="execute", other="own",
    ),
    Route(
        method="GET", path=f"{BASE}/statements/{{month}}", name="show_statement",
        summary="Send what your organisation's runs used and cost in a month like 2026-11",
        handler=executions.statement, answer=CSV, scope="execute", other="own",
    ),
    Route(
        method="GET", path=f"{BASE}/publishers/{{publisher}}", name="show_publisher",
        summary="Show a namespace and its plugins", handler=plugins.publisher,
        answer=forms.Publisher, problems=(404,), other="public", cached=True,
    ),
    Route(
        method="GET", path=f"{BASE}/advisories", name="list_advisories",
        summary="List what was withdrawn or recalled", handler=plugins.advisories,
        answer=forms.Advisories, other="public", cached=True,
    ),
    Route(
        method="GET", path=f"{BASE}/submissions", name="list_submissions",
        summary="List what your organisation handed in; for operators what everybody did",
        handler=submissions.submissions, answer=forms.Submissions, query=forms.PageQuery,
        scope="any", other="own",
    ),
    Route(
        method="GET", path=f"{BASE}/submissions/{{submission}}", name="show_submission",
        summary="Show a submission with its checks", handler=submissions.submission,
        answer=forms.Submission, scope="any", problems=(404,), other="refused",
    ),
    Route(
        method="GET", path=f"{BASE}/reviews", name="list_waiting_reviews",
        summary="List the reviews that wait to be read", handler=people.waiting_reviews,
        answer=forms.Reviews, query=forms.PageQuery, scope="operate", other="refused",
    ),
    Route(
        method="PUT", path=f"{BASE}/reviews/{{review}}", name="moderate_review",
        summary="Show a review, or hide it with a reason", handler=people.moderate,
        answer=forms.Review, body=forms.ModerateBody, scope="operate", problems=(404, 409),
        where="write", other="refused",
    ),
    Route(
        method="GET", path=f"{BASE}/account", name="show_account",
        summary="Say who your token speaks for", handler=people.account,
        answer=forms.AccountAnswer, scope="any", other="own",
    ),
)  # fmt: skip


def _by_path() -> Mapping[str, Mapping[str, Route]]:
    found: dict[str, dict[str, Route]] = {}
    for route in ROUTES:
        found.setdefault(route.path, {})[route.method] = route
    return found


BY_PATH = _by_path()

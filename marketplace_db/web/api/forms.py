"""What goes over the wire: queries, bodies and answers. The OpenAPI document is made of these."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from marketplace_db.ratings import LONGEST_BODY, LONGEST_TITLE
from marketplace_db.targets import TARGET_NAME

__all__ = [
    "AccountAnswer", "Advisories", "Advisory", "Check", "Cost", "ExecuteBody", "Execution",
    "ExecutionList", "InstallBody",
    "Installation", "Installations", "ListQuery", "Listing", "ModerateBody", "PageQuery",
    "Permissions", "Plugin", "PluginSummary", "Publisher", "Released", "Review", "ReviewBody",
    "Reviews", "Submission", "Submissions", "Target", "TargetList", "Used",
    "VersionQuery", "WithdrawQuery", "Withdrawn",
]  # fmt: skip

Text = Annotated[str, Meta(max_length=200)]
Word = Annotated[str, Meta(min_length=1, max_length=120)]
VersionText = Annotated[str, Meta(min_length=1, max_length=40)]
Limit = Annotated[int, Meta(ge=1, le=100, description="How many at most.")]
Cursor = Annotated[
    str,
    Meta(
        pattern="^[A-Za-z0-9_-]{1,800}$", description="Where to go on: `next` of the answer before."
    ),
]
PluginType = Literal["static", "dynamic", "proxy", "log"]
Tier = Literal["free", "paid", "enterprise"]
PermissionWord = Literal["files", "network", "target", "env", "subprocess", "native_code"]


class _Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of an address; others than these are refused."""


class PageQuery(_Query, frozen=True, kw_only=True):
    """A part of a list."""

    limit: Limit = 20
    cursor: Cursor | UnsetType = UNSET


class ListQuery(PageQuery, frozen=True, kw_only=True):
    """Which plugins, in which order."""

    q: Annotated[
        str, Meta(max_length=200, description="Words; each is in id, name, description or labels.")
    ] = ""
    type: PluginType | UnsetType = UNSET
    category: Word | UnsetType = UNSET
    tag: Word | UnsetType = UNSET
    pricing_tier: Tier | UnsetType = UNSET
    permission: (
        Annotated[PermissionWord, Meta(description="Plugins that ask for it.")] | UnsetType
    ) = UNSET
    without: Annotated[PermissionWord, Meta(description="Plugins that do not.")] | UnsetType = UNSET
    license: Word | UnsetType = UNSET
    publisher: Word | UnsetType = UNSET
    verified: (
        Annotated[bool, Meta(description="Of an official namespace, or of none.")] | UnsetType
    ) = UNSET
    min_rating: Annotated[float, Meta(ge=1, le=5)] | UnsetType = UNSET
    sort: Literal["relevance", "name", "updated", "rating", "downloads"] = "relevance"


class VersionQuery(_Query, frozen=True, kw_only=True):
    """Which release; the newest that is not withdrawn without it."""

    version: VersionText | UnsetType = UNSET


class WithdrawQuery(_Query, frozen=True, kw_only=True):
    """Which release is withdrawn, all of them without a version, and what users read."""

    reason: Annotated[str, Meta(min_length=3, max_length=300, pattern=r"\S")]
    version: VersionText | UnsetType = UNSET


class _Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A body; other fields than these are refused."""


class ReviewBody(_Body, frozen=True, kw_only=True):
    """One person's review of a version."""

    rating: Annotated[int, Meta(ge=1, le=5)]
    version: VersionText | UnsetType = UNSET
    title: Annotated[str, Meta(max_length=LONGEST_TITLE)] = ""
    body: Annotated[str, Meta(max_length=LONGEST_BODY)] = ""


class ModerateBody(_Body, frozen=True, kw_only=True):
    """Whether a review is shown; hidden ones need a reason, which the author reads."""

    state: Literal["published", "hidden"]
    reason: Annotated[str, Meta(max_length=400)] = ""


class InstallBody(_Body, frozen=True, kw_only=True):
    """An installation that an organisation tells of; the same key again is the same one."""

    key: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{8,64}$")]
    version: VersionText | UnsetType = UNSET
    client_version: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.+-]{0,40}$")] = ""


class ExecuteBody(_Body, frozen=True, kw_only=True):
    """A run on the operator's machines; the same key again is the same run.

    `target` is one that the operator registered for your organisation; `config` is the plugin's.
    """

    target: Annotated[str, Meta(pattern=TARGET_NAME)]
    key: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{8,64}$")]
    version: VersionText | UnsetType = UNSET
    config: dict[str, Any] = {}


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Part of an answer."""


class PluginSummary(_Answer, frozen=True, kw_only=True):
    """A plugin in a list. `version` is the newest that is not withdrawn, null if all are."""

    id: str
    uuid: str
    name: str
    description: str
    type: str
    publisher: str
    verified: bool
    license: str
    pricing_tier: str
    categories: tuple[str, ...]
    tags: tuple[str, ...]
    permissions: tuple[str, ...]
    version: str | None
    updated_at: str
    rating: float
    ratings: int
    downloads: int


class Listing(_Answer, frozen=True, kw_only=True):
    """A part of the list of plugins. `next` is the cursor of the next part, null at the end."""

    total: int
    plugins: list[PluginSummary]
    next: str | None
    catalog: str


class Permissions(_Answer, frozen=True, kw_only=True):
    """What a version may do, may not do, and what is dangerous about it, as sentences."""

    can: list[str]
    cannot: list[str]
    danger: list[str]


class Wheel(_Answer, frozen=True, kw_only=True):
    """A wheel that a version brings along."""

    filename: str
    sha256: str
    bytes: int


class Released(_Answer, frozen=True, kw_only=True):
    """A version, with the digests of everything that vouches for it."""

    version: str
    uuid: str
    number: int
    api: int
    published_at: str
    sha256: str
    bytes: int
    manifest_sha256: str
    lock_sha256: str | None
    permissions_sha256: str
    publisher_statement: str
    reviewer_statements: list[str]
    wheels: list[Wheel]
    withdrawn: bool
    reason: str


class AlsoInstalled(_Answer, frozen=True, kw_only=True):
    """A plugin that organisations with this one have too."""

    id: str
    organizations: int


class Plugin(_Answer, frozen=True, kw_only=True):
    """A plugin with its newest versions. `permissions` are those of the newest."""

    plugin: PluginSummary
    author: str
    permissions: Permissions
    versions: list[Released]
    versions_total: int
    also_installed: list[AlsoInstalled]
    catalog: str


class Publisher(_Answer, frozen=True, kw_only=True):
    """A namespace and what it publishes."""

    name: str
    display_name: str
    url: str
    verified: bool
    plugins: list[PluginSummary]


class Review(_Answer, frozen=True, kw_only=True):
    """A review. `state` is waiting, published or hidden; `reason` says why it was hidden."""

    id: str
    plugin: str
    version: str
    author: str
    rating: int
    title: str
    body: str
    state: str
    reason: str
    created_at: str
    updated_at: str


class Reviews(_Answer, frozen=True, kw_only=True):
    """A part of the reviews, and what they come to where they are of one plugin."""

    reviews: list[Review]
    rating: float
    ratings: int
    next: str | None


class Installation(_Answer, frozen=True, kw_only=True):
    """An installation that your organisation told of."""

    id: str
    plugin: str
    version: str
    client_version: str
    installed_at: str


class Installations(_Answer, frozen=True, kw_only=True):
    """A part of what your organisation told of."""

    installations: list[Installation]
    next: str | None


class Used(_Answer, frozen=True, kw_only=True):
    """What a run used, as the host and the kernel counted it."""

    wall_ms: int
    cpu_ms: int
    peak_memory_bytes: int
    requests: int
    bytes_out: int
    bytes_in: int
    prompt_tokens: int
    answer_tokens: int


class Cost(_Answer, frozen=True, kw_only=True):
    """What a run costs; `price_list` is the version that was in force when it was asked for."""

    billed: bool
    amount: str
    currency: str
    price_list: str


class Execution(_Answer, frozen=True, kw_only=True):
    """A run on the operator's machines. `state` is waiting, running, done, failed or cancelled.

    `complete` tells that all was tried, `outcome` says why not. The result is deleted at
    `result_until`, which is null where there is none.
    """

    id: str
    plugin: str
    version: str
    target: str
    asked_by: str
    key: str
    state: str
    cancelling: bool
    asked_at: str
    started_at: str | None
    finished_at: str | None
    complete: bool
    outcome: str
    sandbox: str
    findings: int
    used: Used
    cost: Cost
    result_bytes: int
    result_sha256: str
    result_until: str | None


class ExecutionList(_Answer, frozen=True, kw_only=True):
    """A part of your organisation's runs, the newest first."""

    executions: list[Execution]
    next: str | None


class Target(_Answer, frozen=True, kw_only=True):
    """A system that your organisation may have attacked."""

    name: str
    url: str
    created_at: str


class TargetList(_Answer, frozen=True, kw_only=True):
    """What the operator registered for your organisation."""

    targets: list[Target]


class Check(_Answer, frozen=True, kw_only=True):
    """A check of a submission, and the digest of its signed report."""

    name: str
    outcome: str
    report: str
    checked_at: str


class Submission(_Answer, frozen=True, kw_only=True):
    """A package that was handed in. `state` is submitted, approved or rejected."""

    id: str
    plugin: str
    version: str
    sha256: str
    state: str
    reason: str
    submitted_at: str
    approvals: int
    checks: list[Check]


class Submissions(_Answer, frozen=True, kw_only=True):
    """A part of what was handed in, the newest first."""

    submissions: list[Submission]
    next: str | None


class Withdrawn(_Answer, frozen=True, kw_only=True):
    """What is withdrawn with the next release of the catalog."""

    plugin: str
    versions: list[str]
    reason: str


class Advisory(_Answer, frozen=True, kw_only=True):
    """Something that was taken back. `kind` is withdrawn, or recalled, which nobody runs."""

    kind: str
    plugin: str
    version: str
    sha256: str
    reason: str
    since: str


class Advisories(_Answer, frozen=True, kw_only=True):
    """Everything that was taken back, the newest first."""

    advisories: list[Advisory]


class AccountAnswer(_Answer, frozen=True, kw_only=True):
    """Who your token speaks for."""

    user: str
    organization: str
    scopes: list[str]
    namespaces: list[str]
    expires_at: str

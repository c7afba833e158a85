"""Recommendations: facts about a project, best first; what fits every project is none."""

from __future__ import annotations

from marketplace_db.catalog import PluginRow
from marketplace_db.manifest import Manifest, manifest_from_json
from tavo.registry.recommend import Project, installed_together, recommend


def plugin(name: str, *, official: bool = False, **more: object) -> tuple[PluginRow, Manifest]:
    import json

    manifest = manifest_from_json(json.dumps({
        "api": 1, "id": name, "publisher": "acme", "name": name, "version": "1.0.0",
        "plugin_type": "static", "entry_point": "main:P", "description": "Looks at things.",
        "author": "A", "license": "MIT", **more,
    }))  # fmt: skip
    row = PluginRow(
        full_id=f"acme/{name}", uuid="u", publisher="acme", publisher_name="Acme",
        official=official, id=name, name=name, description=manifest.description,
        plugin_type="static", author="A", license="MIT", pricing_tier="free", categories=(),
        tags=(), latest="1.0.0", updated_at="",
    )  # fmt: skip
    return row, manifest


PROJECT = Project(
    files=("app.py", "model.pkl", "other.pkl"),
    languages={"python": 12},
    parts={"langchain": "framework", "openai": "provider library"},
)


def names(*plugins: tuple[PluginRow, Manifest]) -> list[str]:
    return [one.plugin.id for one in recommend(PROJECT, plugins)]


def test_what_is_in_the_project_decides_and_is_named() -> None:
    found = recommend(PROJECT, [
        plugin("python-rules", languages=["python"]),
        plugin("pickles", file_patterns=["*.pkl"]),
        plugin("chains", tags=["langchain"]),
        plugin("keys", description="Finds keys of openai."),
    ])  # fmt: skip
    assert [one.plugin.id for one in found] == ["chains", "pickles", "keys", "python-rules"]
    assert [one.reasons[0] for one in found] == [
        "the project uses langchain (framework), which the plugin is for",
        "2 files like *.pkl, such as model.pkl",
        "the project uses openai (provider library), which the plugin names",
        "12 files of python",
    ]


def test_what_fits_nothing_or_everything_is_not_recommended() -> None:
    assert names(plugin("any"), plugin("ruby", languages=["ruby"]),
                 plugin("onnx", file_patterns=["*.onnx"], languages=["python"])) == []  # fmt: skip


def test_official_plugins_come_first_where_they_fit_alike() -> None:
    assert names(plugin("a", languages=["python"]),
                 plugin("b", languages=["python"], official=True)) == ["b", "a"]  # fmt: skip


def test_the_list_is_bounded() -> None:
    many = [plugin(f"p{number}", languages=["python"]) for number in range(30)]
    assert len(recommend(PROJECT, many)) == 10


def test_what_others_have_besides_is_recommended_with_that_reason() -> None:
    rows = {row.full_id: row for row, _ in (plugin("chains"), plugin("guards"), plugin("logs"))}
    fits = recommend(PROJECT, [plugin("chains", tags=["langchain"])])
    together = {
        "acme/here": [("acme/guards", 7), ("acme/chains", 3), ("acme/nowhere", 99)],
        "acme/also": [("acme/logs", 4), ("acme/guards", 0)],
    }
    found = installed_together(fits, together, rows)
    assert [one.plugin.id for one in found] == ["chains", "guards", "logs"]
    assert found[0].reasons == (
        "the project uses langchain (framework), which the plugin is for",
        "3 organisations that have acme/here have it, too",
    )
    assert found[1].reasons == ("7 organisations that have acme/here have it, too",)
    assert "acme/nowhere" not in {one.plugin.full_id for one in found}, "in no verified catalog"
    assert installed_together(fits, {}, rows) == fits, "control"

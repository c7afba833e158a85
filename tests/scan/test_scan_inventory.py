"""The inventory: what the pack finds, what manifests say, and what never leaves the project."""

from __future__ import annotations

import json
import shutil
from pathlib import Path, PurePosixPath

import pytest

from tavo.progress import Reporter
from tavo.results.inventory import Inventory, Kind
from tavo.runs.ai_bom import take_inventory
from tavo.scan.files import SourceFile, UnreadableError
from tavo.scan.inventory.artifacts import digest_of_file, kind_of_file
from tavo.scan.inventory.collect import INVENTORY_PACK
from tavo.scan.inventory.known import package_of_import, role_of
from tavo.scan.inventory.manifests import Declared, declared_in, is_unread
from tavo.scan.rules import PACK, load_rules

SAMPLES = Path(__file__).parent / "inventory_samples"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shop"
    shutil.copytree(SAMPLES, folder)
    monkeypatch.chdir(folder)
    return folder


def taken(**options: object) -> Inventory:
    return take_inventory([Path()], reporter=Reporter(), **options)  # type: ignore[arg-type]


def names(inventory: Inventory, kind: Kind) -> list[str]:
    return [part.name for part in inventory.parts if part.kind is kind]


def test_the_pack_loads_whole_and_is_none_of_the_rules_of_a_scan() -> None:
    loaded = load_rules([INVENTORY_PACK])
    assert loaded.problems == []
    kinds = {rule.rule.tags[0] for rule in loaded.rules.values()}
    assert kinds <= {kind.value for kind in Kind} | {"import"}
    assert not set(loaded.rules) & set(load_rules([PACK]).rules)
    assert {rule.rule.severity.value for rule in loaded.rules.values()} == {"info"}


def test_what_a_person_finds_in_the_samples_is_found(project: Path) -> None:
    found = taken()
    assert found.name == "shop"
    assert names(found, Kind.MODEL) == [
        "acme-chat-2", "acme/classifier", "acme/embedder", "acme/summarizer", "gpt-4.1", "gpt-4o",
    ]  # fmt: skip
    assert names(found, Kind.SERVICE) == ["Anthropic", "OpenAI", "llm.example.org"]
    assert names(found, Kind.PACKAGE) == [
        "@ai-sdk/openai", "ai", "datasets", "langchain-core", "mcp", "openai", "transformers",
    ]  # fmt: skip
    assert names(found, Kind.TOOL) == ["add_note", "find_order", "lookUp"]
    assert names(found, Kind.MCP_SERVER) == ["files", "remote", "shop", "ts-server"]
    assert names(found, Kind.DATASET) == ["acme/tickets"]
    assert names(found, Kind.VECTOR_STORE) == ["Chroma"]
    assert len(names(found, Kind.PROMPT)) == 3
    parts = {part.name: part for part in found.parts}
    assert parts["acme/classifier"].purl == "pkg:huggingface/acme/classifier@0123abc"
    assert parts["files"].version == "1.2.3"
    assert ("package", "@acme/server-files") in parts["files"].facts
    assert [(place.path, place.line) for place in parts["find_order"].places] == [("app.py", 18)]


def test_no_secret_no_prompt_and_no_argument_is_in_it(project: Path) -> None:
    found = repr(taken())
    assert "secret" not in found
    assert "assistant of a shop" not in found
    assert "https://llm.example.org/v1" in found  # the control: the rest of the address is


def test_the_same_project_gives_the_same_inventory_whatever_the_processes(project: Path) -> None:
    for number in range(60):
        (project / f"copy{number}.py").write_text((SAMPLES / "app.py").read_text())
    assert taken(jobs=1) == taken(jobs=2)


def test_an_address_of_a_client_is_its_provider_whichever_file_comes_first(project: Path) -> None:
    (project / "a.py").write_text('client = OpenAI(base_url="https://api.mistral.ai/v1")\n')
    (project / "z.py").write_text('ADDRESS = "https://api.mistral.ai/v1/chat"\n')
    assert names(taken(), Kind.SERVICE) == [
        "Anthropic", "Mistral AI", "OpenAI", "llm.example.org",
    ]  # fmt: skip


def test_what_is_not_looked_at_is_said(project: Path) -> None:
    (project / "broken.py").write_text("def f(:\n")
    (project / "pyproject.toml").write_text("[project\n")
    (project / "yarn.lock").write_text("")
    (project / ".gitignore").write_text("*.gguf\n")
    (project / "model.gguf").write_bytes(b"GGUF")
    reasons = {notice.subject: notice for notice in taken().notices}
    assert reasons["broken.py"].incomplete
    assert "the packages in it are not known" in reasons["pyproject.toml"].reason
    assert reasons["pyproject.toml"].incomplete
    assert not reasons["yarn.lock"].incomplete
    assert "model.gguf" in reasons["left out"].reason


def test_models_data_prompts_and_notebooks_are_known_by_their_names() -> None:
    wanted = {
        "a/b.safetensors": Kind.MODEL, "m.PT": None, "m.pt": Kind.MODEL,
        "pytorch_model-1.bin": Kind.MODEL,
        "x.bin": None, "data/train.csv": Kind.DATASET, "sales.csv": None,
        "datasets/x/a.parquet": Kind.DATASET,
        "AGENTS.md": Kind.PROMPT, "prompts/x.txt": Kind.PROMPT, "prompts/README.md": None,
        "a.ipynb": Kind.NOTEBOOK, "a.py": None,
    }  # fmt: skip
    assert {name: kind_of_file(PurePosixPath(name)) for name in wanted} == wanted


def test_a_file_is_hashed_in_pieces_up_to_a_bound(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(b"x" * (3 << 20))
    source = SourceFile(file, PurePosixPath("m.gguf"))
    digest, size = digest_of_file(source)
    assert (len(digest), size) == (64, 3 << 20)
    with pytest.raises(UnreadableError, match="too large to hash"):
        digest_of_file(source, largest=1 << 20)


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        (
            "requirements.txt",
            "# x\n-r other.txt\nopenai==1.2.3  # why\n"
            "langchain[all]>=0.2 ; python_version>'3'\nnot a requirement !\n",
            [("openai", "1.2.3", 3), ("langchain", "", 4)],
        ),
        (
            "pyproject.toml",
            '[project]\ndependencies = [\n  "openai>=1",\n]\n'
            '[tool.poetry.dependencies]\npython = "^3"\ntorch = "2.1"\n'
            '[dependency-groups]\ndev = ["mcp==1.0"]\n',
            [("openai", "", 3), ("mcp", "1.0", 9), ("torch", "", 1)],
        ),
        ("uv.lock", '[[package]]\nname = "openai"\nversion = "1.9"\n', [("openai", "1.9", 2)]),
        (
            "package.json",
            '{"dependencies": {\n "ai": "^5.0.0",\n "openai": "6.1.0"}}',
            [("ai", "", 2), ("openai", "6.1.0", 3)],
        ),
        (
            "package-lock.json",
            '{"packages": {"": {},\n "node_modules/@ai-sdk/openai": {"version": "2.0.1"}}}',
            [("@ai-sdk/openai", "2.0.1", 2)],
        ),
        (
            "package-lock.json",
            '{"dependencies": {"ai": {"version": "3.0.0"}}}',
            [("ai", "3.0.0", 1)],
        ),
        ("notes.txt", "openai==1\n", []),
    ],
)
def test_manifests(name: str, text: str, found: list[tuple[str, str, int]]) -> None:
    read = declared_in(PurePosixPath(name), text)
    assert [(one.name, one.version, one.line) for one in read] == found
    assert all(isinstance(one, Declared) for one in read)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", "[project"), ("package.json", "[1]"), ("package.json", "{"),
        ("package.json", '{"dependencies": [1]}'), ("uv.lock", "package = [1]"),
        ("pyproject.toml", "[project]\ndependencies = 3"), ("package.json", "[" * 100_000),
        ("package-lock.json", '{"packages": {"node_modules/x": 3}}'),
    ],
)  # fmt: skip
def test_a_manifest_that_is_wrong_is_said_and_stops_nothing(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        declared_in(PurePosixPath(name), text)


def test_packages_have_roles_and_modules_lead_to_them() -> None:
    assert role_of("pypi", "LangChain_OpenAI") == "framework"
    assert role_of("npm", "@ai-sdk/openai") == "provider library"
    assert role_of("npm", "@ai-sdk/react") == "framework"
    assert role_of("pypi", "requests") == ""
    assert package_of_import("pypi", "google.genai.types") == "google-genai"
    assert package_of_import("pypi", "sklearn.svm") == "scikit-learn"
    assert package_of_import("pypi", "json") == ""
    assert package_of_import("npm", "@langchain/core/messages") == "@langchain/core"
    assert package_of_import("npm", "./ai") == ""
    assert is_unread(PurePosixPath("setup.py"))
    assert not is_unread(PurePosixPath("app/setup.py"))


def test_own_packages_are_no_parts(project: Path) -> None:
    (project / "transformers").mkdir()
    (project / "transformers" / "__init__.py").write_text("")
    assert "transformers" not in names(taken(), Kind.PACKAGE)


def test_samples_are_json_and_code() -> None:
    assert json.loads((SAMPLES / "mcp.json").read_text())

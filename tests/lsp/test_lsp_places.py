"""Names that clients send: which mean a file, and of which folder."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from tavo.lsp.places import Folder, folder_of, name_of, path_of_uri


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///a/b.py", "/a/b.py"),
        ("file://localhost/a/b.py", "/a/b.py"),
        ("FILE:///a/b.py", "/a/b.py"),
        ("file:///a/%C3%A9%20%23.py", "/a/é #.py"),
        ("file:///a/%252e%252e/b.py", "/a/%2e%2e/b.py"),
        ("file:///a/..b.py", "/a/..b.py"),
    ],
)
def test_uris_that_mean_a_file(uri: str, path: str) -> None:
    assert path_of_uri(uri) == Path(path)


@pytest.mark.parametrize(
    "uri",
    [
        "", "a.py", "/a/b.py", "untitled:a.py", "http://a/b.py", "file:a.py", "file://server/share/b.py",
        "file:///a/../etc/passwd", "file:///a/%2e%2e/etc/passwd", "file:///a/.%2E/b",
        "file:///a%2f..%2fetc", "file:///a%5Cb", "file:///a%00b.py", "file:///a/%ff.py",
        "file:///a.py?x=1", "file:///a.py#frag", "vscode-notebook-cell:/a.ipynb#W0",
        "file://[bad/a.py", "jar:file:///a.zip!/b.py", "file:///" + "a" * 9_000,
    ],
)  # fmt: skip
def test_uris_that_mean_no_file(uri: str) -> None:
    assert path_of_uri(uri) is None
    assert folder_of(uri) is None


def test_a_file_belongs_to_the_innermost_folder() -> None:
    outer, inner = Folder("file:///w", Path("/w")), Folder("file:///w/in", Path("/w/in"))
    found = name_of("file:///w/in/a/b.py", "python", [outer, inner])
    assert (found.relative, found.folder) == (PurePosixPath("a/b.py"), inner)
    assert name_of("file:///w/x.py", "python", [outer, inner]).folder == outer
    outside = name_of("file:///elsewhere/x.py", "python", [outer, inner])
    assert (outside.relative, outside.folder) == (PurePosixPath("x.py"), None)
    assert name_of("file:///w/../elsewhere/x.py", "python", [outer]).folder is None


@pytest.mark.parametrize(
    ("uri", "language", "name"),
    [
        ("untitled:Untitled-1", "python", "Untitled-1.py"),
        ("untitled:a.py", "python", "a.py"),
        ("untitled:", "typescript", "untitled.ts"),
        ("x-odd://h/../../etc/passwd", "javascript", "passwd.js"),
        ("untitled:\x00\n..", "python", "untitled.py"),
        ("untitled:Dockerfile", "dockerfile", "Dockerfile.dockerfile"),
        ("inmemory://model/1", "cobol", "1"),
    ],
)
def test_what_is_no_file_is_called_by_its_language(uri: str, language: str, name: str) -> None:
    found = name_of(uri, language, [])
    assert str(found.relative) in (name, "__.py" if "\x00" in uri else name)
    assert found.folder is None


def test_uris_of_files_begin_as_the_client_s_folder_does() -> None:
    folder = Folder("file:///c%3A/w/", Path("/c:/w"))
    assert folder.uri_of(PurePosixPath("a b/é#.py")) == "file:///c%3A/w/a%20b/%C3%A9%23.py"
    assert path_of_uri(folder.uri_of(PurePosixPath("a b/é#.py"))) == Path("/c:/w/a b/é#.py")


def test_only_folders_that_are_there_are_folders(tmp_path: Path) -> None:
    assert folder_of(tmp_path.as_uri()) is not None
    (tmp_path / "file").touch()
    assert folder_of((tmp_path / "file").as_uri()) is None
    assert folder_of((tmp_path / "none").as_uri()) is None

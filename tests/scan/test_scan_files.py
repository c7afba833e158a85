"""Which files are scanned and what their bytes mean."""

import os
import sys
import time
from pathlib import Path

import pytest

from tavo.errors import InputError
from tavo.scan.files import SourceFile, UnreadableError, decode, read, scan_root, walk


def make(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def names(root: Path, *targets: str, exclude: tuple[str, ...] = ()) -> list[str]:
    chosen = [root / target for target in targets] or [root]
    return [str(file.relative) for file in walk(chosen, root, exclude=exclude)]


def problems(root: Path) -> list[tuple[str, str]]:
    """The files of a folder that cannot be used, and why."""
    return [(str(one.relative), one.problem) for one in walk([root], root) if one.problem]


def test_files_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    make(tmp_path, {"b.py": "", "a/z.py": "", "a/b.py": "", "c.py": ""})
    assert names(tmp_path) == ["a/b.py", "a/z.py", "b.py", "c.py"]


def test_what_is_never_looked_into(tmp_path: Path) -> None:
    make(tmp_path, {f"{folder}/x.py": "" for folder in (".git", "node_modules", ".venv", "src")})
    assert names(tmp_path) == ["src/x.py"]


def test_ignore_files_outside_a_git_checkout(tmp_path: Path) -> None:
    make(tmp_path, {
        ".gitignore": "*.log\nbuild/\n!keep.log\n", "a.log": "", "keep.log": "", "build/x.py": "",
        "src/.tavoignore": "/made.py\n", "src/made.py": "", "src/deep/made.py": "", "src/x.py": "",
    })  # fmt: skip
    assert names(tmp_path) == [
        ".gitignore", "keep.log", "src/.tavoignore", "src/deep/made.py", "src/x.py",
    ]  # fmt: skip


def test_ignore_files_above_the_target_count_inside_a_git_checkout(tmp_path: Path) -> None:
    make(tmp_path, {".git/HEAD": "", ".gitignore": "made.py\n", "src/made.py": "", "src/x.py": ""})
    assert names(tmp_path, "src") == ["src/x.py"]


def test_an_inner_ignore_file_overrules_an_outer_one(tmp_path: Path) -> None:
    make(
        tmp_path, {".gitignore": "*.py\n", "src/.gitignore": "!x.py\n", "src/x.py": "", "y.py": ""}
    )
    assert names(tmp_path) == [".gitignore", "src/.gitignore", "src/x.py"]


def test_a_named_file_is_scanned_whatever_is_ignored(tmp_path: Path) -> None:
    make(tmp_path, {".gitignore": "x.py\n", "x.py": ""})
    assert names(tmp_path, "x.py", "x.py") == ["x.py"]


def test_semgreps_ignore_file_is_read_with_what_it_includes(tmp_path: Path) -> None:
    make(tmp_path, {
        ".semgrepignore": "# ours\nmade/\n:include more/.ignored\n!made_by_hand.py\n",
        "more/.ignored": "*_pb2.py\n:include nothing\n", "made/x.py": "", "a_pb2.py": "",
        "made_by_hand.py": "", "x.py": "", ".tavoignore": "!keep_pb2.py\n", "keep_pb2.py": "",
    })  # fmt: skip
    assert [name for name in names(tmp_path) if name.endswith(".py")] == [
        "keep_pb2.py", "made_by_hand.py", "x.py",
    ]  # fmt: skip
    assert problems(tmp_path) == []


@pytest.mark.parametrize(
    "line",
    [":include ../outside", ":include /etc/hosts", ":include missing", ":include link",
     ":include folder", ":exclude x.py", ":include", ":include linked/file"],
)  # fmt: skip
def test_what_semgreps_ignore_file_cannot_include_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "outside").write_text("x.py\n")
    root = make(tmp_path / "root", {".semgrepignore": f"{line}\ny.py\n", "x.py": "", "y.py": "",
                                    "folder/file": "x.py\n"})  # fmt: skip
    (root / "link").symlink_to(tmp_path / "outside")
    (root / "linked").symlink_to(root / "folder")
    assert [name for name in names(root) if name.endswith(".py")] == ["x.py"]
    ((path, problem),) = problems(root)
    assert path == ".semgrepignore"
    assert line in problem


def test_own_exclusions(tmp_path: Path) -> None:
    make(tmp_path, {"a/x.py": "", "b/x.py": ""})
    assert names(tmp_path, exclude=("a/",)) == ["b/x.py"]


def test_links_out_of_the_root_and_loops_are_not_followed(tmp_path: Path) -> None:
    outside = make(tmp_path / "outside", {"secret.py": ""})
    root = make(tmp_path / "root", {"x.py": "", "d/y.py": ""})
    (root / "file.py").symlink_to(outside / "secret.py")
    (root / "folder").symlink_to(outside)
    (root / "loop").symlink_to(root)
    (root / "inner.py").symlink_to(root / "x.py")
    (root / "dangling.py").symlink_to(root / "nowhere")
    assert names(root) == ["d/y.py", "inner.py", "x.py"]


def test_special_files_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    assert names(tmp_path) == []
    with pytest.raises(UnreadableError, match="not a regular file"):
        read(SourceFile(tmp_path / "pipe.py", Path("pipe.py")), largest=10)  # type: ignore[arg-type]


def test_a_missing_target_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder") as caught:
        scan_root([tmp_path / "nothing"])
    assert "Check the path" in caught.value.hint


def test_a_file_that_is_too_large_is_named(tmp_path: Path) -> None:
    file = SourceFile(make(tmp_path, {"x.py": "12345"}) / "x.py", Path("x.py"))  # type: ignore[arg-type]
    assert read(file, largest=5) == b"12345"
    with pytest.raises(UnreadableError, match="too large: 5 bytes, at most 4"):
        read(file, largest=4)


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_a_folder_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0)
    (found,) = list(walk([tmp_path], tmp_path))
    assert "cannot be read" in found.problem


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"x = 'plain'", "x = 'plain'"),
        ("x = 'é'".encode(), "x = 'é'"),
        (b"\xef\xbb\xbfx", "x"),
        ("x = 'é'".encode("utf-16"), "x = 'é'"),
        ("# coding: latin-1\nx = 'é'".encode("latin-1"), "# coding: latin-1\nx = 'é'"),
        ("#!/bin/python\n# -*- coding: cp1252 -*-\n'é'".encode("cp1252"),
         "#!/bin/python\n# -*- coding: cp1252 -*-\n'é'"),
        ("# coding: utf-8\n'é'".encode(), "# coding: utf-8\n'é'"),
    ],
)  # fmt: skip
def test_text_in_any_declared_encoding_becomes_utf8(data: bytes, wanted: str) -> None:
    content = decode(data)
    assert content.is_text
    assert content.data.decode() == wanted


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"x = '\xff'", "not UTF-8 at byte 5"),
        (b"# coding: no-such-thing\n\xff", "not text in no-such-thing"),
        (b"# coding: zip\n\xff", "not text in zip"),
        (b"x\n\n\n# coding: latin-1\n\xff", "not UTF-8"),
        (b"\xff\xfe\x00", "not text in utf-16-le"),
    ],
)
def test_bytes_that_are_not_text_say_why(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason):
        decode(data)


def test_binary_is_no_text_and_no_error() -> None:
    assert not decode(b"\x7fELF\0\0").is_text


def test_ignore_patterns_that_explode_are_named_and_the_others_hold(tmp_path: Path) -> None:
    many = "\n".join(f"**/a{n}*/**/b*" for n in range(3_000))  # more than the engine takes at once
    (tmp_path / ".gitignore").write_text("[" * 100_000 + f"\n{many}\nleft.py\n")
    for name in ("left.py", "kept.py"):
        (tmp_path / name).write_text("")
    (tmp_path / "a7x" / "c").mkdir(parents=True)
    (tmp_path / "a7x" / "c" / "b.py").write_text("")
    began = time.process_time()
    found = list(walk([tmp_path], tmp_path))
    assert time.process_time() - began < 10
    (problem,) = [file.problem for file in found if file.problem]
    assert problem.startswith("the pattern '[[[")
    assert problem.endswith("is not valid: it has more than 500 characters")
    assert {file.path.name for file in found if not file.problem} >= {"kept.py"}
    assert not {file.path.name for file in found} & {"left.py", "b.py"}


@pytest.mark.skipif(sys.platform != "linux", reason="names are text here")
def test_a_name_that_is_no_text_beside_ignore_patterns(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("x\n")
    (tmp_path / os.fsdecode(b"bad\xff.py")).write_text("")
    assert len(list(walk([tmp_path], tmp_path))) == 2

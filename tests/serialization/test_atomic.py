from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fastlstm.errors import WriteError
from fastlstm.serialization.atomic import check_writable, write_file, write_folder

OLD = {"config.json": b"old config", "weights": b"old weights", "sub/deep/notes": b"old notes"}
NEW = {"config.json": b"new config", "weights": b"new weights" * 1000, "sub/table": b"", "other/list": b"new"}
CALLS = ("write", "fsync", "rename", "replace", "mkdir")
"""What the operating system can refuse while files are written, by their names in `os`."""


def contents(path: Path) -> bytes | dict[str, bytes]:
    """A file's content, or that of every file of a folder by its path inside."""
    if path.is_file():
        return path.read_bytes()
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def refuse(monkeypatch: pytest.MonkeyPatch, turn: int, error: BaseException) -> Callable[[], int]:
    """Makes the call number `turn` to anything in `CALLS` raise; returns how many calls there were."""
    count = 0

    def patched(original: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            nonlocal count
            count += 1
            if count == turn:
                raise error
            return original(*arguments, **options)

        return call

    for name in CALLS:
        monkeypatch.setattr(os, name, patched(getattr(os, name)))
    return lambda: count


def old_file(path: Path) -> bytes:
    path.write_bytes(b"old")
    return b"old"


def old_folder(path: Path) -> dict[str, bytes]:
    write_folder(path, OLD)
    return OLD


def write_new_file(path: Path) -> None:
    write_file(path, b"new" * 1000)


def write_new_folder(path: Path) -> None:
    write_folder(path, NEW)


def outcome(write: Callable[[Path], None], path: Path) -> str | None:
    """The message of the `WriteError` that writing raised, if it did."""
    try:
        write(path)
    except WriteError as error:
        return str(error)
    return None


KINDS = pytest.mark.parametrize(("old", "write"), [(old_file, write_new_file), (old_folder, write_new_folder)])
Old = Callable[[Path], object]
Write = Callable[[Path], None]


def test_a_file_is_written_and_written_over(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"", b"first", b"x" * 300_000, b"third"):
        write_file(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_written_with_its_parents_and_sub_folders(tmp_path: Path) -> None:
    path = tmp_path / "some" / "where" / "model"
    write_folder(path, OLD)
    assert contents(path) == OLD
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_takes_the_place_of_an_old_one_wholly(tmp_path: Path) -> None:
    path = tmp_path / "model"
    write_folder(path, OLD)
    write_folder(path, NEW)
    assert contents(path) == NEW
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_can_be_read_by_all(tmp_path: Path) -> None:
    write_folder(tmp_path / "model", OLD)
    assert (tmp_path / "model").stat().st_mode & 0o777 == 0o755


def test_an_empty_folder_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    write_folder(tmp_path / "model", NEW)
    assert contents(tmp_path / "model") == NEW


def test_a_link_is_replaced_and_what_it_points_to_stays(tmp_path: Path) -> None:
    write_folder(tmp_path / "version-1", OLD)
    (tmp_path / "model").symlink_to("version-1")
    write_folder(tmp_path / "model", NEW)
    assert contents(tmp_path / "model") == NEW
    assert contents(tmp_path / "version-1") == OLD
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "version-1"]


@KINDS
@pytest.mark.parametrize("stands", [True, False])
def test_whatever_the_system_refuses_the_old_content_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: Old, write: Write, stands: bool
) -> None:
    failures = 0
    for turn in range(1, 100):
        path = tmp_path / str(turn) / "target"
        path.parent.mkdir()
        before = old(path) if stands else None
        with monkeypatch.context() as patch:
            calls = refuse(patch, turn, OSError(errno.ENOSPC, "No space left on device"))
            message = outcome(write, path)
            last = calls() < turn
        if message is None:
            assert contents(path) == (b"new" * 1000 if path.is_file() else NEW)
        else:
            failures += 1
            assert message == (
                f"can't write {path}: No space left on device; what stood there is untouched; "
                "free the disk, or choose another place"
            )
            assert (contents(path) if path.exists() else None) == before
        assert [entry.name for entry in path.parent.iterdir()] == (["target"] if path.exists() else [])
        if last:
            break
    assert last
    assert failures >= 3


@KINDS
@pytest.mark.parametrize("turn", [1, 2, 3])
def test_an_interrupt_leaves_the_old_content_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: Old, write: Write, turn: int
) -> None:
    before = old(tmp_path / "target")
    with monkeypatch.context() as patch:
        refuse(patch, turn, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / "target")
    assert contents(tmp_path / "target") == before
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_the_old_folder_comes_back_if_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, renamed, rename = tmp_path / "model", [], os.rename
    write_folder(path, OLD)

    def refuse_second(source: Path, target: Path) -> None:
        renamed.append((Path(source).name, Path(target).name))
        if len(renamed) == 2:
            raise OSError(errno.EACCES, "Permission denied")
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", refuse_second)
        with pytest.raises(WriteError, match="Permission denied; what stood there is untouched"):
            write_folder(path, NEW)
    (_, aside), (_, name), back = renamed
    assert name == "model"
    assert back == (aside, "model")
    assert contents(path) == OLD
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_takes_only_some_bytes_at_a_time_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, write = bytes(range(256)) * 4, os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, view: write(descriptor, view[:100]))
        write_file(tmp_path / "file", content)
    assert (tmp_path / "file").read_bytes() == content


SCRIPT = """
import resource, sys
from pathlib import Path
from fastlstm.serialization.atomic import write_file, write_folder
from fastlstm.errors import WriteError

resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
content = b"x" * 100_000
for write in (
    lambda: write_file(Path(sys.argv[1]), content),
    lambda: write_folder(Path(sys.argv[2]), {"small": b"new", "large": content}),
):
    try:
        write()
    except WriteError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs setrlimit")
def test_a_file_larger_than_the_system_allows_leaves_the_old_content(tmp_path: Path) -> None:
    file, folder = tmp_path / "file", tmp_path / "model"
    file.write_bytes(b"old")
    write_folder(folder, OLD)
    command = [sys.executable, "-c", SCRIPT, str(file), str(folder)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert [line.partition(": ")[0] for line in output] == [f"can't write {file}", f"can't write {folder}"]
    assert all("File too large" in line for line in output)
    assert (contents(file), contents(folder)) == (b"old", OLD)
    assert sorted(tmp_path.iterdir()) == [file, folder]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc")
@pytest.mark.parametrize("write", [write_new_file, write_new_folder, check_writable])
@pytest.mark.parametrize("target", ["/proc/model", "/proc/self/some/where/model"])
def test_a_place_where_nothing_can_be_written_is_told(write: Write, target: str) -> None:
    with pytest.raises(WriteError, match=f"^can't write {target}: .*; free the disk, or choose another place$"):
        write(Path(target))


@pytest.mark.parametrize("write", [write_new_file, write_new_folder, check_writable])
def test_a_parent_that_is_a_file_is_told(tmp_path: Path, write: Write) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(WriteError, match=r"Not a directory|File exists"):
        write(tmp_path / "file" / "model")
    assert contents(tmp_path) == {"file": b"old"}


@pytest.mark.parametrize("name", ["model", "some/where/model", "."])
def test_checking_a_place_leaves_nothing_behind(tmp_path: Path, name: str) -> None:
    check_writable(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_checking_a_place_leaves_what_stands_there(tmp_path: Path) -> None:
    write_folder(tmp_path / "model", OLD)
    check_writable(tmp_path / "model")
    assert contents(tmp_path) == {f"model/{name}": content for name, content in OLD.items()}


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_a_file_has_the_permissions_of_any_new_one(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    write_file(tmp_path / "written", b"content")
    assert (tmp_path / "written").stat().st_mode == (tmp_path / "usual").stat().st_mode

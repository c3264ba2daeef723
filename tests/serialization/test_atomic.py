from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fastlstm.errors import WriteError
from fastlstm.serialization.atomic import check_writable, write_file, write_folder

Contents = dict[str, bytes]
WriteOld = Callable[[Path], object]
Write = Callable[[Path], None]

OLD = {"config.json": b"old config", "weights": b"old weights", "sub/deep/notes": b"old notes"}
NEW = {"config.json": b"new config", "weights": b"new weights" * 1000, "sub/table": b"", "other/list": b"new"}
SYSTEM_CALLS = ("write", "fsync", "rename", "replace", "mkdir")
"""Functions of `os` that can fail during a write."""


def contents(path: Path) -> bytes | Contents:
    """Return the content of a file, or of every file of a folder by relative path."""
    if path.is_file():
        return path.read_bytes()
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def fail_at(monkeypatch: pytest.MonkeyPatch, number: int, error: BaseException) -> Callable[[], int]:
    """Make the `number`-th of all system calls raise. Return a function that returns how many calls were made."""
    count = 0

    def patched(original: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            nonlocal count
            count += 1
            if count == number:
                raise error
            return original(*arguments, **options)

        return call

    for name in SYSTEM_CALLS:
        monkeypatch.setattr(os, name, patched(getattr(os, name)))
    return lambda: count


def write_old_file(path: Path) -> bytes:
    path.write_bytes(b"old")
    return b"old"


def write_old_folder(path: Path) -> Contents:
    write_folder(path, OLD)
    return OLD


def write_new_file(path: Path) -> None:
    write_file(path, b"new" * 1000)


def write_new_folder(path: Path) -> None:
    write_folder(path, NEW)


def write_error(write: Write, path: Path) -> WriteError | None:
    """Return the error that writing raises, if any."""
    try:
        write(path)
    except WriteError as error:
        return error
    return None


FILE_AND_FOLDER = pytest.mark.parametrize(
    ("write_old", "write"), [(write_old_file, write_new_file), (write_old_folder, write_new_folder)]
)


def test_file_is_written_and_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"", b"first", b"x" * 300_000, b"third"):
        write_file(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_folder_is_written_with_parents_and_subfolders(tmp_path: Path) -> None:
    path = tmp_path / "some" / "where" / "model"
    write_folder(path, OLD)
    assert contents(path) == OLD
    assert list(path.parent.iterdir()) == [path]


def test_folder_replaces_an_existing_one_completely(tmp_path: Path) -> None:
    path = tmp_path / "model"
    write_folder(path, OLD)
    write_folder(path, NEW)
    assert contents(path) == NEW
    assert list(tmp_path.iterdir()) == [path]


def test_folder_is_readable_by_everyone(tmp_path: Path) -> None:
    write_folder(tmp_path / "model", OLD)
    assert (tmp_path / "model").stat().st_mode & 0o777 == 0o755


def test_empty_folder_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    write_folder(tmp_path / "model", NEW)
    assert contents(tmp_path / "model") == NEW


@FILE_AND_FOLDER
@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("target", ["version-1", "other/version-1"])
def test_link_stays_and_its_target_is_written(
    tmp_path: Path, write_old: WriteOld, write: Write, exists: bool, target: str
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "current").symlink_to(target)
    (tmp_path / "model").symlink_to("current")
    if exists:
        write_old(tmp_path / target)
    check_writable(tmp_path / "model")
    write(tmp_path / "model")
    new = contents(tmp_path / target)
    assert new in (NEW, b"new" * 1000)
    assert (tmp_path / "model").readlink() == Path("current")
    assert (tmp_path / "current").readlink() == Path(target)
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("*")} | {target}
    assert names == {"other", "current", "model", target}
    assert len(list((tmp_path / target).parent.iterdir())) == (1 if "/" in target else 4)


def test_folder_behind_a_dangling_link_is_created_with_its_parents(tmp_path: Path) -> None:
    (tmp_path / "model").symlink_to("new/folder/version-1")
    write_folder(tmp_path / "model", NEW)
    assert contents(tmp_path / "new/folder/version-1") == NEW
    assert (tmp_path / "model").is_symlink()


@FILE_AND_FOLDER
def test_loop_of_links_raises_write_error(tmp_path: Path, write_old: WriteOld, write: Write) -> None:
    del write_old
    (tmp_path / "model").symlink_to("other")
    (tmp_path / "other").symlink_to("model")
    error = write_error(write, tmp_path / "model")
    assert error is not None
    assert (error.code, error.path) == ("write-failed", tmp_path / "model")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "other"]


@pytest.mark.skipif(not Path("/dev/null").is_char_device(), reason="needs /dev/null")
def test_device_is_written_and_stays(tmp_path: Path) -> None:
    (tmp_path / "null").symlink_to("/dev/null")
    write_file(tmp_path / "null", b"new")
    assert Path("/dev/null").is_char_device()


@FILE_AND_FOLDER
@pytest.mark.parametrize("exists", [True, False])
def test_old_content_survives_every_failing_system_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_old: WriteOld, write: Write, exists: bool
) -> None:
    failures = 0
    for number in range(1, 100):
        path = tmp_path / str(number) / "target"
        path.parent.mkdir()
        before = write_old(path) if exists else None
        with monkeypatch.context() as patch:
            call_count = fail_at(patch, number, OSError(errno.ENOSPC, "No space left on device"))
            error = write_error(write, path)
            is_last = call_count() < number
        if error is None:
            assert contents(path) == (b"new" * 1000 if path.is_file() else NEW)
        else:
            failures += 1
            assert (error.code, error.path, error.reason) == ("write-failed", path, "No space left on device")
            assert str(path) in str(error)
            assert (contents(path) if path.exists() else None) == before
        assert [entry.name for entry in path.parent.iterdir()] == (["target"] if path.exists() else [])
        if is_last:
            break
    assert is_last
    assert failures >= 3


@FILE_AND_FOLDER
@pytest.mark.parametrize("number", [1, 2, 3])
def test_interrupt_leaves_only_the_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_old: WriteOld, write: Write, number: int
) -> None:
    before = write_old(tmp_path / "target")
    with monkeypatch.context() as patch:
        fail_at(patch, number, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            write(tmp_path / "target")
    assert contents(tmp_path / "target") == before
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_old_folder_is_renamed_back_if_the_new_one_cannot_be_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, renames, rename = tmp_path / "model", [], os.rename
    write_folder(path, OLD)

    def fail_second(source: Path, target: Path) -> None:
        renames.append((Path(source).name, Path(target).name))
        if len(renames) == 2:
            raise OSError(errno.EACCES, "Permission denied")
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", fail_second)
        with pytest.raises(WriteError) as raised:
            write_folder(path, NEW)
    assert raised.value.reason == "Permission denied"
    (_, aside), (_, name), back = renames
    assert name == "model"
    assert back == (aside, "model")
    assert contents(path) == OLD
    assert list(tmp_path.iterdir()) == [path]


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content, write = bytes(range(256)) * 4, os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, view: write(descriptor, view[:100]))
        write_file(tmp_path / "file", content)
    assert (tmp_path / "file").read_bytes() == content


SCRIPT = """
import json, resource, sys
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
        print(json.dumps([str(error.path), error.reason]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs setrlimit")
def test_file_beyond_the_size_limit_leaves_the_old_content(tmp_path: Path) -> None:
    file, folder = tmp_path / "file", tmp_path / "model"
    file.write_bytes(b"old")
    write_folder(folder, OLD)
    command = [sys.executable, "-c", SCRIPT, str(file), str(folder)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    reason = os.strerror(errno.EFBIG)
    assert [json.loads(line) for line in lines] == [[str(file), reason], [str(folder), reason]]
    assert (contents(file), contents(folder)) == (b"old", OLD)
    assert sorted(tmp_path.iterdir()) == [file, folder]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc")
@pytest.mark.parametrize("write", [write_new_file, write_new_folder, check_writable])
@pytest.mark.parametrize("target", ["/proc/model", "/proc/self/some/where/model"])
def test_unwritable_path_raises_write_error(write: Write, target: str) -> None:
    with pytest.raises(WriteError) as raised:
        write(Path(target))
    assert (raised.value.code, raised.value.path) == ("write-failed", Path(target))
    assert raised.value.reason


@pytest.mark.parametrize("write", [write_new_file, write_new_folder, check_writable])
def test_parent_that_is_a_file_raises_write_error(tmp_path: Path, write: Write) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(WriteError) as raised:
        write(tmp_path / "file" / "model")
    assert raised.value.reason in (os.strerror(errno.ENOTDIR), os.strerror(errno.EEXIST))
    assert contents(tmp_path) == {"file": b"old"}


@pytest.mark.parametrize("name", ["model", "some/where/model", "."])
def test_check_writable_leaves_nothing_behind(tmp_path: Path, name: str) -> None:
    check_writable(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_check_writable_leaves_existing_files_unchanged(tmp_path: Path) -> None:
    write_folder(tmp_path / "model", OLD)
    check_writable(tmp_path / "model")
    assert contents(tmp_path) == {f"model/{name}": content for name, content in OLD.items()}


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_file_has_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    write_file(tmp_path / "written", b"content")
    assert (tmp_path / "written").stat().st_mode == (tmp_path / "usual").stat().st_mode

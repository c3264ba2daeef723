"""Objects of S3 as source and sink of `score`, on a server with the same protocol."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow import fs
from tests.helpers.scoring import ids, make_table, read_rows, score_uris, write_table

from fastlstm.errors import DataError, OptionError
from fastlstm.inference import Classifier
from fastlstm.scoring import file_readers

moto_server = pytest.importorskip("moto.server")
pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning")  # those of the server


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The URI of a bucket, with a placeholder for the path."""
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "not-to-be-shown")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        uri = f"s3://reviews/{{}}?endpoint_override={host}:{port}&scheme=http&region=us-east-1"
        filesystem, _ = fs.FileSystem.from_uri(uri.format("") + "&allow_bucket_creation=true")
        filesystem.create_dir("reviews")
        yield uri
    server.stop()


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_readers, "ROWS_PER_CHUNK", 7)


def upload(bucket: str, local: Path, name: str) -> None:
    filesystem, path = fs.FileSystem.from_uri(bucket.format(name))
    with filesystem.open_output_stream(path, compression=None) as stream:
        stream.write(local.read_bytes())


def files_of(bucket: str, name: str) -> list[str]:
    filesystem, path = fs.FileSystem.from_uri(bucket.format(name))
    infos = filesystem.get_file_info(fs.FileSelector(path, recursive=True, allow_not_found=True))
    return sorted(info.path.removeprefix(f"{path}/") for info in infos if info.is_file)


def download(bucket: str, name: str, local: Path) -> Path:
    filesystem, path = fs.FileSystem.from_uri(bucket.format(name))
    with filesystem.open_input_stream(path, compression=None) as stream:
        local.write_bytes(stream.read())
    return local


def test_partitioned_objects_become_one_object_per_commit(
    bucket: str, classifier: Classifier, tmp_path: Path
) -> None:
    for part in range(2):
        local = write_table(tmp_path / f"{part}.parquet", make_table(20, first=20 * part))
        upload(bucket, local, f"in/year=202{part}/a.parquet")
    result = score_uris(classifier, bucket.format("in"), bucket.format("out"), rows_per_commit=14)
    assert result.rows == 40
    assert len([name for name in files_of(bucket, "out") if name.startswith("part-")]) == 3
    again = score_uris(classifier, bucket.format("out"), str(tmp_path / "back.parquet"), prefix="again_")
    assert again.rows == 40


@pytest.mark.parametrize("name", ["all.parquet", "all.csv.gz", "all.jsonl"])
def test_one_object_is_complete(bucket: str, classifier: Classifier, tmp_path: Path, name: str) -> None:
    upload(bucket, write_table(tmp_path / "in.csv.gz", make_table(30)), "single/in.csv.gz")
    score_uris(classifier, bucket.format("single/in.csv.gz"), bucket.format(f"done/{name}"), rows_per_commit=10)
    assert f"{name}.incomplete/" not in "".join(files_of(bucket, "done"))
    local = download(bucket, f"done/{name}", tmp_path / name)
    result = score_uris(classifier, str(local), str(tmp_path / "check.jsonl"), prefix="again_")
    assert result.rows == 30


def test_an_interrupted_run_continues(bucket: str, classifier: Classifier, tmp_path: Path) -> None:
    local = write_table(tmp_path / "in.csv", make_table(20))
    content = local.read_text().splitlines(keepends=True)
    local.write_text("".join([*content, "1,2\n"]))
    upload(bucket, local, "bad/in.csv")
    source, sink = bucket.format("bad/in.csv"), bucket.format("kept")
    with pytest.raises(DataError) as error:
        score_uris(classifier, source, sink, on_bad_rows="stop", rows_per_commit=7)
    assert error.value.code == "bad-csv-row"
    result = score_uris(classifier, source, sink, resume=True)
    assert (result.rows, result.bad_rows) == (20, {"bad-csv-row": 1})
    local = tmp_path / "kept"
    local.mkdir()
    for name in files_of(bucket, "kept"):
        download(bucket, f"kept/{name}", local / name)
    assert list(map(int, ids(read_rows(local)))) == list(range(20))


def test_missing_objects_and_existing_results_raise(bucket: str, classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(DataError) as missing:
        score_uris(classifier, bucket.format("nothing"), str(tmp_path / "out"))
    assert missing.value.code == "file-not-found"
    upload(bucket, write_table(tmp_path / "in.parquet", make_table(3)), "few/in.parquet")
    score_uris(classifier, bucket.format("few"), bucket.format("result"))
    with pytest.raises(OptionError) as exists:
        score_uris(classifier, bucket.format("few"), bucket.format("result"))
    assert exists.value.code == "output-exists"
    score_uris(classifier, bucket.format("few"), bucket.format("result"), overwrite=True)

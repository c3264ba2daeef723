import numpy as np

from fastlstm.language_model import corpus
from fastlstm.text.tokenizer import BOUNDARY_ID

TEXTS = [np.arange(start, start + length, dtype=np.int32) for start, length in ((2, 5), (20, 1), (40, 9), (60, 4))]


def read_along(streams: np.ndarray) -> list[int]:
    """The tokens of all streams, one stream after the other."""
    return [int(token) for stream in streams.T for token in stream]


def test_every_text_is_read_once_between_boundaries() -> None:
    tokens = read_along(corpus.streams(TEXTS, 1, np.random.default_rng(3), reverse=False))
    assert tokens[0] == tokens[-1] == BOUNDARY_ID
    texts = " ".join(map(str, tokens)).split(f" {BOUNDARY_ID} ")
    pieces = sorted(tuple(int(t) for t in text.split() if int(t) != BOUNDARY_ID) for text in texts)
    assert pieces == sorted(tuple(text.tolist()) for text in TEXTS)


def test_backward_texts_are_read_from_their_ends() -> None:
    tokens = read_along(corpus.streams(TEXTS[:1], 1, np.random.default_rng(3), reverse=True))
    assert tokens == [BOUNDARY_ID, 6, 5, 4, 3, 2, BOUNDARY_ID]


def test_streams_have_one_length_and_lose_fewer_tokens_than_there_are_streams() -> None:
    whole = read_along(corpus.streams(TEXTS, 1, np.random.default_rng(3), reverse=False))
    streams = corpus.streams(TEXTS, 5, np.random.default_rng(3), reverse=False)
    assert streams.shape == (len(whole) // 5, 5)
    assert read_along(streams) == whole[: streams.size]


def test_windows_foretell_each_next_token_and_follow_each_other() -> None:
    stream = corpus.streams(TEXTS, 2, np.random.default_rng(0), reverse=False)
    windows = list(corpus.windows(stream, 4))
    assert len(windows) == corpus.window_count(len(stream), 4)
    read = np.concatenate([window.read for window in windows])
    expected = np.concatenate([window.expected for window in windows])
    np.testing.assert_array_equal(read, stream[:-1])
    np.testing.assert_array_equal(expected, stream[1:])
    later = list(corpus.windows(stream, 4, 1))
    np.testing.assert_array_equal(later[0].read, windows[1].read)
    assert len(later) == len(windows) - 1

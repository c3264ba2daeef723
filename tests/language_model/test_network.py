import numpy as np

from fastlstm.language_model.network import EVEN_SAMPLE, WindowVocabulary


def test_the_whole_vocabulary_has_a_sample_of_even_size_and_finds_words_where_they_stood() -> None:
    sample = np.array([0, 3, 4, 9], np.int32)
    words = WindowVocabulary.all(sample, np.zeros(4, np.float32), 12)
    assert len(words.sampled) == len(words.log_chances) == EVEN_SAMPLE
    assert np.isinf(words.log_chances[4:]).all()
    ids = np.array([9, 0, 5, 3], np.int32)
    np.testing.assert_array_equal(words.rows(ids), ids)
    np.testing.assert_array_equal(words.hits(words.rows(ids)), [3, 0, -1, 1])

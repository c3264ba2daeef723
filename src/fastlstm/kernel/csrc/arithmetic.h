// How products are taken: in float32, or of weights and states rounded to less, whose sums stay exact or float32.
//
// The operands of a product are words of 32 bits, each with `group` numbers that are multiplied and summed by one
// instruction. They travel as floats, whose bits a copy leaves alone.
#ifndef FASTLSTM_ARITHMETIC_H
#define FASTLSTM_ARITHMETIC_H

#include <math.h>
#include <string.h>

#include "vector.h"

namespace fastlstm {
namespace FASTLSTM_ISA {

struct Float32 {
    static constexpr int group = 1;
    static constexpr bool scaled = false;
    static constexpr int64_t most_columns = int64_t(1) << 18;
    static Vector multiply_add(Vector a, Vector b, Vector sum) { return FASTLSTM_ISA::multiply_add(a, b, sum); }
};

#if defined(__AVX512BF16__)

// Round to nearest, as the instruction does; NaN stays NaN.
struct BFloat16 {
    static constexpr int group = 2;
    static constexpr bool scaled = false;
    static constexpr int64_t most_columns = int64_t(1) << 18;
    static Vector multiply_add(Vector a, Vector b, Vector sum) {
        return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
    }
    static void narrow(Vector x, float *words, int64_t at) {
        _mm256_storeu_si256((__m256i *)((uint16_t *)words + at), (__m256i)_mm512_cvtneps_pbh(x));
    }
    static Vector pair(Vector first, Vector second) {
        const __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(first));
        const __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(second));
        return _mm512_castsi512_ps(_mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
    }
    static float scale_of(const float *, int64_t) { return 1; }
    // Packs up to `group` weights times `factor` as a word.
    static int32_t pack(const float *from, int64_t count, float, float factor, float *word) {
        uint16_t halves[group] = {};
        for (int64_t k = 0; k < count; ++k) {
            const float weight = factor * from[k];
            uint32_t bits;
            memcpy(&bits, &weight, sizeof bits);
            const bool nan = weight != weight;
            halves[k] = (uint16_t)((nan ? bits | 0x400000 : bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
        }
        memcpy(word, halves, sizeof halves);
        return 0;
    }
};

#endif
#if defined(__AVX512VNNI__)

// States, which lie in -1 .. 1, as 128 + 127 h in a byte; weights as whole numbers up to 127 times a scale for each
// row. Sums are exact, so their order is free. The scales are fixed: no result depends on what else is computed.
struct Int8 {
    static constexpr int group = 4;
    static constexpr bool scaled = true;
    static constexpr int64_t most_columns = int64_t(1) << 17;  // of 127 x 127, and 128 x 127, stay below 2^31
    static constexpr int32_t zero = 128;
    static constexpr float steps = 127;
    static Vector multiply_add(Vector a, Vector b, Vector sum) {
        return _mm512_castsi512_ps(
            _mm512_dpbusd_epi32(_mm512_castps_si512(sum), _mm512_castps_si512(a), _mm512_castps_si512(b)));
    }
    static void narrow(Vector x, float *words, int64_t at) {
        x = at_least(same(-1), at_most(same(1), x));
        const __m512i bytes = _mm512_add_epi32(_mm512_cvtps_epi32(multiply(x, same(steps))), _mm512_set1_epi32(zero));
        _mm_storeu_si128((__m128i *)((uint8_t *)words + at), _mm512_cvtepi32_epi8(bytes));
    }
    static Vector finish(Vector sum, Vector scale, Vector onto) {
        return FASTLSTM_ISA::multiply_add(_mm512_cvtepi32_ps(_mm512_castps_si512(sum)), scale, onto);
    }
    static float scale_of(const float *row, int64_t count) {
        float most = 0;
        for (int64_t k = 0; k < count; ++k) {
            if (row[k] != row[k]) return row[k];
            most = fabsf(row[k]) > most ? fabsf(row[k]) : most;
        }
        return most > 1e-30f ? most / steps : 1;
    }
    // Packs up to `group` weights as a word, whole numbers times `scale`; returns their sum.
    static int32_t pack(const float *from, int64_t count, float scale, float, float *word) {
        int8_t bytes[group] = {};
        int32_t sum = 0;
        for (int64_t k = 0; k < count; ++k) {
            const float quotient = rintf(from[k] / scale);
            bytes[k] = quotient == quotient ? (int8_t)quotient : 0;  // the scale then is no number either
            sum += bytes[k];
        }
        memcpy(word, bytes, sizeof bytes);
        return sum;
    }
};

#endif

// Words that hold so many numbers.
template <class Arithmetic>
constexpr int64_t words(int64_t numbers) {
    return (numbers + Arithmetic::group - 1) / Arithmetic::group;
}

}  // namespace FASTLSTM_ISA
}  // namespace fastlstm

#endif

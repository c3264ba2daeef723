// Precisions of products: float32, bfloat16 with sums in float32, or int8 with exact sums.
//
// Operands of a product are 32-bit lanes. Each lane holds `group` numbers, which one instruction multiplies
// and adds up.
#ifndef FASTLSTM_PRECISION_INL_H
#define FASTLSTM_PRECISION_INL_H

#include <math.h>
#include <string.h>

#include "vector-inl.h"

namespace fastlstm {
namespace FASTLSTM_ISA {

// 32 bits: one float32, two bfloat16 or four int8. They are passed as float, because the vector type is one
// of floats and copies preserve the bits.
using Lane32 = float;

struct Float32 {
    static constexpr int group = 1;
    static constexpr bool quantized = false;
    static constexpr int64_t max_columns = int64_t(1) << 18;
    static Vector multiply_add(Vector a, Vector b, Vector sum) {
        return FASTLSTM_ISA::multiply_add(a, b, sum);
    }
};

#if defined(__AVX512BF16__)

// Rounds to nearest, as the instruction does. NaN stays NaN.
struct BFloat16 {
    static constexpr int group = 2;
    static constexpr bool quantized = false;
    static constexpr int64_t max_columns = int64_t(1) << 18;
    static Vector multiply_add(Vector a, Vector b, Vector sum) {
        return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
    }
    // Store the numbers of x, rounded, as the numbers at, at + 1, ... of `to`.
    static void store_rounded(Vector x, Lane32 *to, int64_t at) {
        _mm256_storeu_si256((__m256i *)((uint16_t *)to + at), (__m256i)_mm512_cvtneps_pbh(x));
    }
    // Lanes of one number of `first` and one of `second`.
    static Vector interleave(Vector first, Vector second) {
        const __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(first));
        const __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(second));
        return _mm512_castsi512_ps(_mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
    }
    static float row_scale(const float *, int64_t) { return 1; }
    // Pack up to `group` weights times `factor` into a lane.
    static int32_t pack(const float *from, int64_t count, float, float factor, Lane32 *lane) {
        uint16_t halves[group] = {};
        for (int64_t k = 0; k < count; ++k) {
            const float weight = factor * from[k];
            uint32_t bits;
            memcpy(&bits, &weight, sizeof bits);
            const bool nan = weight != weight;
            halves[k] = (uint16_t)((nan ? bits | 0x400000 : bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
        }
        memcpy(lane, halves, sizeof halves);
        return 0;
    }
};

#endif
#if defined(__AVX512VNNI__)

// States in -1 .. 1 are stored as bytes 128 + 127 h, weights as integers -127 .. 127 times a scale per row.
// Sums are exact, so their order does not matter. Scales do not depend on the inputs.
struct Int8 {
    static constexpr int group = 4;
    static constexpr bool quantized = true;
    static constexpr int64_t max_columns = int64_t(1)
                                           << 17;  // sums of 127 x 127 and 128 x 127 stay below 2^31
    static constexpr int32_t zero_point = 128;
    static constexpr float max_level = 127;
    static Vector multiply_add(Vector a, Vector b, Vector sum) {
        return _mm512_castsi512_ps(
            _mm512_dpbusd_epi32(_mm512_castps_si512(sum), _mm512_castps_si512(a), _mm512_castps_si512(b)));
    }
    static void store_rounded(Vector x, Lane32 *to, int64_t at) {
        x = max(broadcast(-1), min(broadcast(1), x));
        const __m512i levels = _mm512_cvtps_epi32(multiply(x, broadcast(max_level)));
        const __m512i bytes = _mm512_add_epi32(levels, _mm512_set1_epi32(zero_point));
        _mm_storeu_si128((__m128i *)((uint8_t *)to + at), _mm512_cvtepi32_epi8(bytes));
    }
    static Vector dequantize(Vector sum, Vector scale, Vector addend) {
        return FASTLSTM_ISA::multiply_add(_mm512_cvtepi32_ps(_mm512_castps_si512(sum)), scale, addend);
    }
    static float row_scale(const float *row, int64_t count) {
        float largest = 0;
        for (int64_t k = 0; k < count; ++k) {
            if (row[k] != row[k]) return row[k];
            largest = fabsf(row[k]) > largest ? fabsf(row[k]) : largest;
        }
        return largest > 1e-30f ? largest / max_level : 1;
    }
    // Pack up to `group` weights into a lane, as integers times `scale`. Return the sum of the integers.
    static int32_t pack(const float *from, int64_t count, float scale, float, Lane32 *lane) {
        int8_t bytes[group] = {};
        int32_t sum = 0;
        for (int64_t k = 0; k < count; ++k) {
            const float quotient = rintf(from[k] / scale);
            bytes[k] = quotient == quotient ? (int8_t)quotient : 0;  // if it is NaN, the scale is NaN too
            sum += bytes[k];
        }
        memcpy(lane, bytes, sizeof bytes);
        return sum;
    }
};

#endif

template <class Precision>
constexpr bool is_rounded = Precision::group > 1;

// Lanes that hold `numbers` numbers.
template <class Precision>
constexpr int64_t lanes32(int64_t numbers) {
    return (numbers + Precision::group - 1) / Precision::group;
}

}  // namespace FASTLSTM_ISA
}  // namespace fastlstm

#endif

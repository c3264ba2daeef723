// Vectors of floats of the instruction set that this compilation is for.
//
// The -inl.h files define functions, in the namespace of the instruction set. Only dispatch.cpp and
// low_precision.cpp, which are compiled for one instruction set, may include them.
#ifndef FASTLSTM_VECTOR_INL_H
#define FASTLSTM_VECTOR_INL_H

#include <stdint.h>

#if defined(__AVX512F__) || defined(__AVX2__) || defined(__SSE4_2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

// Unrolls the loop that follows completely.
#define FASTLSTM_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define FASTLSTM_UNROLL FASTLSTM_PRAGMA(clang loop unroll(full))
#else
#define FASTLSTM_UNROLL FASTLSTM_PRAGMA(GCC unroll 16)
#endif

namespace fastlstm {
namespace FASTLSTM_ISA {

#if defined(__AVX512F__)

using Vector = __m512;
constexpr int lanes = 16, registers = 32;
inline Vector load(const float *from) { return _mm512_loadu_ps(from); }
inline void store(float *to, Vector x) { _mm512_storeu_ps(to, x); }
inline Vector broadcast(float x) { return _mm512_set1_ps(x); }
inline Vector add(Vector a, Vector b) { return _mm512_add_ps(a, b); }
inline Vector subtract(Vector a, Vector b) { return _mm512_sub_ps(a, b); }
inline Vector multiply(Vector a, Vector b) { return _mm512_mul_ps(a, b); }
inline Vector divide(Vector a, Vector b) { return _mm512_div_ps(a, b); }
inline Vector square_root(Vector a) { return _mm512_sqrt_ps(a); }
inline Vector multiply_add(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
// If either operand is NaN, the result is x: NaN stays NaN.
inline Vector min(Vector limit, Vector x) { return _mm512_min_ps(limit, x); }
inline Vector max(Vector limit, Vector x) { return _mm512_max_ps(limit, x); }

#elif defined(__AVX2__)

using Vector = __m256;
constexpr int lanes = 8, registers = 16;
inline Vector load(const float *from) { return _mm256_loadu_ps(from); }
inline void store(float *to, Vector x) { _mm256_storeu_ps(to, x); }
inline Vector broadcast(float x) { return _mm256_set1_ps(x); }
inline Vector add(Vector a, Vector b) { return _mm256_add_ps(a, b); }
inline Vector subtract(Vector a, Vector b) { return _mm256_sub_ps(a, b); }
inline Vector multiply(Vector a, Vector b) { return _mm256_mul_ps(a, b); }
inline Vector divide(Vector a, Vector b) { return _mm256_div_ps(a, b); }
inline Vector square_root(Vector a) { return _mm256_sqrt_ps(a); }
inline Vector multiply_add(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
inline Vector min(Vector limit, Vector x) { return _mm256_min_ps(limit, x); }
inline Vector max(Vector limit, Vector x) { return _mm256_max_ps(limit, x); }

#elif defined(__SSE4_2__)

using Vector = __m128;
constexpr int lanes = 4, registers = 16;
inline Vector load(const float *from) { return _mm_loadu_ps(from); }
inline void store(float *to, Vector x) { _mm_storeu_ps(to, x); }
inline Vector broadcast(float x) { return _mm_set1_ps(x); }
inline Vector add(Vector a, Vector b) { return _mm_add_ps(a, b); }
inline Vector subtract(Vector a, Vector b) { return _mm_sub_ps(a, b); }
inline Vector multiply(Vector a, Vector b) { return _mm_mul_ps(a, b); }
inline Vector divide(Vector a, Vector b) { return _mm_div_ps(a, b); }
inline Vector square_root(Vector a) { return _mm_sqrt_ps(a); }
inline Vector multiply_add(Vector a, Vector b, Vector c) { return _mm_add_ps(_mm_mul_ps(a, b), c); }
inline Vector min(Vector limit, Vector x) { return _mm_min_ps(limit, x); }
inline Vector max(Vector limit, Vector x) { return _mm_max_ps(limit, x); }

#elif defined(__ARM_NEON)

using Vector = float32x4_t;
constexpr int lanes = 4, registers = 32;
inline Vector load(const float *from) { return vld1q_f32(from); }
inline void store(float *to, Vector x) { vst1q_f32(to, x); }
inline Vector broadcast(float x) { return vdupq_n_f32(x); }
inline Vector add(Vector a, Vector b) { return vaddq_f32(a, b); }
inline Vector subtract(Vector a, Vector b) { return vsubq_f32(a, b); }
inline Vector multiply(Vector a, Vector b) { return vmulq_f32(a, b); }
inline Vector divide(Vector a, Vector b) { return vdivq_f32(a, b); }
inline Vector square_root(Vector a) { return vsqrtq_f32(a); }
inline Vector multiply_add(Vector a, Vector b, Vector c) { return vfmaq_f32(c, a, b); }
inline Vector min(Vector limit, Vector x) { return vminq_f32(limit, x); }
inline Vector max(Vector limit, Vector x) { return vmaxq_f32(limit, x); }

#else
#error "unsupported instruction set: expected SSE 4.2, AVX2, AVX-512 or NEON"
#endif

// Load `count` floats, fewer than a vector; the other lanes are 0.
inline Vector load_partial(const float *from, int64_t count) {
    float whole[lanes] = {};
    for (int64_t i = 0; i < count; ++i) whole[i] = from[i];
    return load(whole);
}

inline void store_partial(float *to, Vector x, int64_t count) {
    float whole[lanes];
    store(whole, x);
    for (int64_t i = 0; i < count; ++i) to[i] = whole[i];
}

// tanh(x) as x P(x^2) / Q(x^2), P and Q of degree 4. scripts/fit_tanh.py computes the coefficients; the
// relative error before rounding is at most 3.6e-8 for |x| <= 9. The quotient exceeds 1 from 9.2 on, so that
// saturated gates are exactly 1.
inline Vector tanh(Vector x) {
    x = max(broadcast(-9.3f), min(broadcast(9.3f), x));
    Vector z = multiply(x, x);
    Vector p = broadcast(1.34198319e-8f);
    p = multiply_add(p, z, broadcast(2.06612696e-5f));
    p = multiply_add(p, z, broadcast(0.0034989965f));
    p = multiply_add(p, z, broadcast(0.133839806f));
    p = multiply_add(p, z, broadcast(1.0f));
    Vector q = broadcast(7.80473341e-7f);
    q = multiply_add(q, z, broadcast(0.000329103906f));
    q = multiply_add(q, z, broadcast(0.025890208f));
    q = multiply_add(q, z, broadcast(0.467173021f));
    q = multiply_add(q, z, broadcast(1.0f));
    return max(broadcast(-1.0f), min(broadcast(1.0f), divide(multiply(x, p), q)));
}

// sigmoid(2 x).
inline Vector sigmoid_2x(Vector x) { return multiply_add(tanh(x), broadcast(0.5f), broadcast(0.5f)); }

}  // namespace FASTLSTM_ISA
}  // namespace fastlstm

#endif

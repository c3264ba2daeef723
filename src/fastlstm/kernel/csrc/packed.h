// Weights as the forward pass reads them: packed into panels of one vector of hidden units, all four gates.
#ifndef FASTLSTM_PACKED_H
#define FASTLSTM_PACKED_H

#include <string.h>

#include "arithmetic.h"

namespace fastlstm {
namespace FASTLSTM_ISA {

constexpr int64_t panel_width = 4 * lanes;  // the 4 gates of `lanes` hidden units, side by side

inline int64_t panels_of(int64_t H) { return (H + lanes - 1) / lanes; }
inline int64_t padded(int64_t units) { return panels_of(units) * lanes; }

// From one row to the next of a matrix that is read by columns: a cache line more than the row, so that rows of
// powers of two do not all fall into the same few sets of a cache.
inline int64_t strided(int64_t columns) { return columns + 16; }

// Packed weights: bias [panels, 4, L], W_ih [panels, words of I, 4, L], W_hh [panels, words of H, 4, L]; where they are
// scaled, behind each matrix what its sums start from and what they are multiplied by, both [panels, 4, L]. The weights
// of the sigmoid gates are halved, which is exact: sigmoid(x) is taken from tanh(x / 2).
template <class Arithmetic>
struct Matrix {
    const float *weight, *start = nullptr, *scale = nullptr;
    Matrix(const float *at, int64_t panels, int64_t columns) : weight(at) {
        if constexpr (Arithmetic::scaled) {
            start = at + starts_at(panels, columns);
            scale = start + panels * panel_width;
        }
    }
    static int64_t starts_at(int64_t panels, int64_t columns) {
        return panels * panel_width * words<Arithmetic>(columns);
    }
    static int64_t size(int64_t panels, int64_t columns) {
        return starts_at(panels, columns) + (Arithmetic::scaled ? 2 * panels * panel_width : 0);
    }
};

template <class Arithmetic>
struct Packed {
    const float *bias;
    Matrix<Arithmetic> ih, hh;
    Packed(const float *packed, int64_t I, int64_t H)
        : bias(packed),
          ih(packed + panels_of(H) * panel_width, panels_of(H), I),
          hh(ih.weight + Matrix<Arithmetic>::size(panels_of(H), I), panels_of(H), H) {}
};

template <class Arithmetic>
int64_t packed_size(int64_t I, int64_t H) {
    const int64_t panels = panels_of(H);
    return panels * panel_width + Matrix<Arithmetic>::size(panels, I) + Matrix<Arithmetic>::size(panels, H);
}

// weight [4H, columns] -> panels [columns, 4, L], first .. last - 1 of them.
void pack_panels(int64_t columns, int64_t H, const float *weight, int64_t first, int64_t last, float *to) {
    constexpr int64_t together = 64;  // columns, four cache lines of each row
    for (int64_t panel = first; panel < last; ++panel)
        for (int64_t column = 0; column < columns; column += together) {
            const int64_t count = columns - column < together ? columns - column : together;
            for (int gate = 0; gate < 4; ++gate) {
                const float scale = gate == 2 ? 1.0f : 0.5f;
                float lines[lanes][together] = {};
                for (int64_t unit = 0; unit < lanes && panel * lanes + unit < H; ++unit)
                    memcpy(lines[unit], weight + (gate * H + panel * lanes + unit) * columns + column,
                           count * sizeof(float));
                float *out = to + (panel * columns + column) * panel_width + gate * lanes;
                for (int64_t k = 0; k < count; ++k)
                    for (int unit = 0; unit < lanes; ++unit) out[k * panel_width + unit] = scale * lines[unit][k];
            }
        }
}

// The same in words of another arithmetic, with its starts and scales.
template <class Arithmetic>
void pack_words(int64_t columns, int64_t H, const float *weight, int64_t first, int64_t last, float *to) {
    float *starts = to + Matrix<Arithmetic>::starts_at(panels_of(H), columns);
    for (int64_t panel = first; panel < last; ++panel)
        for (int gate = 0; gate < 4; ++gate)
            for (int64_t lane = 0; lane < lanes; ++lane) {
                const int64_t unit = panel * lanes + lane, at = panel * panel_width + gate * lanes + lane;
                const float half = gate == 2 ? 1.0f : 0.5f;
                const float *row = unit < H ? weight + (gate * H + unit) * columns : nullptr;
                const float scale = row ? Arithmetic::scale_of(row, columns) : 1;
                int32_t sum = 0;
                for (int64_t word = 0; word < words<Arithmetic>(columns); ++word) {
                    const int64_t column = word * Arithmetic::group;
                    const int64_t left = row ? columns - column : 0;
                    float *place = to + (panel * words<Arithmetic>(columns) + word) * panel_width + gate * lanes + lane;
                    sum += Arithmetic::pack(row ? row + column : nullptr,
                                            left < Arithmetic::group ? left : Arithmetic::group, scale, half, place);
                }
                if constexpr (Arithmetic::scaled) {
                    const int32_t start = -Arithmetic::zero * sum;
                    memcpy(starts + at, &start, sizeof start);
                    starts[panels_of(H) * panel_width + at] = half * scale / Arithmetic::steps;
                }
            }
}

template <class Arithmetic>
void pack(int64_t I, int64_t H, const float *weight_ih, const float *weight_hh, const float *bias, int64_t first,
          int64_t last, float *packed) {
    float *ih = packed + panels_of(H) * panel_width, *hh = ih + Matrix<Arithmetic>::size(panels_of(H), I);
    pack_panels(1, H, bias, first, last, packed);
    if constexpr (Arithmetic::group == 1) {
        pack_panels(I, H, weight_ih, first, last, ih);
        pack_panels(H, H, weight_hh, first, last, hh);
    } else {
        pack_words<Arithmetic>(I, H, weight_ih, first, last, ih);
        pack_words<Arithmetic>(H, H, weight_hh, first, last, hh);
    }
}

}  // namespace FASTLSTM_ISA
}  // namespace fastlstm

#endif

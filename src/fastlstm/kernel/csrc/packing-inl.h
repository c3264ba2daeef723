// Weights in the order in which the forward pass reads them: panels of one vector of units, all four gates.
#ifndef FASTLSTM_PACKING_INL_H
#define FASTLSTM_PACKING_INL_H

#include <string.h>

#include "precision-inl.h"
#include "tuning.h"

namespace fastlstm {
namespace FASTLSTM_ISA {

constexpr int64_t panel_width = 4 * lanes;  // the 4 gates of `lanes` hidden units, side by side

inline int64_t panel_count(int64_t H) { return (H + lanes - 1) / lanes; }
inline int64_t round_up(int64_t units) { return panel_count(units) * lanes; }

// Floats between rows of a matrix that is read by columns.
inline int64_t row_stride(int64_t columns) { return columns + row_padding; }

// Layout of packed weights: bias [panels, 4, L], W_ih [panels, lanes32 of I, 4, L], W_hh [panels, lanes32 of
// H, 4, L]. If they are quantized, each matrix is followed by the initial values and the scales of its sums,
// both [panels, 4, L]. The weights of the sigmoid gates are halved, which is exact, since sigmoid(x) is
// computed from tanh(x / 2).
template <class Precision>
struct PackedMatrix {
    const Lane32 *weight;
    const float *initial = nullptr, *scale = nullptr;
    PackedMatrix(const float *packed, int64_t panels, int64_t columns) : weight(packed) {
        if constexpr (Precision::quantized) {
            initial = packed + weight_size(panels, columns);
            scale = initial + panels * panel_width;
        }
    }
    static int64_t weight_size(int64_t panels, int64_t columns) {
        return panels * panel_width * lanes32<Precision>(columns);
    }
    static int64_t size(int64_t panels, int64_t columns) {
        return weight_size(panels, columns) + (Precision::quantized ? 2 * panels * panel_width : 0);
    }
};

template <class Precision>
struct PackedWeights {
    const float *bias;
    PackedMatrix<Precision> ih, hh;
    PackedWeights(const float *packed, int64_t I, int64_t H)
        : bias(packed),
          ih(packed + panel_count(H) * panel_width, panel_count(H), I),
          hh(ih.weight + PackedMatrix<Precision>::size(panel_count(H), I), panel_count(H), H) {}
};

template <class Precision>
int64_t packed_size(int64_t I, int64_t H) {
    const int64_t panels = panel_count(H);
    return panels * panel_width + PackedMatrix<Precision>::size(panels, I) +
           PackedMatrix<Precision>::size(panels, H);
}

// Pack the panels [panel_begin, panel_end) of a weight [4H, columns] in float32, as [panels, columns, 4, L].
void pack_panels(int64_t columns, int64_t H, const float *weight, int64_t panel_begin, int64_t panel_end,
                 float *to) {
    for (int64_t panel = panel_begin; panel < panel_end; ++panel)
        for (int64_t column = 0; column < columns; column += packing_columns) {
            const int64_t count = columns - column < packing_columns ? columns - column : packing_columns;
            for (int gate = 0; gate < 4; ++gate) {
                const float factor = gate == 2 ? 1.0f : 0.5f;
                float lines[lanes][packing_columns] = {};
                for (int64_t unit = 0; unit < lanes && panel * lanes + unit < H; ++unit)
                    memcpy(lines[unit], weight + (gate * H + panel * lanes + unit) * columns + column,
                           count * sizeof(float));
                float *out = to + (panel * columns + column) * panel_width + gate * lanes;
                for (int64_t k = 0; k < count; ++k)
                    for (int unit = 0; unit < lanes; ++unit)
                        out[k * panel_width + unit] = factor * lines[unit][k];
            }
        }
}

// The same in a rounded precision, with the initial values and scales of the sums.
template <class Precision>
void pack_rounded_panels(int64_t columns, int64_t H, const float *weight, int64_t panel_begin,
                         int64_t panel_end, float *to) {
    constexpr int64_t group = Precision::group;
    const int64_t panels = panel_count(H), K = lanes32<Precision>(columns);
    float *initial = to + PackedMatrix<Precision>::weight_size(panels, columns);
    for (int64_t panel = panel_begin; panel < panel_end; ++panel)
        for (int gate = 0; gate < 4; ++gate)
            for (int64_t lane = 0; lane < lanes; ++lane) {
                const int64_t unit = panel * lanes + lane, at = panel * panel_width + gate * lanes + lane;
                const float factor = gate == 2 ? 1.0f : 0.5f;
                const float *row = unit < H ? weight + (gate * H + unit) * columns : nullptr;
                const float scale = row ? Precision::row_scale(row, columns) : 1;
                int32_t sum = 0;
                for (int64_t k = 0; k < K; ++k) {
                    const int64_t column = k * group;
                    const int64_t left = row ? columns - column : 0;
                    Lane32 *out = to + (panel * K + k) * panel_width + gate * lanes + lane;
                    sum += Precision::pack(row ? row + column : nullptr, left < group ? left : group, scale,
                                           factor, out);
                }
                if constexpr (Precision::quantized) {
                    const int32_t start = -Precision::zero_point * sum;
                    memcpy(initial + at, &start, sizeof start);
                    initial[panels * panel_width + at] = factor * scale / Precision::max_level;
                }
            }
}

template <class Precision>
void pack(int64_t I, int64_t H, const float *weight_ih, const float *weight_hh, const float *bias,
          int64_t panel_begin, int64_t panel_end, float *packed) {
    float *ih = packed + panel_count(H) * panel_width,
          *hh = ih + PackedMatrix<Precision>::size(panel_count(H), I);
    pack_panels(1, H, bias, panel_begin, panel_end, packed);
    if constexpr (is_rounded<Precision>) {
        pack_rounded_panels<Precision>(I, H, weight_ih, panel_begin, panel_end, ih);
        pack_rounded_panels<Precision>(H, H, weight_hh, panel_begin, panel_end, hh);
    } else {
        pack_panels(I, H, weight_ih, panel_begin, panel_end, ih);
        pack_panels(H, H, weight_hh, panel_begin, panel_end, hh);
    }
}

}  // namespace FASTLSTM_ISA
}  // namespace fastlstm

#endif

// The gates of a step, and the cell and the output that follow from them.
#ifndef FASTLSTM_GATES_INL_H
#define FASTLSTM_GATES_INL_H

#include <type_traits>

#include "precision-inl.h"

namespace fastlstm {
namespace FASTLSTM_ISA {

// Gates of one vector of units in float32, from sums in the order i, f, g, o; those of sigmoid gates are
// halved.
struct Gates {
    Vector values[4];

    explicit Gates(const Vector (&sums)[4])
        : values{sigmoid_2x(sums[0]), sigmoid_2x(sums[1]), tanh(sums[2]), sigmoid_2x(sums[3])} {}
    Vector value(int gate) const { return values[gate]; }
    Vector cell(Vector before) const {
        return multiply_add(values[1], before, multiply(values[0], values[2]));
    }
    Vector output(Vector cell) const { return multiply(values[3], tanh(cell)); }
};

// tanh(x) as a quotient x P(x^2) / Q(x^2), P and Q of degree 2 (scripts/fit_tanh.py). The relative error is
// at most 6e-5, which is far below that of a state rounded to int8.
struct TanhQuotient {
    Vector above, below;

    explicit TanhQuotient(Vector x) {
        x = max(broadcast(-saturation), min(broadcast(saturation), x));
        const Vector z = multiply(x, x);
        Vector p = multiply_add(broadcast(0.000677901455f), z, broadcast(0.102735852f));
        Vector q = multiply_add(broadcast(0.0129038556f), z, broadcast(0.435847893f));
        above = multiply(x, multiply_add(p, z, broadcast(1)));
        below = multiply_add(q, z, broadcast(1));
    }
    // The numerator of 2 sigmoid(2 x), which has the same denominator.
    Vector above_of_sigmoid() const { return add(below, above); }

    static constexpr float saturation = 5.0f;
};

// The same for int8, with two divisions instead of five.
struct RoundedGates {
    TanhQuotient i, f, g, o;

    explicit RoundedGates(const Vector (&sums)[4]) : i(sums[0]), f(sums[1]), g(sums[2]), o(sums[3]) {}
    Vector value(int gate) const {
        if (gate == 2) return divide(g.above, g.below);
        const TanhQuotient &quotient = gate == 0 ? i : gate == 1 ? f : o;
        return multiply(broadcast(0.5f), divide(quotient.above_of_sigmoid(), quotient.below));
    }
    Vector cell(Vector before) const {
        const Vector below = multiply(i.below, g.below), kept = multiply(f.above_of_sigmoid(), before);
        const Vector added = multiply(i.above_of_sigmoid(), g.above);
        const Vector above = multiply_add(kept, below, multiply(added, f.below));
        return multiply(broadcast(0.5f), divide(above, multiply(f.below, below)));
    }
    Vector output(Vector cell) const {
        const TanhQuotient tanh_of_cell(cell);
        const Vector above = multiply(o.above_of_sigmoid(), tanh_of_cell.above);
        return multiply(broadcast(0.5f), divide(above, multiply(o.below, tanh_of_cell.below)));
    }
};

template <class Precision>
using GatesOf = std::conditional_t<Precision::quantized, RoundedGates, Gates>;

}  // namespace FASTLSTM_ISA
}  // namespace fastlstm

#endif

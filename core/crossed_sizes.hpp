// Sizes of a crossed model that the compiler knows; 0: it does not.
#pragma once

namespace multilogit {

// Logits of a row, factors, effects of each level of every factor.
template <int kLogits, int kFactors, int kEffects>
struct Sizes {
  static constexpr int C = kLogits, factors = kFactors, effects = kEffects;
};

using AnySizes = Sizes<0, 0, 0>;
using OneLogit = Sizes<1, 0, 0>;
using Scalars = Sizes<1, 0, 1>;     // such as (1 | a) + (1 | b) + (1 | c)
using ScalarPair = Sizes<1, 2, 1>;  // such as (1 | a) + (1 | b)

}  // namespace multilogit

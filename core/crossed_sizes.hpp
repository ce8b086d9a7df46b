// Sizes of a crossed model that the compiler knows; 0: it does not.
#pragma once

#include "packed.hpp"

namespace multilogit {

// Most effects of one row, over all factors, and most logits.
constexpr int kMaxRowEffects = 32;
constexpr int kMaxRowLogits = 16;

// Logits of a row, factors, effects of each level of every factor.
template <int kLogits, int kFactors, int kEffects>
struct Sizes {
  static constexpr int C = kLogits, factors = kFactors, effects = kEffects;
  static constexpr bool binomial = kEffects > 0;  // no other response has scalar effects
  static constexpr int most_logits = C ? C : kMaxRowLogits;
  static constexpr int most_effects = factors && effects ? factors * effects : kMaxRowEffects;
};

using AnySizes = Sizes<0, 0, 0>;
using OneLogit = Sizes<1, 0, 0>;
using Scalars = Sizes<1, 0, 1>;     // of a binomial response, such as (1 | a) + (1 | b) + (1 | c)
using ScalarPair = Sizes<1, 2, 1>;  // such as (1 | a) + (1 | b)

// What H^-1 says of a row: A H^-1, C x q; V = A H^-1 A', packed; t = kappa3(., V): w3 h.
template <class S>
struct RowInverse {
  double AH[S::most_logits * S::most_effects];
  double V[packed_size(S::most_logits)];
  double t[S::most_logits];
};

}  // namespace multilogit

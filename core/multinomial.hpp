// One multinomial row: counts y of n trials in J = C + 1 categories, the baseline first with linear
// predictor 0 (DESIGN 4.1; Czepiel eqs 26, 32, 37): log-likelihood, residuals and weights in eta.
#pragma once

#include <cstddef>

#include "categorical.hpp"

namespace multilogit {

// Index of the pair (j, l), j <= l, in the packed upper triangle of a C x C matrix.
inline std::size_t pair_index(std::size_t j, std::size_t l, std::size_t c) {
  return j * c - j * (j + 1) / 2 + l;
}

// eta[j], y[j]: linear predictor and count of category j + 1; e: scratch; all C long. Returns
// l = sum_j y_j eta_j - n log(1 + sum_j e^eta_j); sets
//   r[j * stride] = y_j - n pi_j,
//   w[pair_index(j, l) * stride] = n (pi_j [j = l] - pi_j pi_l).
// Everything is relative to the largest of eta and 0 ("top"), and 1 - pi_top is summed from the
// others, so nothing overflows or cancels.
inline vd multinomial_row(std::size_t c, const vd* eta, const vd* y, vd n, vd* e, vd* r, vd* w,
                          std::size_t stride) {
  vd largest{};
  for (std::size_t j = 0; j < c; ++j) largest = select(eta[j] > largest, eta[j], largest);

  vl found = largest == 0.0;  // the baseline is on top
  vd rest = select(found, vd{}, exp_negative(-largest));
  vd value{}, baseline = n;
  for (std::size_t j = 0; j < c; ++j) {
    const vl top = (eta[j] == largest) & ~found;
    found |= top;
    e[j] = exp_negative(eta[j] - largest);
    rest += select(top, vd{}, e[j]);
    value += y[j] * (eta[j] - largest);
    baseline -= y[j];
  }
  const vd inverse = 1.0 / (1.0 + rest);
  value -= baseline * largest + n * log1p_sum(rest);

  found = largest == 0.0;
  for (std::size_t j = 0; j < c; ++j) {
    const vl top = (eta[j] == largest) & ~found;
    found |= top;
    const vd pi = e[j] * inverse;
    const vd other = select(top, rest, (1.0 + rest) - e[j]) * inverse;  // 1 - pi
    r[j * stride] = select(top, (y[j] - n) + n * other, y[j] - n * pi);
    w[pair_index(j, j, c) * stride] = n * (pi * other);
    for (std::size_t l = 0; l < j; ++l)
      w[pair_index(l, j, c) * stride] = -n * (pi * (e[l] * inverse));
  }
  return value;
}

}  // namespace multilogit

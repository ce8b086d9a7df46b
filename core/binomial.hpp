// One binomial row: y successes of n trials at the linear predictor eta, and its derivatives in eta
// up to the fourth (docs/mathematics.md, section 2; Czepiel eqs 9, 11, 16).
#pragma once

#include "simd.hpp"

namespace multilogit {

// First and second derivative: what an inner Newton step needs.
struct BinomialScore {
  vd r;  // y - n pi
  vd w;  // n pi (1 - pi)
};

// All of it but a logarithm: l = linear - n log(1 + t), r, w, w3 = dw/deta, w4 = dw3/deta.
struct BinomialTerms {
  vd linear, t, r, w, w3, w4;
};

// With the value l = y eta - n log(1 + e^eta).
struct BinomialRow {
  vd value, r, w, w3, w4;
};

namespace detail {

// With t = e^-|eta|: d = 1 / (1 + t) is the larger of pi and 1 - pi, q = t d the smaller one.
// Nothing cancels, however large |eta| is.
inline vd residual(vl positive, vd y, vd n, vd q) {
  return select(positive, (y - n) + n * q, y - n * q);
}

}  // namespace detail

inline BinomialScore binomial_score(vd eta, vd y, vd n) {
  const vd t = exp_negative(-abs(eta));
  const vd d = 1.0 / (1.0 + t);
  const vd q = t * d;
  return {detail::residual(eta > 0.0, y, n, q), n * (q * d)};
}

inline BinomialTerms binomial_terms(vd eta, vd y, vd n) {
  const vd t = exp_negative(-abs(eta));
  const vd d = 1.0 / (1.0 + t);
  const vd q = t * d;
  const vl positive = eta > 0.0;
  const vd variance = q * d;      // pi (1 - pi)
  const vd tilt = (1.0 - t) * d;  // |1 - 2 pi|
  const vd w = n * variance;
  BinomialTerms row;
  row.linear = select(positive, y - n, y) * eta;
  row.t = t;
  row.r = detail::residual(positive, y, n, q);
  row.w = w;
  row.w3 = w * select(positive, -tilt, tilt);  // w (1 - 2 pi)
  row.w4 = w * (1.0 - 6.0 * variance);         // w (1 - 6 pi (1 - pi))
  return row;
}

inline BinomialRow binomial_row(vd eta, vd y, vd n) {
  const BinomialTerms row = binomial_terms(eta, y, n);
  return {row.linear - n * log1p_unit(row.t), row.r, row.w, row.w3, row.w4};
}

}  // namespace multilogit

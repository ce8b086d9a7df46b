// One row of counts y of n trials in J = C + 1 categories, the baseline first with linear predictor
// 0: log-likelihood, residuals and weights in eta, and the third and fourth derivatives contracted
// with what they are needed for (docs/mathematics.md, section 16; Czepiel eqs 26, 32, 37). The
// derivatives of n log(1 + sum_j e^eta_j) are n times the cumulants of the categorical
// distribution:
//
//   first    n pi
//   second   W = n (diag pi - pi pi'),             r = y - n pi
//   third    kappa3(., ., g) = diag s - s pi' - pi s',                   s = W g
//            kappa3(., V)    = W d,                                      d = diag V - 2 V pi
//   fourth   kappa4(., ., V) = diag t - t pi' - pi t' - 2 W V (diag pi - pi pi'),  t = kappa3(., V)
//
// All of it is written with W, whose elements have full relative accuracy however close a
// probability is to 0 or 1, so that nothing here cancels either. Symmetric C x C matrices are
// packed lower triangles (`packed`). C is a number of the data; where it is a constant in the
// caller, the loops unroll. Rows stand in the lanes of vd; contractions take plain numbers as well,
// or those of one row with directions in the lanes.
#pragma once

#include "packed.hpp"
#include "simd.hpp"

#define MULTILOGIT_INLINE inline __attribute__((always_inline))

namespace multilogit {

// log(1 + t) for t >= 0: t = rest when the sum 1 + rest is below 2, which keeps all digits of a
// small rest; beyond, powers of two are split off first.
inline vd log1p_sum(vd rest) {
  const vd total = 1.0 + rest;
  const vl exponent = (bits(total) >> 52) - 1023;
  const vd scaled = from_bits(bits(total) - (exponent << 52));  // in [1, 2)
  const vd t = select(exponent > 0, scaled - 1.0, rest);
  return __builtin_convertvector(exponent, vd) * kLn2 + log1p_unit(t);
}

// The largest of eta_1 .. eta_C and 0, and the sum of e^(eta - top) over all categories but one
// that is on top: 1 - pi of that one is summed, not subtracted, so nothing overflows or cancels.
struct Softmax {
  vd top, rest;
};

// Sets e_j = e^(eta_j - top).
MULTILOGIT_INLINE Softmax softmax(int c, const vd* eta, vd* e) {
  vd top{};
  for (int j = 0; j < c; ++j) top = select(eta[j] > top, eta[j], top);
  vl found = top == 0.0;  // the baseline is on top
  vd rest = select(found, vd{}, exp_negative(-top));
  for (int j = 0; j < c; ++j) {
    const vl first = (eta[j] == top) & ~found;
    found |= first;
    e[j] = exp_negative(eta[j] - top);
    rest += select(first, vd{}, e[j]);
  }
  return {top, rest};
}

// pi, r (C each) and W (packed). Row sums of the J x J matrix are 0: w_jj = n pi_j (1 - pi_j).
// pi may hold e on entry.
MULTILOGIT_INLINE void categorical_weights(int c, const Softmax& at, const vd* e, const vd* y, vd n,
                                           vd* pi, vd* r, vd* w) {
  const vd inverse = 1.0 / (1.0 + at.rest);
  for (int j = 0; j < c; ++j) {
    const vl top = e[j] == 1.0;
    const vd other = select(top, at.rest, (1.0 + at.rest) - e[j]) * inverse;  // 1 - pi_j
    pi[j] = e[j] * inverse;
    r[j] = select(top, (y[j] - n) + n * other, y[j] - n * pi[j]);
    const vd npi = n * pi[j];
    w[packed(j, j)] = npi * other;
    for (int l = 0; l < j; ++l) w[packed(j, l)] = -npi * pi[l];
  }
}

// What an inner Newton step needs: r and W; pi as well.
MULTILOGIT_INLINE void categorical_score(int c, const vd* eta, const vd* y, vd n, vd* pi, vd* r,
                                         vd* w) {
  const Softmax at = softmax(c, eta, pi);
  categorical_weights(c, at, pi, y, n, pi, r, w);
}

// l = linear - n log(1 + rest).
struct CategoricalTerms {
  vd linear, rest;
};

// The same; returns l = sum_j y_j eta_j - n log(1 + sum_j e^eta_j), every term relative to the top.
MULTILOGIT_INLINE CategoricalTerms categorical_terms(int c, const vd* eta, const vd* y, vd n,
                                                     vd* pi, vd* r, vd* w) {
  const Softmax at = softmax(c, eta, pi);
  vd value{}, baseline = n;
  for (int j = 0; j < c; ++j) {
    value += y[j] * (eta[j] - at.top);
    baseline -= y[j];
  }
  value -= baseline * at.top;
  categorical_weights(c, at, pi, y, n, pi, r, w);
  return {value, at.rest};
}

MULTILOGIT_INLINE vd categorical_row(int c, const vd* eta, const vd* y, vd n, vd* pi, vd* r,
                                     vd* w) {
  const CategoricalTerms row = categorical_terms(c, eta, y, n, pi, r, w);
  return row.linear - n * log1p_sum(row.rest);
}

// What r changes by beyond -W delta if eta changes by delta, to fourth order. Along delta the
// derivatives of pi_j are pi_j x_j, pi_j (x_j^2 - v) and pi_j (x_j^3 - 3 x_j v - s), where x_j is
// delta_j less its mean under pi, v the variance and s the third central moment.
MULTILOGIT_INLINE void categorical_remainder(int c, const vd* pi, vd n, const vd* delta, vd* out) {
  vd mean{}, total{}, variance{}, third{};
  for (int j = 0; j < c; ++j) {
    mean += pi[j] * delta[j];
    total += pi[j];
  }
  for (int j = 0; j < c; ++j) {
    const vd x = delta[j] - mean, square = pi[j] * x * x;
    variance += square;
    third += square * x;
  }
  const vd square = (1.0 - total) * mean * mean;  // of the baseline: delta = 0
  variance += square;
  third -= square * mean;
  for (int j = 0; j < c; ++j) {
    const vd x = delta[j] - mean;
    const vd second = 3.0 * (x * x - variance), rest = x * (x * x - 3.0 * variance) - third;
    out[j] = (-1.0 / 6.0) * (n * pi[j]) * (second + rest);
  }
}

// out_j = sum_l M_jl g_l for a packed symmetric matrix.
template <class M, class T>
MULTILOGIT_INLINE void multiply_packed(int c, const M* matrix, const T* g, T* out) {
  for (int j = 0; j < c; ++j) {
    T sum{};
    for (int l = 0; l < c; ++l) sum += matrix[packed(j, l)] * g[l];
    out[j] = sum;
  }
}

// kappa3(., ., g) = diag s - s pi' - pi s' with s = W g: the derivative of W along g, packed.
template <class Pi, class T>
MULTILOGIT_INLINE void third_of_direction(int c, const Pi* pi, const T* s, T* out) {
  for (int j = 0; j < c; ++j) {
    for (int l = 0; l < j; ++l) out[packed(j, l)] = -(s[j] * pi[l] + pi[j] * s[l]);
    out[packed(j, j)] = s[j] * (1.0 - 2.0 * pi[j]);
  }
}

// All third cumulants, packed: kappa3_jlm = (delta_jl - pi_l) w_jm - pi_j w_lm.
template <class T>
MULTILOGIT_INLINE void third_cumulants(int c, const T* pi, const T* w, T* out) {
  for (int j = 0; j < c; ++j)
    for (int l = 0; l <= j; ++l)
      for (int m = 0; m <= l; ++m) {
        const T sum = pi[l] * w[packed(j, m)] + pi[j] * w[packed(l, m)];
        out[packed(j, l, m)] = j == l ? w[packed(j, m)] - sum : -sum;
      }
}

// t = kappa3(., V) = W (diag V - 2 V pi): the gradient of tr(W V) in eta.
// Sets Vpi = V pi as well, which `omega` takes.
template <class T>
MULTILOGIT_INLINE void third_of_form(int c, const T* pi, const T* w, const T* V, T* Vpi, T* t) {
  multiply_packed(c, V, pi, Vpi);
  for (int j = 0; j < c; ++j) {
    T sum{};
    for (int l = 0; l < c; ++l) sum += w[packed(j, l)] * (V[packed(l, l)] - 2.0 * Vpi[l]);
    t[j] = sum;
  }
}

// Omega = kappa4(., ., V) + kappa3(., ., g) with s = kappa3(., V) + W g and Vpi = V pi, packed:
//   diag s - s pi' - pi s' - 2 W V (diag pi - pi pi')
template <class T>
MULTILOGIT_INLINE void omega(int c, const T* pi, const T* w, const T* V, const T* Vpi, const T* s,
                             T* out) {
  for (int j = 0; j < c; ++j) {
    T WVpi{};
    for (int m = 0; m < c; ++m) WVpi += w[packed(j, m)] * Vpi[m];
    for (int l = 0; l <= j; ++l) {
      T WV{};
      for (int m = 0; m < c; ++m) WV += w[packed(j, m)] * V[packed(m, l)];
      const T sum = pi[l] * (s[j] + 2.0 * (WV - WVpi)) + pi[j] * s[l];
      out[packed(j, l)] = j == l ? s[j] - sum : -sum;
    }
  }
}

}  // namespace multilogit

// Cholesky factors of the small q x q matrices of one group, or of one group per lane (S = vd).
#pragma once

#include <cmath>

#include "simd.hpp"

namespace multilogit {

inline double square_root(double x) { return std::sqrt(x); }

// LL' = H for q <= Max; matrices are row-major with leading dimension Max, lower triangle.
template <int Max, class S>
struct SmallCholesky {
  S L[Max * Max];
  S reciprocal[Max];  // 1 / L[a, a]

  void factor(const S* H, int q) {
    for (int a = 0; a < q; ++a) {
      for (int c = 0; c < a; ++c) {
        S sum = H[a * Max + c];
        for (int d = 0; d < c; ++d) sum -= L[a * Max + d] * L[c * Max + d];
        L[a * Max + c] = sum * reciprocal[c];
      }
      S pivot = H[a * Max + a];
      for (int d = 0; d < a; ++d) pivot -= L[a * Max + d] * L[a * Max + d];
      L[a * Max + a] = square_root(pivot);
      reciprocal[a] = 1.0 / L[a * Max + a];
    }
  }

  // x <- H^-1 x
  void solve(S* x, int q) const {
    for (int a = 0; a < q; ++a) {
      for (int c = 0; c < a; ++c) x[a] -= L[a * Max + c] * x[c];
      x[a] *= reciprocal[a];
    }
    for (int a = q - 1; a >= 0; --a) {
      for (int c = a + 1; c < q; ++c) x[a] -= L[c * Max + a] * x[c];
      x[a] *= reciprocal[a];
    }
  }

  // out = L^-1, zeros above the diagonal included
  void inverse_factor(S* out, int q) const {
    for (int c = 0; c < q; ++c) {
      for (int a = 0; a < c; ++a) out[a * Max + c] = S{};
      out[c * Max + c] = reciprocal[c];
      for (int a = c + 1; a < q; ++a) {
        S sum{};
        for (int d = c; d < a; ++d) sum -= L[a * Max + d] * out[d * Max + c];
        out[a * Max + c] = sum * reciprocal[a];
      }
    }
  }

  // |L|
  S root_determinant(int q) const {
    S product = L[0];
    for (int a = 1; a < q; ++a) product *= L[a * Max + a];
    return product;
  }

  // log|L|
  S half_log_determinant(int q) const { return logarithm(root_determinant(q)); }
};

}  // namespace multilogit

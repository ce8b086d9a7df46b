#include "cholesky.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "dense.hpp"
#include "simd.hpp"

namespace multilogit {

namespace {

constexpr std::size_t kSmall = 32;

// Up to kSmall unknowns, A = LDL': a division per pivot and no root. b is one more column, and rows
// are whole registers, so that a short row has no rest: 8 unknowns take half the time.
bool solve_small(const double* A, const double* b, std::size_t n, double* x, double* pivots) {
  constexpr std::size_t kMost = kSmall / kLanes + 1;
  vd rows[kSmall][kMost];
  const std::size_t width = n / kLanes + 1;
  const auto at = [&](std::size_t i) { return reinterpret_cast<double*>(rows[i]); };
  for (std::size_t i = 0; i < n; ++i) {
    rows[i][width - 1] = vd{};
    std::memcpy(at(i), A + i * n, n * sizeof(double));
    at(i)[n] = b[i];
  }
  for (std::size_t i = 0; i < n; ++i) {  // rows of DL', and D L'x in the last column
    const double* row = at(i);
    pivots[i] = row[i];
    if (!(pivots[i] > 0.0)) return false;
    const double scale = 1.0 / pivots[i];
    for (std::size_t k = i + 1; k < n; ++k) {
      const double factor = row[k] * scale;
      for (std::size_t v = k / kLanes; v < width; ++v) rows[k][v] -= factor * rows[i][v];
    }
  }
  for (std::size_t i = n; i-- > 0;) {
    const double* row = at(i);
    double rest = row[n];
    for (std::size_t j = i + 1; j < n; ++j) rest -= row[j] * x[j];
    x[i] = rest / pivots[i];
  }
  return true;
}

}  // namespace

bool solve_positive(const double* A, const double* b, std::size_t n, double* x, double* pivots) {
  if (n <= kSmall) return solve_small(A, b, n, x, pivots);
  std::vector<double> U(A, A + n * n);
  if (!factor_upper(U.data(), n, n, 1)) return false;
  std::copy(b, b + n, x);
  for (std::size_t i = 0; i < n; ++i) {  // U'y = b
    const double* row = &U[i * n];
    pivots[i] = row[i] * row[i];
    x[i] /= row[i];
    for (std::size_t j = i + 1; j < n; ++j) x[j] -= row[j] * x[i];
  }
  for (std::size_t i = n; i-- > 0;) {  // Ux = y
    const double* row = &U[i * n];
    for (std::size_t j = i + 1; j < n; ++j) x[i] -= row[j] * x[j];
    x[i] /= row[i];
  }
  return true;
}

}  // namespace multilogit

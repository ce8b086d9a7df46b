#include "cholesky.hpp"

#include <algorithm>
#include <vector>

#include "dense.hpp"

namespace multilogit {

bool solve_positive(const double* A, const double* b, std::size_t n, double* x, double* pivots) {
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

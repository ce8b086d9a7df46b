// The dense factorisation of an outer Newton step. Our own rather than LAPACK's: it stays in the
// calling thread, where a threaded BLAS keeps every processor busy waiting.
#pragma once

#include <cstddef>

namespace multilogit {

// Solves A x = b for a symmetric A, n x n, row-major. pivots: squared diagonal of the Cholesky
// factor. False when A is not positive definite.
bool solve_positive(const double* A, const double* b, std::size_t n, double* x, double* pivots);

}  // namespace multilogit

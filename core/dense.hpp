// Dense symmetric matrices: products near the machine's peak, Cholesky factor
// S = U'U, V = U^-1, S^-1 = VV'. Row-major, upper triangles.
//
// Every element is summed in an order that depends on the sizes alone, so results are bitwise equal
// for every number of threads.
#pragma once

#include <cstddef>

namespace multilogit {

// Element (i, j) of a matrix is data[i * row + j * column].
struct View {
  const double* data;
  std::size_t row, column;
};

// C += alpha A B, C m x n row-major with leading dimension ld. `upper`: what is left of the
// diagonal of C need not be computed (and may be overwritten).
void multiply_add(std::size_t m, std::size_t n, std::size_t k, double alpha, View a, View b,
                  double* c, std::size_t ld, std::size_t threads, bool upper = false);

// S <- U, upper triangles; false when S is not positive definite.
bool factor_upper(double* s, std::size_t n, std::size_t ld, std::size_t threads);

// U <- V = U^-1, upper triangles; zeros are expected below the diagonal.
void invert_upper(double* u, std::size_t n, std::size_t ld, std::size_t threads);

// out <- VV', both triangles.
void multiply_transposed(const double* v, std::size_t n, std::size_t ld, double* out,
                         std::size_t threads);

}  // namespace multilogit

// Python's view of solve_positive.
#include "bind_arrays.hpp"
#include "bindings.hpp"
#include "cholesky.hpp"

namespace multilogit {

namespace {

nb::object solve(const Matrix& A, const Vector& b) {
  const std::size_t n = b.shape(0);
  require(A.shape(0) == n && A.shape(1) == n, "A must be n x n, b of length n");
  double *x, *pivots;
  Output solution = new_array({n}, &x), squares = new_array({n}, &pivots);
  if (!solve_positive(A.data(), b.data(), n, x, pivots)) return nb::none();
  return nb::make_tuple(solution, squares);
}

}  // namespace

void bind_cholesky(nb::module_& m) { m.def("solve_positive", &solve, nb::arg("A"), nb::arg("b")); }

}  // namespace multilogit

// Python's view of solve_positive.
#include <nanobind/ndarray.h>

#include <vector>

#include "bindings.hpp"
#include "cholesky.hpp"

namespace nb = nanobind;

namespace multilogit {

namespace {

using Vector = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Matrix = nb::ndarray<const double, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<nb::numpy, double, nb::ndim<1>>;

Output new_vector(std::size_t n, double** data) {
  *data = new double[n > 0 ? n : 1];
  nb::capsule owner(*data, [](void* p) noexcept { delete[] static_cast<double*>(p); });
  return Output(*data, {n}, owner);
}

nb::object solve(const Matrix& A, const Vector& b) {
  const std::size_t n = b.shape(0);
  if (A.shape(0) != n || A.shape(1) != n) throw nb::value_error("A must be n x n, b of length n");
  double *x, *pivots;
  Output solution = new_vector(n, &x), squares = new_vector(n, &pivots);
  if (!solve_positive(A.data(), b.data(), n, x, pivots)) return nb::none();
  return nb::make_tuple(solution, squares);
}

}  // namespace

void bind_cholesky(nb::module_& m) { m.def("solve_positive", &solve, nb::arg("A"), nb::arg("b")); }

}  // namespace multilogit

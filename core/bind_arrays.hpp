// What the bindings share: array types, checks, calls without the interpreter lock, results as
// NumPy arrays.
#pragma once

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <mutex>
#include <vector>

namespace nb = nanobind;

namespace multilogit {

using Vector = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Codes = nb::ndarray<const std::int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Matrix = nb::ndarray<const double, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Counts = nb::ndarray<const double, nb::ndim<2>, nb::f_contig, nb::device::cpu>;
using Output = nb::ndarray<nb::numpy, double>;

inline void require(bool holds, const char* message) {
  if (!holds) throw nb::value_error(message);
}

inline std::vector<const double*> pointers(const Counts& matrix) {
  std::vector<const double*> out;
  for (std::size_t j = 0; j < matrix.shape(1); ++j)
    out.push_back(matrix.data() + j * matrix.shape(0));
  return out;
}

inline std::vector<const double*> pointers(const std::vector<Vector>& columns, std::size_t rows) {
  std::vector<const double*> out;
  for (const Vector& column : columns) {
    require(column.shape(0) == rows, "every column must be as long as y");
    out.push_back(column.data());
  }
  return out;
}

inline const std::int32_t* checked_codes(const Codes& codes, std::size_t rows, std::size_t groups) {
  require(codes.shape(0) == rows, "codes must be as long as y");
  for (std::size_t i = 0; i < rows; ++i)
    require(codes.data()[i] >= 0 && static_cast<std::size_t>(codes.data()[i]) < groups,
            "codes must lie in 0 .. groups - 1");
  return codes.data();
}

// theta_k is Lambda[row[k], column[k]], Lambda q x q.
inline void check_theta(const std::vector<int>& row, const std::vector<int>& column, int q) {
  require(row.size() == column.size(), "row and column must have equal lengths");
  for (std::size_t k = 0; k < row.size(); ++k)
    require(0 <= column[k] && column[k] <= row[k] && row[k] < q,
            "theta must lie in the lower triangle");
}

// One call at a time, and Python goes on meanwhile.
template <class Data, class Work>
auto unlocked(Data& self, const Work& work) {
  nb::gil_scoped_release release;
  const std::lock_guard lock(self.busy);
  return work();
}

// A new array of that shape, owned by Python; data points at its elements.
inline Output new_array(std::initializer_list<std::size_t> shape, double** data) {
  std::size_t length = 1;
  for (const std::size_t n : shape) length *= n;
  *data = new double[length];
  nb::capsule owner(*data, [](void* p) noexcept { delete[] static_cast<double*>(p); });
  return Output(*data, shape, owner);
}

inline Output to_numpy(const std::vector<double>& from, std::initializer_list<std::size_t> shape) {
  double* data;
  Output out = new_array(shape, &data);
  std::copy(from.begin(), from.end(), data);
  return out;
}

// (l, gradient, Hessian, modes found, inner iterations) of grouped or nested data at psi.
template <class Data>
nb::tuple evaluate_modes(Data& self, const Vector& psi, std::size_t threads) {
  require(self.q() > 0, "call set_structure first");
  const auto size = static_cast<std::size_t>(self.size());
  require(psi.shape(0) == size, "psi must hold p + m numbers");
  const auto result = unlocked(self, [&] { return self.evaluate(psi.data(), threads); });
  return nb::make_tuple(result.value, to_numpy(result.gradient, {size}),
                        to_numpy(result.hessian, {size, size}), result.modes_found,
                        result.inner_iterations);
}

}  // namespace multilogit

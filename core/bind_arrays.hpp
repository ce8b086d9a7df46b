// What the bindings share: array types, shape checks, results as NumPy arrays.
#pragma once

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

namespace nb = nanobind;

namespace multilogit {

using Vector = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Codes = nb::ndarray<const std::int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Matrix = nb::ndarray<const double, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<nb::numpy, double>;

inline void require(bool holds, const char* message) {
  if (!holds) throw nb::value_error(message);
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

}  // namespace multilogit

// Products of few weights, their number known to the compiler, with the columns of tiles, lanes
// apart: as add_cross (gram.hpp), without its cost per call, which counts where groups are small.
#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>

#include "simd.hpp"

namespace multilogit {

namespace detail {

// Columns that are multiplied together: their sums fit the 32 or 16 registers.
constexpr std::size_t products_width(int height) { return kLanes >= 8 || height < 4 ? 4 : 3; }

// Rows `first` to `first + J` of the weights, K columns.
template <int Height, int J, int K>
inline void multiply_block(const vd* weights, const vd* x, std::size_t stride, std::size_t tiles,
                           bool add, vd* out, std::size_t ld) {
  vd sums[J][K] = {};
  if (add)
    for (int j = 0; j < J; ++j)
      for (int k = 0; k < K; ++k) sums[j][k] = out[j * ld + k];
  for (std::size_t t = 0; t < tiles; ++t, weights += Height, x += stride)
    for (int k = 0; k < K; ++k)
      for (int j = 0; j < J; ++j) sums[j][k] += weights[j] * x[k];
  for (int j = 0; j < J; ++j)
    for (int k = 0; k < K; ++k) out[j * ld + k] = sums[j][k];
}

}  // namespace detail

// out[a][k] (leading dimension p) becomes, or grows by, sum_t weights[t][a] x[t][k] for the first p
// columns of the tiles, which lie `stride` vectors apart.
template <int Height, int First = 0>
inline void multiply_columns(const vd* weights, const vd* x, std::size_t stride, std::size_t p,
                             std::size_t tiles, bool add, vd* out) {
  constexpr int J = std::min(4, Height - First);
  constexpr std::size_t width = detail::products_width(J);
  for (std::size_t k = 0; k < p; k += width) {
    const auto block = [&](auto columns) {
      detail::multiply_block<Height, J, columns>(weights + First, x + k, stride, tiles, add,
                                                 out + First * p + k, p);
    };
    switch (std::min(width, p - k)) {
      case 1: block(std::integral_constant<int, 1>{}); break;
      case 2: block(std::integral_constant<int, 2>{}); break;
      case 3: block(std::integral_constant<int, 3>{}); break;
      default: block(std::integral_constant<int, static_cast<int>(width)>{});
    }
  }
  if constexpr (First + J < Height)
    multiply_columns<Height, First + J>(weights, x, stride, p, tiles, add, out);
}

}  // namespace multilogit

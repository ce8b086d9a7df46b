// All products keep a panel of accumulators in registers and run over the tiles innermost.
//
// A panel is kHigh x kWide: 3 x 8 of the 32 registers of AVX-512, 3 x 4 of 16. A tile of it takes
// 11 reads for 24 multiply-adds; the processor does two of each per cycle, so that arithmetic is
// what it waits for. (4 x 4: 8 for 16, and 4 instead of 3 of them from the second cache.) What is
// wide is read once for every three columns: weighted, it is copied to a strip of its own that
// stays in the first cache. With 24 tiles the strip has 12 kB, and 21 columns beside it 32 kB;
// longer ones no longer fit, shorter ones spend more time adding up lanes.
//
// Of p = 21 columns the panels have 248 products where the triangle has 231. Measured, in Gflop/s
// (AVX-512, AVX2; a large product of OpenBLAS: 75, 47): p = 21: 60, 41; 101: 70, 45; 200: 76, 47.
#include "gram.hpp"

#include <algorithm>
#include <cstring>

namespace multilogit {

namespace {

constexpr std::size_t kHigh = 3;
constexpr std::size_t kWide = kLanes >= 8 ? 8 : 4;

// What becomes of the lanes of the sums of one row of a panel. There are whole registers of them.
template <std::size_t Width>
void add_sums(const vd* acc, vd* out) {
  for (std::size_t k = 0; k < Width; ++k) out[k] += acc[k];
}

template <std::size_t Width>
void add_sums(const vd* acc, double* out) {
  for (std::size_t k = 0; k < Width; k += kLanes) {
    const vd total = sums(acc + k);
    if (Width - k >= kLanes) {
      vd to;
      std::memcpy(&to, out + k, sizeof to);
      to += total;
      std::memcpy(out + k, &to, sizeof to);
    } else {
      for (std::size_t i = 0; i < Width - k; ++i) out[k + i] += total[i];
    }
  }
}

// out[j][k] += sum_t high[t][j] wide[t][k]; wide has `pitch` registers per tile.
template <std::size_t Height, std::size_t Width, class S>
void panel(const vd* high, std::size_t tile, std::size_t column, const vd* wide, std::size_t pitch,
           std::size_t tiles, S* out, std::size_t ld) {
  vd acc[Height][(Width + kLanes - 1) / kLanes * kLanes] = {};
  for (std::size_t t = 0; t < tiles; ++t) {
    vd x[Height];
#pragma GCC unroll 8
    for (std::size_t j = 0; j < Height; ++j) x[j] = high[t * tile + j * column];
#pragma GCC unroll 8
    for (std::size_t k = 0; k < Width; ++k) {
      const vd y = keep(wide[t * pitch + k]);
#pragma GCC unroll 8
      for (std::size_t j = 0; j < Height; ++j) acc[j][k] += x[j] * y;
    }
  }
#pragma GCC unroll 8
  for (std::size_t j = 0; j < Height; ++j) add_sums<Width>(acc[j], out + j * ld);
}

template <std::size_t Height, std::size_t Width = kWide, class... Args>
void panel_of_width(std::size_t width, const Args&... args) {
  if constexpr (Width > 1)
    if (width < Width) return panel_of_width<Height, Width - 1>(width, args...);
  panel<Height, Width>(args...);
}

template <class... Args>
void panel_of_size(std::size_t height, std::size_t width, const Args&... args) {
  switch (height) {
    case 1: return panel_of_width<1>(width, args...);
    case 2: return panel_of_width<2>(width, args...);
    default: return panel_of_width<kHigh>(width, args...);
  }
}

template <class S>
void cross_products(const vd* v, std::size_t height, const vd* x, std::size_t stride, std::size_t p,
                    std::size_t tiles, S* out, std::size_t ld) {
  for (std::size_t k0 = 0; k0 < p; k0 += kWide)
    for (std::size_t a0 = 0; a0 < height; a0 += kHigh)
      panel_of_size(std::min(kHigh, height - a0), std::min(kWide, p - k0), v + a0, height,
                    std::size_t{1}, x + k0, stride, tiles, out + a0 * ld + k0, ld);
}

// A strip of tiles, tiles <= kStripTiles.
void add_gram_of_strip(const Columns& x, std::size_t p, const vd* w, std::size_t tiles, double* out,
                       std::size_t ld) {
  vd wide[kStripTiles * kWide];
  for (std::size_t k0 = 0; k0 < p; k0 += kWide) {
    const std::size_t end = std::min(k0 + kWide, p);
    for (std::size_t k = k0; k < end; ++k) {
      const vd* column = x.at(0, k);
#pragma GCC unroll 4
      for (std::size_t t = 0; t < tiles; ++t) wide[t * kWide + k - k0] = w[t] * column[t * x.tile];
    }
    for (std::size_t j0 = 0; j0 < end; j0 += kHigh) {
      const std::size_t k = std::max(j0, k0);  // nothing left of the diagonal
      panel_of_size(std::min(kHigh, end - j0), end - k, x.at(0, j0), x.tile, x.column,
                    wide + k - k0, kWide, tiles, out + j0 * ld + k, ld);
    }
  }
}

// Column a times the columns from b on, kWide of them, once for all weights: that x_a x_b must be
// written is worth it where there are many weights, and few columns waste much on the diagonal.
void add_grams_of_products(const Columns& x, std::size_t a, std::size_t b, std::size_t p,
                           const Weights& w, std::size_t tiles, double* out) {
  vd wide[kStripTiles * kWide];
  const std::size_t width = std::min(kWide, p - b);
  for (std::size_t k = 0; k < width; ++k) {
    const vd *left = x.at(0, a), *right = x.at(0, b + k);
#pragma GCC unroll 4
    for (std::size_t t = 0; t < tiles; ++t)
      wide[t * kWide + k] = left[t * x.tile] * right[t * x.tile];
  }
  for (std::size_t i = 0; i < w.count; i += kHigh)
    panel_of_size(std::min(kHigh, w.count - i), width, w.data + i * w.pitch, std::size_t{1},
                  w.pitch, wide, kWide, tiles, out + (i * p + a) * p + b, p * p);
}

// Width columns of X'r: as many sums as it takes to wait for none of them.
constexpr std::size_t kProducts = 8;

template <std::size_t Width = kProducts>
void products(std::size_t width, const Columns& x, const vd* r, std::size_t tiles, double* out) {
  if constexpr (Width > 1)
    if (width < Width) return products<Width - 1>(width, x, r, tiles, out);
  vd acc[Width] = {};
  for (std::size_t t = 0; t < tiles; ++t) {
    const vd y = keep(r[t]);
#pragma GCC unroll 8
    for (std::size_t k = 0; k < Width; ++k) acc[k] += y * *x.at(t, k);
  }
#pragma GCC unroll 8
  for (std::size_t k = 0; k < Width; ++k) out[k] += sum(acc[k]);
}

}  // namespace

void add_gram(const Columns& x, std::size_t p, const vd* w, std::size_t tiles, double* out,
              std::size_t ld) {
  for (std::size_t t = 0; t < tiles; t += kStripTiles)
    add_gram_of_strip({x.at(t, 0), x.tile, x.column}, p, w + t, std::min(kStripTiles, tiles - t),
                      out, ld);
}

void add_grams(const Columns& x, std::size_t p, const Weights& w, std::size_t tiles, double* out) {
  if (2 * w.count < p) {
    for (std::size_t i = 0; i < w.count; ++i)
      add_gram_of_strip(x, p, w.data + i * w.pitch, tiles, out + i * p * p, p);
    return;
  }
  for (std::size_t a = 0; a < p; ++a)
    for (std::size_t b = a; b < p; b += kWide) add_grams_of_products(x, a, b, p, w, tiles, out);
}

void add_product(const Columns& x, std::size_t p, const vd* r, std::size_t tiles, double* out) {
  for (std::size_t k = 0; k < p; k += kProducts)
    products(std::min(kProducts, p - k), {x.at(0, k), x.tile, x.column}, r, tiles, out + k);
}

void add_cross(const vd* v, std::size_t height, const vd* x, std::size_t stride, std::size_t p,
               std::size_t tiles, vd* out, std::size_t ld) {
  cross_products(v, height, x, stride, p, tiles, out, ld);
}

void add_cross(const vd* v, std::size_t height, const vd* x, std::size_t stride, std::size_t p,
               std::size_t tiles, double* out, std::size_t ld) {
  cross_products(v, height, x, stride, p, tiles, out, ld);
}

}  // namespace multilogit

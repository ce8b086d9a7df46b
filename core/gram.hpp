// Weighted products of tiled columns. A tile is one vector register per column.
#pragma once

#include <cstddef>

#include "simd.hpp"

namespace multilogit {

// Tiles that are processed together, so that their columns stay in the first or second cache.
constexpr std::size_t kChunkTiles = 64;

// Tiles that `add_gram` works on at a time (gram.cpp says why so many).
constexpr std::size_t kStripTiles = kLanes >= 8 ? 24 : 32;

// Columns in tiles; `tile` and `column` are the registers from one to the next.
struct Columns {
  const vd* data;
  std::size_t tile, column;
  const vd* at(std::size_t t, std::size_t k) const { return data + t * tile + k * column; }
};

// out += X' diag(w) X for the first p columns; out is p x p with leading dimension ld. Blocks on
// and right of the diagonal are filled: read the upper triangle (row <= column) only.
void add_gram(const Columns& x, std::size_t p, const vd* w, std::size_t tiles, double* out,
              std::size_t ld);

// Several weights for each row: weight i of tile t is data[i * pitch + t].
struct Weights {
  const vd* data;
  std::size_t pitch, count;
};

// The same for every weight, out_i p x p one after the other, tiles <= kStripTiles. Nine logits and
// eleven columns take three quarters of one `add_gram` for each weight.
void add_grams(const Columns& x, std::size_t p, const Weights& w, std::size_t tiles, double* out);

// out[k] += sum_i r_i x_ik for the first p columns: X'r.
void add_product(const Columns& x, std::size_t p, const vd* r, std::size_t tiles, double* out);

// The same for tiles one after the other, `stride` registers each: column k is x[t * stride + k].
inline void add_gram(const vd* x, std::size_t stride, std::size_t p, const vd* w, std::size_t tiles,
                     double* out, std::size_t ld) {
  add_gram({x, stride, 1}, p, w, tiles, out, ld);
}
inline void add_product(const vd* x, std::size_t stride, std::size_t p, const vd* r,
                        std::size_t tiles, double* out) {
  add_product({x, stride, 1}, p, r, tiles, out);
}

// out[a][k] += sum_t v[t][a] x[t][k] for `height` left and `p` right columns of tiles one after the
// other; the lanes are kept apart, or added up where out holds doubles.
void add_cross(const vd* v, std::size_t height, const vd* x, std::size_t stride, std::size_t p,
               std::size_t tiles, vd* out, std::size_t ld);
void add_cross(const vd* v, std::size_t height, const vd* x, std::size_t stride, std::size_t p,
               std::size_t tiles, double* out, std::size_t ld);

}  // namespace multilogit

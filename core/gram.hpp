// Weighted products of tiled columns. A tile is one vector register per column; consecutive tiles
// lie `stride` registers apart: column k of tile t is x[t * stride + k].
#pragma once

#include <cstddef>
#include <initializer_list>

#include "simd.hpp"

namespace multilogit {

// Tiles that are processed together, so that their columns stay in the first or second cache.
constexpr std::size_t kChunkTiles = 64;

// out += X' diag(w) X for the first p columns; out is p x p with leading dimension ld. Blocks on
// and right of the diagonal are filled: read the upper triangle (row <= column) only.
void add_gram(const vd* x, std::size_t stride, std::size_t p, const vd* w, std::size_t tiles,
              double* out, std::size_t ld);

// out[k] += sum_i r_i x_ik for the first p columns: X'r.
void add_product(const vd* x, std::size_t stride, std::size_t p, const vd* r, std::size_t tiles,
                 double* out);

// out[a][k] += sum_t v[t][a] x[t][k] for `height` left and `p` right columns; the lanes are kept
// apart, or added up where out holds doubles.
void add_cross(const vd* v, std::size_t height, const vd* x, std::size_t stride, std::size_t p,
               std::size_t tiles, vd* out, std::size_t ld);
void add_cross(const vd* v, std::size_t height, const vd* x, std::size_t stride, std::size_t p,
               std::size_t tiles, double* out, std::size_t ld);

// Lengths of vectors that `add_outers` multiplies: whole blocks, the rest zero.
constexpr int whole_blocks(int size) { return (size + 3) / 4 * 4; }

// Vectors left_i and right_i of `size` numbers each, one after the other.
struct Outer {
  const vd *left, *right;
  int height;
};

// out += factor sum_i left_i right_i' over all i of all terms; out is size x size. Blocks on and
// right of the diagonal are filled: read the upper triangle only.
void add_outers(std::initializer_list<Outer> terms, double factor, int size, vd* out);

}  // namespace multilogit

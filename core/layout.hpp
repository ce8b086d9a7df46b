// Rows sorted by group into tiles: one vector register per column and tile.
//
// Groups of up to kSmallGroup rows share a tile, a lane each, as many side by side as there are
// lanes and of nearly equal size; so do groups of up to kMediumGroup rows where that leaves less
// than half of the lanes empty. The rows of a larger group fill the lanes of tiles of its own.
// Lanes without a row hold zeros everywhere, and n = 0 trials make them count for nothing.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "parallel.hpp"
#include "simd.hpp"

namespace multilogit {

constexpr std::size_t kSmallGroup = 64, kMediumGroup = 256;

struct Unit {
  std::size_t tile = 0, tiles = 0;
  std::size_t group = 0;  // first group, in the layout's own order
  int groups = 1;
  bool groups_in_lanes = false;
};

using RowIndex = std::int32_t;
constexpr RowIndex kNoRow = -1;

struct Layout {
  std::vector<Unit> units;
  std::vector<std::size_t> slots;  // units slots[s] .. slots[s + 1] - 1 make up slot s
  std::vector<RowIndex> row;       // lane j of tile t holds row row[t * kLanes + j], or kNoRow
  std::vector<std::size_t> order;  // group order[g] of the data is group g of the layout
  std::size_t rows, tiles = 0;

  Layout(const std::int32_t* codes, std::size_t n_rows, std::size_t groups);

 private:
  void make_units(const std::vector<std::size_t>& size);
  std::size_t groups_side_by_side(const std::vector<std::size_t>& size, std::size_t g) const;
  void place_rows(const std::int32_t* codes);
  void make_slots();
};

// Whether all lanes of a tile hold rows.
inline bool is_full(const RowIndex* row) {
  RowIndex all = 0;
  for (int lane = 0; lane < kLanes; ++lane) all |= row[lane];
  return all >= 0;  // kNoRow alone is negative
}

// A column in the lanes of a tile, one by one; 0 where there is no row.
inline void gather(const double* column, const RowIndex* row, double* to) {
  if (is_full(row))
    for (int lane = 0; lane < kLanes; ++lane) to[lane] = column[row[lane]];
  else
    for (int lane = 0; lane < kLanes; ++lane)
      to[lane] = row[lane] == kNoRow ? 0.0 : column[row[lane]];
}

// Columns into tiles whose lanes hold these rows: `count` registers per tile.
void fill_tiles(const std::vector<RowIndex>& row, const double* const* columns, std::size_t count,
                vd* tiles, std::size_t threads = 1);

// Calls fill(first, end) for blocks of lanes, on several threads; ends are whole tiles. Blocks are
// small, so that what is written to a file is not written again and again.
template <class Fill>
void fill_blocks(std::size_t lanes, std::size_t threads, const Fill& fill) {
  constexpr std::size_t kBlock = std::size_t{1} << 17;
  for_each_slot((lanes + kBlock - 1) / kBlock, threads, [&](std::size_t, std::size_t block) {
    fill(block * kBlock, std::min((block + 1) * kBlock, lanes));
  });
}

}  // namespace multilogit

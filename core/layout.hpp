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
#include <numeric>
#include <vector>

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

  Layout(const std::int32_t* codes, std::size_t n_rows, std::size_t groups) : rows(n_rows) {
    std::vector<std::size_t> size(groups), rank(groups);
    for (std::size_t i = 0; i < rows; ++i) ++size[codes[i]];
    order.resize(groups);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return size[a] < size[b]; });
    for (std::size_t g = 0; g < groups; ++g) rank[order[g]] = g;
    make_units(size);
    place_rows(codes, rank);
    make_slots();
  }

 private:
  void make_units(const std::vector<std::size_t>& size) {
    for (std::size_t g = 0; g < order.size();) {
      Unit unit;
      unit.tile = tiles;
      unit.group = g;
      const std::size_t beside = groups_side_by_side(size, g);
      if (beside > 0) {
        unit.groups_in_lanes = true;
        unit.groups = static_cast<int>(beside);
        unit.tiles = size[order[g + beside - 1]];  // ascending: the last one is the largest
      } else {
        unit.tiles = (size[order[g]] + kLanes - 1) / kLanes;
      }
      g += unit.groups;
      tiles += unit.tiles;
      units.push_back(unit);
    }
  }

  // How many groups from g on share tiles; 0: group g has its own.
  std::size_t groups_side_by_side(const std::vector<std::size_t>& size, std::size_t g) const {
    const bool small = size[order[g]] <= kSmallGroup;
    const std::size_t limit = small ? kSmallGroup : kMediumGroup;
    std::size_t groups = 0, filled = 0;
    while (groups < kLanes && g + groups < order.size() && size[order[g + groups]] <= limit)
      filled += size[order[g + groups++]];
    if (small || groups == 0) return groups;
    return 2 * filled > kLanes * size[order[g + groups - 1]] ? groups : 0;
  }

  void place_rows(const std::int32_t* codes, const std::vector<std::size_t>& rank) {
    std::vector<std::size_t> next(order.size()), stride(order.size(), 1);
    for (const Unit& unit : units)
      for (int lane = 0; lane < unit.groups; ++lane) {
        next[unit.group + lane] = unit.tile * kLanes + lane;
        if (unit.groups_in_lanes) stride[unit.group + lane] = kLanes;
      }
    row.assign(tiles * kLanes, kNoRow);
    for (std::size_t i = 0; i < rows; ++i) {
      const std::size_t g = rank[codes[i]];
      row[next[g]] = static_cast<RowIndex>(i);
      next[g] += stride[g];
    }
  }

  // Slots of at least 512 tiles, 64 at the most.
  void make_slots() {
    const std::size_t wanted = std::clamp<std::size_t>(tiles / 512, 1, 64);
    slots = {0};
    for (std::size_t u = 0; u < units.size(); ++u) {
      const std::size_t filled = units[u].tile + units[u].tiles;
      if (filled * wanted >= tiles * slots.size() && u + 1 < units.size()) slots.push_back(u + 1);
    }
    slots.push_back(units.size());
  }
};

}  // namespace multilogit

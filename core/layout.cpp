#include "layout.hpp"

#include <algorithm>
#include <numeric>

namespace multilogit {

Layout::Layout(const std::int32_t* codes, std::size_t n_rows, std::size_t groups) : rows(n_rows) {
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

void Layout::make_units(const std::vector<std::size_t>& size) {
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
std::size_t Layout::groups_side_by_side(const std::vector<std::size_t>& size, std::size_t g) const {
  const bool small = size[order[g]] <= kSmallGroup;
  const std::size_t limit = small ? kSmallGroup : kMediumGroup;
  std::size_t groups = 0, filled = 0;
  while (groups < kLanes && g + groups < order.size() && size[order[g + groups]] <= limit)
    filled += size[order[g + groups++]];
  if (small || groups == 0) return groups;
  return 2 * filled > kLanes * size[order[g + groups - 1]] ? groups : 0;
}

void Layout::place_rows(const std::int32_t* codes, const std::vector<std::size_t>& rank) {
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
void Layout::make_slots() {
  const std::size_t wanted = std::clamp<std::size_t>(tiles / 512, 1, 64);
  slots = {0};
  for (std::size_t u = 0; u < units.size(); ++u) {
    const std::size_t filled = units[u].tile + units[u].tiles;
    if (filled * wanted >= tiles * slots.size() && u + 1 < units.size()) slots.push_back(u + 1);
  }
  slots.push_back(units.size());
}

// Tile by tile, so that what is written is written once and in order.
void fill_tiles(const std::vector<RowIndex>& rows, const double* const* columns, std::size_t count,
                vd* tiles) {
  auto* to = reinterpret_cast<double*>(tiles);
  for (const RowIndex* row = rows.data(); row != rows.data() + rows.size(); row += kLanes) {
    const bool full = std::find(row, row + kLanes, kNoRow) == row + kLanes;
    for (std::size_t k = 0; k < count; ++k, to += kLanes) {
      const double* column = columns[k];
      if (full)
        for (int lane = 0; lane < kLanes; ++lane) to[lane] = column[row[lane]];
      else
        for (int lane = 0; lane < kLanes; ++lane)
          to[lane] = row[lane] == kNoRow ? 0.0 : column[row[lane]];
    }
  }
}

}  // namespace multilogit

#include "layout.hpp"

#include <algorithm>
#include <numeric>

namespace multilogit {

namespace {

// Groups by ascending size, those of one size in their own order. Sizes are counted, and only
// the few large groups are compared.
std::vector<std::size_t> by_size(const std::vector<std::size_t>& size) {
  constexpr std::size_t kLarge = 1024;
  std::vector<std::size_t> order(size.size()), next(kLarge + 2);
  for (const std::size_t s : size) ++next[std::min(s, kLarge) + 1];
  std::partial_sum(next.begin(), next.end(), next.begin());
  const auto large = static_cast<std::ptrdiff_t>(next[kLarge]);
  for (std::size_t g = 0; g < size.size(); ++g) order[next[std::min(size[g], kLarge)]++] = g;
  std::stable_sort(order.begin() + large, order.end(),
                   [&](std::size_t a, std::size_t b) { return size[a] < size[b]; });
  return order;
}

}  // namespace

Layout::Layout(const std::int32_t* codes, std::size_t n_rows, std::size_t groups) : rows(n_rows) {
  std::vector<std::size_t> size(groups);
  for (std::size_t i = 0; i < rows; ++i) ++size[codes[i]];
  order = by_size(size);
  make_units(size);
  place_rows(codes);
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

void Layout::place_rows(const std::int32_t* codes) {
  struct Place {
    std::size_t next, stride;
  };
  std::vector<Place> place(order.size());  // by the data's numbers: one look-up for each row
  for (const Unit& unit : units)
    for (int lane = 0; lane < unit.groups; ++lane)
      place[order[unit.group + lane]] = {
          unit.tile * kLanes + lane, unit.groups_in_lanes ? std::size_t{kLanes} : std::size_t{1}};
  row.assign(tiles * kLanes, kNoRow);
  constexpr std::size_t kAhead = 16;
  for (std::size_t i = 0; i < rows; ++i) {
    if (i + kAhead < rows) __builtin_prefetch(&place[codes[i + kAhead]], 1);
    Place& to = place[codes[i]];
    row[to.next] = static_cast<RowIndex>(i);
    to.next += to.stride;
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

// Column by column, so that one stays in the second cache while its rows are picked.
void fill_tiles(const std::vector<RowIndex>& row, const double* const* columns, std::size_t count,
                vd* tiles, std::size_t threads) {
  fill_blocks(row.size(), threads, [&](std::size_t first, std::size_t end) {
    for (std::size_t k = 0; k < count; ++k) {
      auto* to = reinterpret_cast<double*>(tiles + first / kLanes * count + k);
      for (std::size_t i = first; i < end; i += kLanes, to += count * kLanes)
        gather(columns[k], &row[i], to);
    }
  });
}

}  // namespace multilogit

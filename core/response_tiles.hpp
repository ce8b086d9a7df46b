// The response in tiles: C vectors of counts per tile, and one of trials.
//
// Where every row is one trial, counts and trials are 0 or 1 (0 trials: a lane without a row). They
// are then kept as bits, a byte for a vector instead of 64, and made numbers again for one unit at
// a time, in a buffer that stays in the first-level cache.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "layout.hpp"
#include "simd.hpp"
#include "tiles.hpp"

namespace multilogit {

static_assert(kLanes <= 8, "a byte holds a bit for every lane");

// 1.0 in the lanes whose bit is set.
inline vd ones_of(std::uint8_t byte) {
  vl lane{};
  for (int j = 0; j < kLanes; ++j) lane[j] = std::int64_t{1} << j;
  return select(((std::int64_t{byte} + vl{}) & lane) != 0, splat(1.0), vd{});
}

class ResponseTiles {
 public:
  struct Columns {
    std::vector<const double*> counts;  // C of them
    const double* trials;
  };
  struct View {
    const vd* y;  // tiles x C
    const vd* n;
  };

  // scratch: as that of Tiles.
  ResponseTiles(const Layout& layout, const Columns& columns, const std::string& scratch = "")
      : c_(columns.counts.size()),
        single_(single_trials(layout.rows, columns)),
        bits_(single_ ? layout.tiles * (c_ + 1) : 0),
        y_(single_ ? 0 : layout.tiles * c_, scratch),
        n_(single_ ? 0 : layout.tiles, scratch) {
    for (std::size_t t = 0; t < layout.tiles; ++t) {
      for (std::size_t j = 0; j < c_; ++j) fill(layout, columns.counts[j], t, j);
      fill(layout, columns.trials, t, c_);
    }
  }

  // Those of some tiles; `room` holds them where they are kept as bits.
  View of(std::size_t first, std::size_t tiles, std::vector<vd>& room) const {
    if (!single_) return {&y_[first * c_], &n_[first]};
    if (room.size() < tiles * (c_ + 1)) room.resize(tiles * (c_ + 1));
    vd *y = room.data(), *n = y + tiles * c_;
    const std::uint8_t* byte = &bits_[first * (c_ + 1)];
    for (std::size_t t = 0; t < tiles; ++t) {
      for (std::size_t j = 0; j < c_; ++j) y[t * c_ + j] = ones_of(*byte++);
      n[t] = ones_of(*byte++);
    }
    return {y, n};
  }

  std::size_t bytes() const { return bits_.size() + y_.bytes() + n_.bytes(); }
  void release() const {
    y_.release();
    n_.release();
  }
  void prefetch() const {
    y_.prefetch();
    n_.prefetch();
  }

 private:
  static bool single_trials(std::size_t rows, const Columns& columns) {
    const auto is_bit = [](double x) { return x == 0.0 || x == 1.0; };
    return std::all_of(columns.trials, columns.trials + rows, [](double n) { return n == 1.0; }) &&
           std::all_of(columns.counts.begin(), columns.counts.end(),
                       [&](const double* y) { return std::all_of(y, y + rows, is_bit); });
  }

  // Vector j of tile t: counts of category j, or (j = C) trials.
  void fill(const Layout& layout, const double* column, std::size_t t, std::size_t j) {
    const RowIndex* row = &layout.row[t * kLanes];
    vd values{};
    std::uint8_t byte = 0;
    for (int lane = 0; lane < kLanes; ++lane) {
      values[lane] = row[lane] == kNoRow ? 0.0 : column[row[lane]];
      byte |= static_cast<std::uint8_t>((values[lane] != 0.0) << lane);
    }
    if (single_)
      bits_[t * (c_ + 1) + j] = byte;
    else
      (j < c_ ? y_.data()[t * c_ + j] : n_.data()[t]) = values;
  }

  std::size_t c_;
  bool single_;
  std::vector<std::uint8_t> bits_;
  Tiles y_, n_;
};

}  // namespace multilogit

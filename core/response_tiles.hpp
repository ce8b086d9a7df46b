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
    bool single_trials;  // every n is 0 or 1
  };

  // scratch: as that of Tiles.
  ResponseTiles(const Layout& layout, const Columns& columns, std::size_t threads,
                const std::string& scratch = "")
      : c_(columns.counts.size()),
        single_(single_trials(layout.rows, columns)),
        bits_(single_ ? layout.tiles * (c_ + 1) : 0),
        y_(single_ ? 0 : layout.tiles * c_, scratch),
        n_(single_ ? 0 : layout.tiles, scratch) {
    if (single_)
      fill_bits(layout.row, columns, threads);
    else {
      fill_tiles(layout.row, columns.counts.data(), c_, y_.data(), threads);
      fill_tiles(layout.row, &columns.trials, 1, n_.data(), threads);
    }
  }

  // Those of some tiles; `room` holds them where they are kept as bits.
  View of(std::size_t first, std::size_t tiles, std::vector<vd>& room) const {
    if (!single_) return {&y_[first * c_], &n_[first], false};
    if (room.size() < tiles * (c_ + 1)) room.resize(tiles * (c_ + 1));
    vd *y = room.data(), *n = y + tiles * c_;
    const std::uint8_t* byte = &bits_[first * (c_ + 1)];
    for (std::size_t t = 0; t < tiles; ++t) {
      for (std::size_t j = 0; j < c_; ++j) y[t * c_ + j] = ones_of(*byte++);
      n[t] = ones_of(*byte++);
    }
    return {y, n, true};
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
    return all(columns.trials, rows, [](double n) { return n == 1.0; }) &&
           std::all_of(columns.counts.begin(), columns.counts.end(), [&](const double* y) {
             return all(y, rows, [](double x) { return x == 0.0 || x == 1.0; });
           });
  }

  // In blocks: a loop that may end at any row is not vectorised.
  template <class Test>
  static bool all(const double* x, std::size_t rows, Test test) {
    constexpr std::size_t kBlock = 256;
    for (std::size_t i = 0; i < rows; i += kBlock) {
      bool passed = true;
      for (std::size_t j = i; j < std::min(i + kBlock, rows); ++j) passed &= test(x[j]);
      if (!passed) return false;
    }
    return true;
  }

  // A byte for each count of a tile, and one for its trials: a bit for every lane.
  void fill_bits(const std::vector<RowIndex>& row, const Columns& columns, std::size_t threads) {
    fill_blocks(row.size(), threads, [&](std::size_t first, std::size_t end) {
      std::uint8_t* byte = &bits_[first / kLanes * (c_ + 1)];
      for (std::size_t i = first; i < end; i += kLanes) {
        for (const double* counts : columns.counts) {
          double count[kLanes];
          gather(counts, &row[i], count);
          *byte++ = bits_of([&](int lane) { return count[lane] != 0.0; });
        }
        *byte++ = bits_of([&](int lane) { return row[i + lane] != kNoRow; });
      }
    });
  }

  template <class Test>
  static std::uint8_t bits_of(Test test) {
    std::uint8_t byte = 0;
    for (int lane = 0; lane < kLanes; ++lane) byte |= static_cast<std::uint8_t>(test(lane) << lane);
    return byte;
  }

  std::size_t c_;
  bool single_;
  std::vector<std::uint8_t> bits_;
  Tiles y_, n_;
};

}  // namespace multilogit

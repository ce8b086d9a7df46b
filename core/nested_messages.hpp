// Numbers that pass between the nodes of two levels.
//
// The nodes of a block stand side by side, a lane each, but their parents may be anywhere. So what
// a node tells its children, and what children add up for it, is kept node by node: a row of
// registers for each. On the way between lanes and rows, squares of registers are turned.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "simd.hpp"

namespace multilogit {

namespace detail {

// Lane j of a with bit S of j set, and lane j - S of b, change places.
template <int S, int... J>
inline void exchange(vd& a, vd& b, std::integer_sequence<int, J...>) {
  const vd low = __builtin_shufflevector(a, b, ((J & S) != 0 ? kLanes + (J ^ S) : J)...);
  b = __builtin_shufflevector(a, b, ((J & S) != 0 ? kLanes + J : (J ^ S))...);
  a = low;
}

}  // namespace detail

// Of a square of kLanes registers, lane j of x[i] and lane i of x[j] change places.
template <int S = 1>
inline void transpose(vd* x) {
  for (int i = 0; i < kLanes; ++i)
    if ((i & S) == 0)
      detail::exchange<S>(x[i], x[i + S], std::make_integer_sequence<int, kLanes>{});
  if constexpr (2 * S < kLanes) transpose<2 * S>(x);
}

class Messages {
 public:
  // Room for `count` numbers of each of so many nodes.
  void open(std::size_t nodes, int count) {
    count_ = count;
    stride_ = (static_cast<std::size_t>(count) + kLanes - 1) / kLanes;
    used_ = nodes * stride_;
    if (numbers_.size() < used_) numbers_.resize(used_);
  }
  void clear() { std::fill_n(numbers_.begin(), used_, vd{}); }

  // Adds to the nodes of `index`. Lanes without a node add zeros to the first one.
  void add(const vd* values, const std::int32_t* index) {
    int c = 0;
    for (; count_ - c > kFew; c += kLanes) {
      vd square[kLanes];
      std::fill(square, square + kLanes, vd{});
      std::copy_n(values + c, std::min(kLanes, count_ - c), square);
      transpose(square);
      for (int lane = 0; lane < kLanes; ++lane) row(index[lane])[c / kLanes] += square[lane];
    }
    for (; c < count_; ++c)
      for (int lane = 0; lane < kLanes; ++lane)
        row(index[lane])[c / kLanes][c % kLanes] += values[c][lane];
  }

  // Of the nodes of `index`.
  void read(const std::int32_t* index, vd* out) const {
    read_rows([&](int lane) { return row(index[lane]); }, out);
  }

  // Of a block of nodes.
  void read(std::size_t block, vd* out) const {
    const vd* first = row(block * kLanes);
    read_rows([&](int lane) { return first + lane * stride_; }, out);
  }
  void write(std::size_t block, const vd* values) {
    vd* first = row(block * kLanes);
    for (int c = 0; c < count_; c += kLanes) {
      vd square[kLanes];
      std::fill(square, square + kLanes, vd{});
      std::copy_n(values + c, std::min(kLanes, count_ - c), square);
      transpose(square);
      for (int lane = 0; lane < kLanes; ++lane) first[lane * stride_ + c / kLanes] = square[lane];
    }
  }

 private:
  static constexpr int kFew = 2;  // so many numbers are not worth a square

  vd* row(std::size_t node) { return numbers_.data() + node * stride_; }
  const vd* row(std::size_t node) const { return numbers_.data() + node * stride_; }

  template <class Row>
  void read_rows(const Row& row, vd* out) const {
    int c = 0;
    for (; count_ - c > kFew; c += kLanes) {
      vd square[kLanes];
      for (int lane = 0; lane < kLanes; ++lane) square[lane] = row(lane)[c / kLanes];
      transpose(square);
      std::copy_n(square, std::min(kLanes, count_ - c), out + c);
    }
    for (; c < count_; ++c) {
      vd x;
      for (int lane = 0; lane < kLanes; ++lane) x[lane] = row(lane)[c / kLanes][c % kLanes];
      out[c] = x;
    }
  }

  int count_ = 0;
  std::size_t stride_ = 0, used_ = 0;
  std::vector<vd> numbers_;
};

}  // namespace multilogit

// The low-rank part of the Hessian: what groups contribute as products of vectors of parameters.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "gram.hpp"
#include "simd.hpp"

namespace multilogit {

// sum weight x x' + sum (l r' + r l') over groups. Vectors wait until there are enough of them, so
// that the elements of a block of the sum stay in registers meanwhile: X'diag(w)X again, with
// vectors for rows. Where the lanes of a unit are the rows of one group, so that all are equal,
// successive groups take a lane each.
class LowRank {
 public:
  // What a unit contributes: `squares` weights and vectors x, `crosses` vectors l and r.
  struct Vectors {
    vd *weight, *x, *l, *r;
  };

  LowRank(int size, int squares, int crosses)
      : size_(size),
        squares_(squares),
        crosses_(crosses),
        most_(std::max<std::size_t>(2, kMostBytes / (sizeof(vd) * size * (squares + 2 * crosses)))),
        weights_((most_ + 1) * squares),
        x_(weights_.size() * size),
        l_((most_ + 1) * crosses * size),
        r_(l_.size()),
        square_(size_ * size_),
        cross_(crosses > 0 ? square_.size() : 0) {}

  // Where the next unit writes them.
  Vectors room(bool groups_in_lanes) {
    if (groups_in_lanes && lane_ > 0) next();
    return of(groups_in_lanes ? waiting_ : most_);  // the last ones are for copies
  }

  void arrived(bool groups_in_lanes) {
    if (!groups_in_lanes) take_lane();
    if (groups_in_lanes || lane_ == kLanes) next();
  }

  void flush() {
    if (lane_ > 0) next();
    add_gram(x_.data(), size_, size_, weights_.data(), waiting_ * squares_, square_.data(), size_);
    if (crosses_ > 0)
      add_cross(l_.data(), size_, r_.data(), size_, size_, waiting_ * crosses_, cross_.data(),
                size_);
    waiting_ = 0;
  }

  // Element k <= l of the sum, after `flush`.
  double operator()(std::size_t k, std::size_t l) const {
    const double square = square_[k * size_ + l];
    return crosses_ == 0 ? square : square + cross_[k * size_ + l] + cross_[l * size_ + k];
  }

 private:
  static constexpr std::size_t kMostBytes = 16'384;  // of the first-level cache

  Vectors of(std::size_t unit) {
    return {&weights_[unit * squares_], &x_[unit * squares_ * size_],
            l_.data() + unit * crosses_ * size_, r_.data() + unit * crosses_ * size_};
  }

  void next() {
    lane_ = 0;
    if (++waiting_ == most_) flush();
  }

  // From the copies to the next lane of the vectors that wait.
  void take_lane() {
    const Vectors from = of(most_), to = of(waiting_);
    take_lane(from.weight, to.weight, squares_);
    take_lane(from.x, to.x, squares_ * size_);
    take_lane(from.l, to.l, crosses_ * size_);
    take_lane(from.r, to.r, crosses_ * size_);
    ++lane_;
  }
  void take_lane(const vd* from, vd* to, std::size_t count) const {
    if (lane_ == 0) std::fill_n(to, count, vd{});
    for (std::size_t i = 0; i < count; ++i) to[i][lane_] = from[i][0];
  }

  std::size_t size_, squares_, crosses_, most_, waiting_ = 0;
  int lane_ = 0;
  std::vector<vd> weights_, x_, l_, r_;
  std::vector<double> square_, cross_;
};

}  // namespace multilogit

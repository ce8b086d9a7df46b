// The only logarithms of a log-likelihood of logits.
#pragma once

#include "simd.hpp"

namespace multilogit {

// sum_i n_i log(1 + t_i), lane by lane, over rows of n_i trials. Where every n_i is 0 or 1 it is
// the logarithm of a product, which is taken once for many rows. What a factor rounds off, 1e-16,
// is no more than what a sum of so many logarithms does.
class SumOfLogs {
 public:
  explicit SumOfLogs(bool single_trials) : single_(single_trials) {}

  // log1p: of these t.
  template <class Log1p>
  void add(vd n, vd t, const Log1p& log1p) {
    if (!single_) {
      sum_ += n * log1p(t);
      return;
    }
    product_ *= 1.0 + n * t;
    if (++factors_ == kMostFactors) take_logarithm();
  }

  vd total() {
    if (factors_ > 0) take_logarithm();
    return sum_;
  }

 private:
  static constexpr int kMostFactors = 128;  // of 1 + t <= 17: below 1e158

  void take_logarithm() {
    sum_ += logarithm(product_);
    product_ = splat(1.0);
    factors_ = 0;
  }

  bool single_;
  int factors_ = 0;
  vd sum_{}, product_ = splat(1.0);
};

}  // namespace multilogit

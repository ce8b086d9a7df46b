// The logarithms of a log-likelihood of logits.
#pragma once

#include "simd.hpp"

namespace multilogit {

// sum n_i log(1 + t_i), lane by lane, over rows of n_i trials. Of single trials it is the logarithm
// of a product, which is taken once for many rows: what a factor rounds off, 1e-16, is no more than
// what the sum of as many logarithms does.
class SumOfLogs {
 public:
  // single: n is 0 or 1; log1p: of these t <= 16.
  template <class Log1p>
  void add(vd n, vd t, bool single, const Log1p& log1p) {
    if (single)
      multiply(1.0 + n * t, 1);
    else
      sum_ += n * log1p(t);
  }

  // log x, x >= 1
  void add_log(vd x) {
    if (all(x <= 0x1p64))
      multiply(x, 16);
    else
      sum_ += logarithm(x);
  }

  vd total() {
    take_logarithm();
    return sum_;
  }

 private:
  static constexpr int kMostFactors = 128;  // of up to 17: below 1e158

  void multiply(vd x, int factors) {
    product_ *= x;
    factors_ += factors;
    if (factors_ >= kMostFactors) take_logarithm();
  }

  void take_logarithm() {
    sum_ += logarithm(product_);
    product_ = splat(1.0);
    factors_ = 0;
  }

  int factors_ = 0;
  vd sum_{}, product_ = splat(1.0);
};

}  // namespace multilogit

// Single-level binomial and multinomial regression: log-likelihood, gradient and Hessian in one
// pass over columns that are read where they lie.
#pragma once

#include <cstddef>
#include <vector>

namespace multilogit {

// Pointers to the data; all arrays have `rows` elements (per column) and outlive the object.
struct FixedColumnsView {
  std::vector<const double*> columns;  // p columns of X
  std::vector<const double*> counts;   // C = J - 1: categories other than the baseline
  const double* trials = nullptr;
  std::vector<const double*> offset;  // empty, or one per logit
  const double* weights = nullptr;    // null: 1
  std::size_t rows = 0;
};

class FixedData {
 public:
  struct Result {
    double value = 0.0;
    std::vector<double> gradient;  // C p, logit by logit
    std::vector<double> hessian;   // (C p)^2, full
    bool finite = true;
  };

  struct Regression {
    std::vector<double> gram;   // X' diag(w) X, p x p, full
    std::vector<double> cross;  // X' z_j: k x p
  };

  explicit FixedData(FixedColumnsView view) : data_(std::move(view)) {}

  // Czepiel eqs 31, 32 and 37, without the log-gamma constants of the likelihood.
  Result evaluate(const double* beta, std::size_t threads) const;

  // Normal equations of weighted linear regressions: w null stands for 1.
  Regression regression(const double* w, const std::vector<const double*>& z,
                        std::size_t threads) const;

  FixedColumnsView& data() { return data_; }
  const FixedColumnsView& data() const { return data_; }
  std::size_t logits() const { return data_.counts.size(); }

 private:
  FixedColumnsView data_;
};

}  // namespace multilogit

// The Laplace log marginal likelihood of the trees of one slot, with exact gradient and Hessian:
//
//   l = f(u^) - sum over nodes of log|L|,   f(u) = sum l_i - u'u / 2,   H = I + A'WA
#pragma once

#include "nested_derivatives.hpp"

namespace multilogit {

template <int Z, int Q>
class NestedLaplace : public ForestDerivatives<Z, Q> {
  using Base = ForestDerivatives<Z, Q>;
  using Base::of;
  using typename Base::Level;

 public:
  explicit NestedLaplace(const NestedProblem& problem)
      : Base(problem, problem.at.levels() - 1, true) {}

  // Adds the slot's contribution; false when the modes were not found.
  bool evaluate(std::size_t slot, SlotRows& rows, std::vector<NestedModes>& modes,
                NestedTotals& totals) {
    this->open(slot, rows, most_leaf_registers());
    this->load_modes(modes);
    if (!this->find_modes()) return false;
    this->clear_sums();
    this->upwards([&](Level& level, std::size_t b) {
      if (level.d == 0) totals.value += differentiate_leaves(b);
      this->eliminate(level, b, true, [&](const vd* pw, const vd* half, vd log_L) {
        add_profile(level, b, pw, half, log_L, totals);
      });
    });
    this->downwards([&](Level& level, std::size_t b) { this->descend(level, b); }, 1);
    this->upwards([&](Level& level, std::size_t b) {
      this->restore(level, b);
      if (level.d == 0 && this->windows_ == 1) this->descend(level, b);
      this->store_covariance(level, b, modes[level.d]);
      add_factor(level, b, totals);
    });
    this->add_second_derivatives(false, nullptr, totals);
    this->flush(totals);
    this->rows_->add_scores(totals.product.data());
    return true;
  }

 private:
  // The fields of leaves that are looked at together take at most an eighth of what the data take.
  std::size_t most_leaf_registers() const {
    constexpr std::size_t kAlways = (std::size_t{1} << 19) / kLanes;  // 4 MB
    const std::size_t columns = this->at_.columns + this->at_.logits + 2;
    return std::max(kAlways, this->layout_.tiles * columns / 8);
  }

  vd differentiate_leaves(std::size_t b) {
    Level& level = this->leaf();
    if (this->windows_ > 1)
      this->pass_shift(level, b, level.u + b * this->q(level), &Level::shift, nullptr);
    return this->differentiate_rows(b);
  }

  // f and log|L| of the nodes; -P'WP + N'H^-1 N, where the last is the sum over nodes of
  // (L^-1 n)'(L^-1 n), apart from -X'WX.
  void add_profile(Level& level, std::size_t b, const vd* pw, const vd* half, vd log_L,
                   NestedTotals& totals) {
    const int q_d = this->q(level), size = this->size_, p = this->at_.p;
    const int below = this->at_.below(level.d), own = this->at_.below(level.d + 1);
    const vd *u = level.u + b * q_d, *R = of(level.R, this->zs(), b);
    totals.value -= log_L;
    for (int a = 0; a < q_d; ++a) {
      totals.value -= 0.5 * u[a] * u[a];
      this->add_square(half + a * size, vd{} + 1.0, totals);
    }
    for (int k = below; k < own; ++k) {
      const int z = this->theta_z(k - p);
      const vd ub = u[this->theta_effect(k - p, level)];
      totals.gradient[k] += R[z] * ub;
      vd* pairs = &totals.pairs[static_cast<std::size_t>(k - p) * size];
      for (int l = 0; l < below; ++l) pairs[l] -= ub * pw[z * size + l];
      for (int l = below; l < own; ++l) pairs[l] -= 0.5 * ub * pw[z * size + l];
    }
  }

  // gradient -tr(M_k) / 2, Hessian <M_k, M_l> / 2
  void add_factor(Level& level, std::size_t b, NestedTotals& totals) {
    const vd* E = this->information(level, b);
    this->find_M(
        level, b, E, 0, [&](int, int) { return this->new_squares(1, totals); },
        [&](const vd* M, int i, int a) {
          this->weights_[this->n_squares_ - 1] = vd{} + (i == a ? 0.5 : 1.0);
          if (i == a)
            for (int k = 0; k < this->size_; ++k) totals.gradient[k] -= 0.5 * M[k];
        });
    if (!this->is_top(level)) this->pass_information(level, b, E);
  }
};

}  // namespace multilogit

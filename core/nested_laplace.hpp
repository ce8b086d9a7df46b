// The Laplace log marginal likelihood of the trees of one slot, with exact gradient and Hessian
// (docs/mathematics.md, sections 4 to 6 and 8):
//
//   l = f(u^) - sum over nodes of log|L|,   f(u) = sum l_i - u'u / 2,   H = I + A'WA
#pragma once

#include "nested_hessian.hpp"
#include "sum_of_logs.hpp"

namespace multilogit {

template <int Z, int Q>
class NestedLaplace : public ForestHessian<Z, Q> {
  using Base = ForestHessian<Z, Q>;
  using Base::of;
  using typename Base::Level;
  using typename Base::Theta;

 public:
  explicit NestedLaplace(const NestedProblem& problem)
      : Base(problem, problem.at.levels() - 1, false) {}

  // Adds the slot's contribution; false when the modes were not found.
  bool evaluate(std::size_t slot, SlotRows& rows, std::vector<NestedModes>& modes,
                NestedTotals& totals) {
    this->open(slot, rows, most_leaf_registers());
    this->load_modes(modes);
    if (!this->find_modes()) return false;
    this->clear_sums();
    SumOfLogs logs;
    this->upwards([&](Level& level, std::size_t b) {
      if (level.d == 0) totals.value += differentiate_leaves(b, logs);
      vd* half = this->new_squares(this->q(level), totals);
      logs.add_log(this->eliminate(level, b, half));
      add_profile(level, b, totals);
      this->pass_sums(level, b);
    });
    totals.value -= logs.total();
    this->downwards([&](Level& level, std::size_t b) { this->descend(level, b); }, 1);
    this->upwards([&](Level& level, std::size_t b) {
      this->restore(level, b);
      if (level.d == 0 && this->windows_ == 1) this->descend(level, b);
      this->store_covariance(level, b, modes[level.d]);
      const vd* E = this->information(level, b);
      add_factor(level, b, E, totals);
      this->pass_information(level, b, E);
      this->curve(level, b, E, nullptr, totals);
    });
    this->downwards([&](Level& level, std::size_t b) { this->pass_v(level, b); }, 1);
    this->upwards([&](Level& level, std::size_t b) { this->finish(level, b, nullptr, totals); });
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

  vd differentiate_leaves(std::size_t b, SumOfLogs& logs) {
    if (this->windows_ > 1) this->find_shift(b);
    return this->differentiate_rows(b, &logs);
  }

  // f of the nodes; -P'WP + N'H^-1 N, where the last is the sum over nodes of (L^-1 n)'(L^-1 n),
  // apart from -X'WX.
  void add_profile(Level& level, std::size_t b, NestedTotals& totals) {
    const int q_d = this->q(level), size = this->size_;
    const vd *u = level.u + b * q_d, *R = this->R(level, b), *pw = this->known_pw(level, b);
    for (int a = 0; a < q_d; ++a) {
      totals.value -= 0.5 * u[a] * u[a];
      this->weights_[this->n_squares_ - 1 - a] = vd{} + 1.0;
    }
    const int below = level.own - level.own_thetas;
    for (int i = 0; i < level.own_thetas; ++i) {
      const Theta& theta = level.thetas[i];
      const vd ub = u[theta.effect], *w = pw + theta.zeta * size;
      totals.gradient[theta.k] += R[theta.zeta] * ub;
      vd* pairs = &totals.pairs[static_cast<std::size_t>(theta.k - this->at_.p) * size];
      for (int l = 0; l < below; ++l) pairs[l] -= ub * w[l];
      for (int l = below; l < level.own; ++l) pairs[l] -= 0.5 * ub * w[l];
    }
  }

  // gradient -tr(M_k) / 2, Hessian <M_k, M_l> / 2
  void add_factor(Level& level, std::size_t b, const vd* E, NestedTotals& totals) {
    const int size = this->size_, rows = this->rows_of_M(level, 0);
    vd* M = this->new_squares(rows, totals);
    vd* weights = &this->weights_[this->n_squares_ - rows];
    this->find_M(level, b, E, 0, M);
    for (int a = 0, row = 0; a < this->q(level); ++a)
      for (int i = a; i < level.path; ++i, ++row) weights[row] = vd{} + (i == a ? 0.5 : 1.0);
    for (int a = 0, row = 0; a < this->q(level); row += level.path - a, ++a)
      this->add(vd{} - 0.5, M + row * size, totals.gradient.data());
  }
};

}  // namespace multilogit

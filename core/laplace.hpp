// The Laplace log marginal likelihood of a unit of groups, with exact gradient and Hessian
// (docs/mathematics.md, sections 4 to 6):
//
//   l_g = f(u^) - log|L|
#pragma once

#include "group_unit.hpp"

namespace multilogit {

template <int Q, template <int> class Response>
class LaplaceUnit : public GroupUnit<Q, Response> {
  using Base = GroupUnit<Q, Response>;
  using Base::kMaxQ;

 public:
  using Base::Base;

  // Vectors of parameters that a unit adds to LowRank.
  int squares() const { return 2 * this->q() + this->s(); }
  int crosses() const { return 0; }

  // Adds the unit's contribution; false when the modes were not found.
  bool evaluate(const RowTiles& rows, std::size_t first_group, int groups, ModeStore& modes,
                Totals& totals, Flat& flat) {
    this->response_.start(rows);
    this->load(modes, first_group, groups);
    if (!this->find_modes()) return false;
    this->differentiate_rows(totals.logs);
    add_value(rows.groups_in_lanes, totals);
    for (int a = 0; a < this->q(); ++a)
      for (int c = 0; c < this->q(); ++c)
        this->G_[a * kMaxQ + c] = -0.5 * this->Hinv_[a * kMaxQ + c];
    const vd no_score[kMaxQ] = {};
    this->weigh_rows(no_score, flat);
    add_derivatives(rows.groups_in_lanes, totals);
    this->store(modes, first_group, groups);
    return true;
  }

 private:
  using typename Base::Parameter;

  void add_value(bool groups_in_lanes, Totals& totals) {
    totals.value += this->f_;
    const vd determinant = this->H_.root_determinant(this->q());
    if (groups_in_lanes)
      totals.logs.add_log(determinant);
    else
      totals.value -= logarithm(determinant);
  }

  // Gradient P_k'r - tr(M_k) / 2 and Hessian -P'WP + N'U - T / 2, apart from X'r and
  // X'diag(omega - w)X: for all pairs the low-rank part, then what only pairs with a theta have.
  void add_derivatives(bool groups_in_lanes, Totals& totals) {
    const Point& at = this->at_;
    const auto vectors = totals.low_rank.room(groups_in_lanes);
    set_weights(vectors.weight);
    this->differentiate_modes([&](int k, const Parameter& P) {
      for (int a = 0; a < this->q(); ++a) {
        this->derivative_u_[k * this->q() + a] = P.u[a];
        totals.gradient[k] -= 0.5 * P.m[Base::pair(a, a)];
      }
      set_squares(P, vectors.x + k);
      for (int i = 0; i < at.m(); ++i) {
        const vd pw = this->u_[this->theta_column(i)] * P.pw[this->theta_row(i)];
        totals.pairs[i * this->size_ + k] +=
            this->theta_pair(k, P, i) - (k >= at.p ? 0.5 * pw : pw);
      }
    });
    totals.low_rank.arrived(groups_in_lanes);
    for (int i = 0; i < at.m(); ++i)
      totals.gradient[at.p + i] += this->u_[this->theta_column(i)] * this->Rz_[this->theta_row(i)];
  }

  // U'HU + U'Lambda'G + G'Lambda U + M'M / 2 with S = L'U and T = B G, B = L^-1 Lambda':
  //   (S + T)'(S + T) - T'T + M'M / 2
  void set_weights(vd* weight) const {
    const int q = this->q();
    for (int a = 0; a < q; ++a) weight[a] = splat(1.0);
    for (int a = 0; a < q; ++a) weight[q + a] = splat(-1.0);
    for (int ab = 0; ab < this->s(); ++ab) weight[2 * q + ab] = splat(0.5);
  }
  void set_squares(const Parameter& P, vd* x) const {
    const int q = this->q(), size = this->size_;
    for (int a = 0; a < q; ++a) {
      vd t{};
      for (int c = 0; c < q; ++c) t += this->B_[a * kMaxQ + c] * P.g[c];
      x[a * size] = P.s[a] + t;
      x[(q + a) * size] = t;
    }
    for (int ab = 0; ab < this->s(); ++ab) x[(2 * q + ab) * size] = P.m[ab];
  }
};

}  // namespace multilogit

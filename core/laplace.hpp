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

  // Adds the unit's contribution; false when the modes were not found.
  bool evaluate(const RowTiles& rows, std::size_t first_group, int groups, ModeStore& modes,
                Totals& totals, Flat& flat) {
    this->response_.start(rows);
    this->load(modes, first_group, groups);
    if (!this->find_modes()) return false;
    this->differentiate_rows();
    totals.value += this->f_ - this->H_.half_log_determinant(this->q());
    for (int i = 0; i < kMaxQ * kMaxQ; ++i) this->G_[i] = -0.5 * this->Hinv_[i];
    const vd no_score[kMaxQ] = {};
    this->weigh_rows(no_score, flat);
    this->differentiate_modes();
    add_gradient(totals);
    add_hessian(totals);
    this->store(modes, first_group, groups);
    return true;
  }

 private:
  // P_k'r - tr(M_k) / 2; X'r is summed in `flat`.
  void add_gradient(Totals& totals) {
    const Point& at = this->at_;
    for (int k = 0; k < at.size(); ++k)
      for (int a = 0; a < this->q(); ++a)
        totals.gradient[k] -= 0.5 * this->at(this->m_, Base::pair(a, a), k);
    for (int i = 0; i < at.m(); ++i)
      totals.gradient[at.p + i] += this->u_[at.theta_column[i]] * this->Rz_[at.theta_row[i]];
  }

  // -P'WP + N'U - T / 2, apart from X'diag(omega - w)X: for all pairs the low-rank part
  // U'Y + Y'U + M'M / 2 with Y = N / 2 + Lambda'G, then what only pairs with a theta have.
  void add_hessian(Totals& totals) {
    const vd *u = this->derivative_u_.data(), *m = this->m_.data();
    vd* y = this->y_.data();
    for (std::size_t i = 0; i < this->y_.size(); ++i) y[i] = 2.0 * y[i] + this->n_[i];  // 2 Y
    add_outers({{u, y, this->q()}, {y, u, this->q()}, {m, m, this->s()}}, 0.5, this->size_,
               totals.hessian.data());
    const Point& at = this->at_;
    for (int i = 0; i < at.m(); ++i) {
      const vd u = this->u_[at.theta_column[i]];
      for (int k = 0; k < at.size(); ++k) {
        const double share = k >= at.p ? 0.5 : 1.0;
        const vd pwp = share * u * this->at(this->pw_, at.theta_row[i], k);
        this->add_pair(k, i, this->theta_pair(k, i) - pwp, totals);
      }
    }
  }
};

}  // namespace multilogit

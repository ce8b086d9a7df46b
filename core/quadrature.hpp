// The log marginal likelihood of a unit of groups by adaptive Gauss-Hermite quadrature, with exact
// gradient and Hessian of the computed value (DESIGN 4.4; docs/mathematics). With R = L^-T, nodes
// x_j of the standard normal and weights omega_j that add up to 1:
//
//   c_j = u^ + R x_j,   F_j = f(c_j) + |x_j|^2 / 2 + log omega_j,   p = softmax(F)
//   l_g = log sum_j exp F_j - log|L|
//
// One node at 0 is Laplace's approximation.
#pragma once

#include "group_unit.hpp"

namespace multilogit {

namespace detail {

inline double largest(double a, double b) { return a > b ? a : b; }
inline vd largest(vd a, vd b) { return select(a > b, a, b); }
inline double exponential(double x) { return std::exp(x); }
inline vd exponential(vd x) { return exp_negative(x); }

}  // namespace detail

template <int Q, class S, template <int, class> class Response>
class QuadratureUnit : public GroupUnit<Q, S, Response> {
  using Base = GroupUnit<Q, S, Response>;
  using Base::kMaxQ;
  using Base::kMaxS;

 public:
  QuadratureUnit(const Point& at, int size)
      : Base(at, size),
        nodes_(static_cast<int>(at.log_weights.size())),
        F_(nodes_),
        p_(nodes_),
        c_(static_cast<std::size_t>(nodes_) * kMaxQ),
        g_(c_.size()),
        Rz_(c_.size()),
        Wzz_(static_cast<std::size_t>(nodes_) * kMaxS),
        Fk_(static_cast<std::size_t>(nodes_) * size),
        mean_(size),
        ck_(static_cast<std::size_t>(kMaxQ) * size),
        Hc_(ck_.size()),
        turn_(static_cast<std::size_t>(kMaxQ) * kMaxQ * size),
        p_lanes_(nodes_) {}

  // Adds the unit's contribution; false when the modes were not found.
  bool evaluate(const RowTiles& rows, std::size_t first_group, int groups, ModeStore& modes,
                Totals<S>& totals, Flat& flat) {
    this->response_.start(rows);
    this->load(modes, first_group, groups);
    if (!this->find_modes()) return false;
    this->differentiate_rows();
    evaluate_nodes();
    totals.value += mix() - this->H_.half_log_determinant(q());
    for (int j = 0; j < nodes_; ++j) p_lanes_[j] = detail::to_lanes(p_[j]);
    this->response_.average(nodes_, p_lanes_.data(), this->at_.nodes.data());
    S S_u[kMaxQ];
    find_G(S_u);
    this->weigh_rows(S_u, flat);
    this->response_.multiply_node_columns(nodes_, node_cross_);
    this->differentiate_modes();
    differentiate_turns();
    differentiate_nodes(totals);
    add_gradient(totals);
    add_hessian(totals);
    this->store(modes, first_group, groups);
    return true;
  }

 private:
  int q() const { return Base::q(); }
  double x(int j, int a) const { return this->at_.nodes[j * q() + a]; }
  S R(int a, int d) const { return this->Linv_[d * kMaxQ + a]; }  // zero below the diagonal

  // ---- nodes -----------------------------------------------------------------------------------

  // c_j, r and w of every row, f(c_j), g_j = A'r_j - c_j, Z'W_jZ.
  void evaluate_nodes() {
    for (int j = 0; j < nodes_; ++j) {
      S* c = &c_[j * kMaxQ];
      for (int a = 0; a < q(); ++a) {
        c[a] = this->u_[a];
        for (int d = a; d < q(); ++d) c[a] += R(a, d) * x(j, d);
      }
      vd b[kMaxQ] = {};
      this->effects(c, b);
      S* Rz = &Rz_[j * kMaxQ];
      F_[j] = this->response_.differentiate_node(j, nodes_, b, Rz, &Wzz_[j * kMaxS]) +
              this->at_.log_weights[j];
      for (int a = 0; a < q(); ++a) F_[j] += 0.5 * (x(j, a) * x(j, a) - c[a] * c[a]);
      for (int a = 0; a < q(); ++a) {
        S g = -c[a];
        for (int d = a; d < q(); ++d) g += this->Lambda(d, a) * Rz[d];
        g_[j * kMaxQ + a] = g;
      }
    }
  }

  // p = softmax(F); returns log sum exp F.
  S mix() {
    S top = F_[0], total{};
    for (int j = 1; j < nodes_; ++j) top = detail::largest(top, F_[j]);
    for (int j = 0; j < nodes_; ++j) {
      p_[j] = detail::exponential(F_[j] - top);
      total += p_[j];
    }
    for (int j = 0; j < nodes_; ++j) p_[j] = p_[j] / total;
    return top + logarithm(total);
  }

  // S_u = sum p_j g_j, S_R = sum p_j g_j x_j' + L, N = R'S_R, G = -R N_s R'.
  void find_G(S* S_u) {
    S S_R[kMaxQ * kMaxQ], Ns[kMaxQ * kMaxQ];
    for (int a = 0; a < q(); ++a) {
      S_u[a] = S{};
      for (int j = 0; j < nodes_; ++j) S_u[a] += p_[j] * g_[j * kMaxQ + a];
      for (int d = 0; d < q(); ++d) {
        S sum = d <= a ? this->H_.L[a * kMaxQ + d] : S{};
        for (int j = 0; j < nodes_; ++j) sum += p_[j] * g_[j * kMaxQ + a] * x(j, d);
        S_R[a * kMaxQ + d] = sum;
      }
    }
    for (int a = 0; a < q(); ++a)
      for (int d = 0; d < q(); ++d) {
        S sum{};
        for (int e = 0; e <= a; ++e) sum += this->Linv_[a * kMaxQ + e] * S_R[e * kMaxQ + d];
        N_[a * kMaxQ + d] = sum;
      }
    for (int a = 0; a < q(); ++a)
      for (int d = a; d < q(); ++d) Ns[a * kMaxQ + d] = Ns[d * kMaxQ + a] = 0.5 * N_[a * kMaxQ + d];
    for (int a = 0; a < q(); ++a)
      for (int c = 0; c < q(); ++c) {
        S sum{};
        for (int d = a; d < q(); ++d)
          for (int e = c; e < q(); ++e) sum += R(a, d) * Ns[d * kMaxQ + e] * R(c, e);
        this->G_[a * kMaxQ + c] = -sum;
      }
  }

  // Products with the regressors: wbar z_a | w1_b z_a | r_j for every node.
  const S* node_cross(int row) const {
    return &node_cross_[static_cast<std::size_t>(row) * this->at_.regressors()];
  }
  S wz(int a, int k) const { return node_cross(a)[k]; }  // sum wbar z_a x_k
  S w1z(int b, int a, int k) const { return node_cross(q() + b * q() + a)[k]; }
  S rx(int j, int k) const { return node_cross(q() + q() * q() + j)[k]; }  // r_j'x_k

  // ---- parameters ------------------------------------------------------------------------------

  // Phi(M_k): lower triangle with half the diagonal, element (a, d), a >= d.
  S phi(int a, int d, int k) const {
    const S m = this->at(this->m_, Base::pair(a, d), k);
    return a == d ? 0.5 * m : std::sqrt(0.5) * m;
  }

  // R_k = -R Phi_k', element (a, b).
  void differentiate_turns() {
    const int size = this->size_;
    for (int k = 0; k < size; ++k)
      for (int a = 0; a < q(); ++a)
        for (int b = 0; b < q(); ++b) {
          S sum{};
          for (int d = a; d <= b; ++d) sum += R(a, d) * phi(b, d, k);
          turn_[(a * kMaxQ + b) * size + k] = -sum;
        }
  }
  const S* turn(int a, int b) const { return &turn_[(a * kMaxQ + b) * this->size_]; }

  // c_jk = u_k + R_k x_j of node j, for all parameters.
  void differentiate_node(int j) {
    const int size = this->size_;
    for (int a = 0; a < q(); ++a) {
      S* c = &ck_[a * size];
      const S* u = &this->derivative_u_[a * size];
      std::copy(u, u + size, c);
      for (int b = a; b < q(); ++b) {
        const S* Rk = turn(a, b);
        for (int k = 0; k < size; ++k) c[k] += Rk[k] * x(j, b);
      }
    }
  }

  // F_jk = r_j'P_k(c_j) + g_j'c_jk, and their mean; the parts of gradient and Hessian that need
  // c_jk: -sum_j p_j c_jk'H_j c_jl with H_j = I + A'W_jA, and the pairs with a theta.
  void differentiate_nodes(Totals<S>& totals) {
    const Point& at = this->at_;
    const int size = this->size_;
    std::fill(mean_.begin(), mean_.end(), S{});
    for (int j = 0; j < nodes_; ++j) {
      differentiate_node(j);
      S* F = &Fk_[static_cast<std::size_t>(j) * size];
      for (int k = 0; k < at.p; ++k) F[k] = rx(j, k);
      for (int i = 0; i < at.m(); ++i)
        F[at.p + i] = Rz_[j * kMaxQ + at.theta_row[i]] * c_[j * kMaxQ + at.theta_column[i]];
      for (int a = 0; a < q(); ++a)
        for (int k = 0; k < size; ++k) F[k] += g_[j * kMaxQ + a] * ck_[a * size + k];
      for (int k = 0; k < size; ++k) mean_[k] += p_[j] * F[k];
      add_node_curvature(j, totals);
      for (int i = 0; i < at.m(); ++i) add_node_pairs(j, i, totals);
    }
  }

  void add_node_curvature(int j, Totals<S>& totals) {
    const int size = this->size_;
    S H[kMaxQ * kMaxQ];
    node_H(j, H);
    for (int a = 0; a < q(); ++a)
      for (int k = 0; k < size; ++k) {
        S sum{};
        for (int d = 0; d < q(); ++d) sum += H[a * kMaxQ + d] * ck_[d * size + k];
        Hc_[a * size + k] = -p_[j] * sum;
      }
    for (int a = 0; a < q(); ++a)
      for (int k = 0; k < size; ++k) {
        const S c = ck_[a * size + k];
        S* out = &totals.hessian[static_cast<std::size_t>(k) * size];
        for (int l = k; l < size; ++l) out[l] += c * Hc_[a * size + l];
      }
  }

  void node_H(int j, S* H) const {
    for (int a = 0; a < q(); ++a)
      for (int c = 0; c < q(); ++c) {
        S sum = S{} + (a == c ? 1.0 : 0.0);
        for (int d = a; d < q(); ++d)
          for (int e = c; e < q(); ++e)
            sum += this->Lambda(d, a) * Wzz_[j * kMaxS + Base::pair(d, e)] * this->Lambda(e, c);
        H[a * kMaxQ + c] = sum;
      }
  }

  // l = theta_i = Lambda[a, b]: r_j'Z_l c_jk - (Z_l c_j)'W_j (A c_jk [+ Z_k c_j / 2])
  void add_node_pairs(int j, int i, Totals<S>& totals) {
    const Point& at = this->at_;
    const int size = this->size_, a = at.theta_row[i], b = at.theta_column[i];
    const S* W = &Wzz_[j * kMaxS];
    const S cb = c_[j * kMaxQ + b], r = Rz_[j * kMaxQ + a];
    S WL[kMaxQ];
    for (int d = 0; d < q(); ++d) {
      WL[d] = S{};
      for (int e = d; e < q(); ++e) WL[d] += W[Base::pair(a, e)] * this->Lambda(e, d);
    }
    for (int k = 0; k < size; ++k) {
      S pair = r * ck_[b * size + k];
      for (int d = 0; d < q(); ++d) pair -= cb * WL[d] * ck_[d * size + k];
      if (k >= at.p) {
        const int row = at.theta_row[k - at.p], column = at.theta_column[k - at.p];
        pair -= 0.5 * cb * c_[j * kMaxQ + column] * W[Base::pair(a, row)];
      }
      this->add_pair(k, i, p_[j] * pair, totals);
    }
  }

  // ---- sums over groups ------------------------------------------------------------------------

  // sum_j p_j F_jk - tr(M_k) / 2; X'rbar is summed in `flat`.
  void add_gradient(Totals<S>& totals) {
    const Point& at = this->at_;
    for (int k = 0; k < this->size_; ++k) {
      S gradient = mean_[k];
      for (int a = 0; a < q(); ++a) gradient -= 0.5 * this->at(this->m_, Base::pair(a, a), k);
      if (k < at.p)
        for (int j = 0; j < nodes_; ++j) gradient -= p_[j] * rx(j, k);
      totals.gradient[k] += gradient;
    }
  }

  void add_hessian(Totals<S>& totals) {
    S* out = totals.hessian.data();
    const int size = this->size_;
    for (int j = 0; j < nodes_; ++j) {  // Cov_p(F_k, F_l)
      S* F = &Fk_[static_cast<std::size_t>(j) * size];
      for (int k = 0; k < size; ++k) F[k] -= mean_[k];
      this->add_square(F, p_[j], out);
    }
    add_cross_terms(out);
    for (int a = 0; a < q(); ++a)
      this->add_symmetric(&this->derivative_u_[a * size], &this->y_[a * size], out);
    add_traces(out);
    const Point& at = this->at_;
    for (int i = 0; i < at.m(); ++i)
      for (int k = 0; k < size; ++k) {
        S x = this->theta_pair(k, i);
        if (k < at.p) x -= weighted_column(k, i);
        this->add_pair(k, i, x, totals);
      }
  }

  // -sum_j p_j x_k'W_j A c_jl: the part of c_jl that is linear in u_l, and that in R_l.
  void add_cross_terms(S* out) {
    const int size = this->size_;
    std::vector<S>& left = ck_;
    for (int a = 0; a < q(); ++a) {
      fill_left(a, -1, &left[0]);
      this->add_symmetric(left.data(), &this->derivative_u_[a * size], out);
      for (int b = a; b < q(); ++b) {
        fill_left(a, b, &left[0]);
        this->add_symmetric(left.data(), turn(a, b), out);
      }
    }
  }

  // -(x_k'W z Lambda)_a with W = wbar (b < 0) or w1_b; zero for theta.
  void fill_left(int a, int b, S* left) const {
    const int p = this->at_.p;
    for (int k = 0; k < p; ++k) {
      S sum{};
      for (int c = a; c < q(); ++c) sum -= this->Lambda(c, a) * (b < 0 ? wz(c, k) : w1z(b, c, k));
      left[k] = sum;
    }
    std::fill(left + p, left + this->size_, S{});
  }

  // sum_j p_j x_k'W_j z_a c_j[b] for theta_i = Lambda[a, b]
  S weighted_column(int k, int i) const {
    const int a = this->at_.theta_row[i], b = this->at_.theta_column[i];
    S sum = wz(a, k) * this->u_[b];
    for (int d = b; d < q(); ++d) sum += R(b, d) * w1z(d, a, k);
    return sum;
  }

  // -tr(Phi_k Phi_l) + <N, Phi_l'Phi_k' + Phi(Phi_l M_k + M_k Phi_l')'> = <M_k, T_l>, with
  // T_l = -diag(Phi_l) / 2 + Phi(N'Phi_l') + Phi_l'Phi(N') + Phi(N')Phi_l. (From
  // R_kl = R {Phi_l'Phi_k' + Phi(Phi_l M_k + M_k Phi_l' - L^-1 H_kl L^-T)'}, the N - I of
  // R'sum p_j g_j x_j' and the derivatives of -log|L|.)
  void add_traces(S* out) {
    const int size = this->size_, s = this->s();
    std::vector<S>& packed = traces_;
    packed.resize(static_cast<std::size_t>(kMaxS) * size);
    for (int l = 0; l < size; ++l) trace_form(l, packed);
    for (int ab = 0; ab < s; ++ab)
      for (int k = 0; k < size; ++k) {
        const S mk = 0.5 * this->m_[ab * size + k], tk = 0.5 * packed[ab * size + k];
        for (int l = k; l < size; ++l)
          out[k * size + l] += mk * packed[ab * size + l] + tk * this->m_[ab * size + l];
      }
  }

  void trace_form(int l, std::vector<S>& packed) {
    S P[kMaxQ * kMaxQ], V[kMaxQ * kMaxQ], T[kMaxQ * kMaxQ];
    for (int a = 0; a < q(); ++a)
      for (int d = 0; d < q(); ++d) {
        P[a * kMaxQ + d] = a >= d ? phi(a, d, l) : S{};
        V[a * kMaxQ + d] = masked(a, d, N_[d * kMaxQ + a]);  // Phi(N')
      }
    for (int a = 0; a < q(); ++a)
      for (int d = 0; d < q(); ++d) {
        S np{}, sum{};
        for (int e = 0; e < q(); ++e) {
          np += N_[e * kMaxQ + a] * P[d * kMaxQ + e];  // N'Phi_l'
          sum += P[e * kMaxQ + a] * V[e * kMaxQ + d] + V[a * kMaxQ + e] * P[e * kMaxQ + d];
        }
        T[a * kMaxQ + d] = sum + masked(a, d, np) - (a == d ? 0.5 * P[a * kMaxQ + a] : S{});
      }
    for (int a = 0; a < q(); ++a)
      for (int d = 0; d <= a; ++d)
        packed[Base::pair(a, d) * this->size_ + l] =
            a == d ? T[a * kMaxQ + a] : std::sqrt(0.5) * (T[a * kMaxQ + d] + T[d * kMaxQ + a]);
  }

  static S masked(int a, int d, S value) { return a > d ? value : (a == d ? 0.5 * value : S{}); }

  int nodes_;
  std::vector<S> F_, p_, c_, g_, Rz_, Wzz_;  // nodes x components
  std::vector<S> Fk_, mean_;                 // nodes x parameters; parameters
  std::vector<S> ck_, Hc_, turn_, traces_;   // components x parameters
  std::vector<vd> p_lanes_;
  std::vector<S> node_cross_;  // weights x regressors
  S N_[kMaxQ * kMaxQ];
};

}  // namespace multilogit

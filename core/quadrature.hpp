// The log marginal likelihood of a unit of groups by adaptive Gauss-Hermite quadrature, with exact
// gradient and Hessian of the computed value (docs/mathematics.md, section 7). With R = L^-T,
// nodes x_j of the standard normal and weights omega_j that add up to 1:
//
//   c_j = u^ + R x_j,   F_j = f(c_j) + |x_j|^2 / 2 + log omega_j,   p = softmax(F)
//   l_g = log sum_j exp F_j - log|L|
//
// One node at 0 is Laplace's approximation.
#pragma once

#include "group_unit.hpp"

namespace multilogit {

template <int Q, template <int> class Response>
class QuadratureUnit : public GroupUnit<Q, Response> {
  using Base = GroupUnit<Q, Response>;
  using Base::kMaxQ;
  using Base::kMaxS;

 public:
  explicit QuadratureUnit(const Point& at)
      : Base(at),
        nodes_(static_cast<int>(at.log_weights.size())),
        F_(nodes_),
        p_(nodes_),
        c_(static_cast<std::size_t>(nodes_) * kMaxQ),
        g_(c_.size()),
        Rz_(c_.size()),
        Wzz_(static_cast<std::size_t>(nodes_) * kMaxS),
        mean_(this->size_),
        y_(static_cast<std::size_t>(at.q) * this->size_) {
    for (int a = 0; a < q(); ++a) feature_.push_back({a, -1});
    for (int b = 0; b < q(); ++b)
      for (int a = 0; a <= b; ++a) feature_.push_back({a, b});
  }

  // Vectors of parameters that a unit adds to LowRank.
  int squares() const { return nodes_; }
  int crosses() const { return features() + this->s(); }

  // Adds the unit's contribution; false when the modes were not found.
  bool evaluate(const RowTiles& rows, std::size_t first_group, int groups, ModeStore& modes,
                Totals& totals, Flat& flat) {
    this->response_.start(rows);
    this->load(modes, first_group, groups);
    if (!this->find_modes()) return false;
    SumOfLogs unused;
    this->differentiate_rows(unused);
    evaluate_nodes();
    totals.value += mix() - this->H_.half_log_determinant(q());
    this->response_.average(nodes_, p_.data(), this->at_.nodes.data());
    vd S_u[kMaxQ];
    find_G(S_u);
    this->weigh_rows(S_u, flat);
    this->response_.multiply_node_columns(nodes_, node_cross_);
    take_vectors(totals.low_rank.room(rows.groups_in_lanes));
    differentiate_parameters(totals);
    find_features();
    differentiate_nodes();
    add_gradient(totals);
    add_hessian(totals);
    totals.low_rank.arrived(rows.groups_in_lanes);
    this->store(modes, first_group, groups);
    return true;
  }

 private:
  using typename Base::Parameter;

  int q() const { return Base::q(); }
  double x(int j, int a) const { return this->at_.nodes[j * q() + a]; }
  vd R(int a, int d) const { return this->Linv_[d * kMaxQ + a]; }  // zero below the diagonal

  // ---- nodes -----------------------------------------------------------------------------------

  // c_j, r and w of every row, f(c_j), g_j = A'r_j - c_j, Z'W_jZ.
  void evaluate_nodes() {
    for (int j = 0; j < nodes_; ++j) {
      vd* c = &c_[j * kMaxQ];
      for (int a = 0; a < q(); ++a) {
        c[a] = this->u_[a];
        for (int d = a; d < q(); ++d) c[a] += R(a, d) * x(j, d);
      }
      vd b[kMaxQ] = {};
      this->effects(c, b);
      vd* Rz = &Rz_[j * kMaxQ];
      F_[j] = this->response_.differentiate_node(j, nodes_, b, Rz, &Wzz_[j * kMaxS]) +
              this->at_.log_weights[j];
      for (int a = 0; a < q(); ++a) F_[j] += 0.5 * (x(j, a) * x(j, a) - c[a] * c[a]);
      for (int a = 0; a < q(); ++a) {
        vd g = -c[a];
        for (int d = a; d < q(); ++d) g += this->Lambda(d, a) * Rz[d];
        g_[j * kMaxQ + a] = g;
      }
    }
  }

  // p = softmax(F); returns log sum exp F.
  vd mix() {
    vd top = F_[0], total{};
    for (int j = 1; j < nodes_; ++j) top = select(F_[j] > top, F_[j], top);
    for (int j = 0; j < nodes_; ++j) {
      p_[j] = exp_negative(F_[j] - top);
      total += p_[j];
    }
    for (int j = 0; j < nodes_; ++j) p_[j] = p_[j] / total;
    return top + logarithm(total);
  }

  // S_u = sum p_j g_j, S_R = sum p_j g_j x_j' + L, N = R'S_R, G = -R N_s R'.
  void find_G(vd* S_u) {
    vd S_R[kMaxQ * kMaxQ], Ns[kMaxQ * kMaxQ];
    for (int a = 0; a < q(); ++a) {
      S_u[a] = vd{};
      for (int j = 0; j < nodes_; ++j) S_u[a] += p_[j] * g_[j * kMaxQ + a];
      for (int d = 0; d < q(); ++d) {
        vd sum = d <= a ? this->H_.L[a * kMaxQ + d] : vd{};
        for (int j = 0; j < nodes_; ++j) sum += p_[j] * g_[j * kMaxQ + a] * x(j, d);
        S_R[a * kMaxQ + d] = sum;
      }
    }
    for (int a = 0; a < q(); ++a)
      for (int d = 0; d < q(); ++d) {
        vd sum{};
        for (int e = 0; e <= a; ++e) sum += this->Linv_[a * kMaxQ + e] * S_R[e * kMaxQ + d];
        N_[a * kMaxQ + d] = sum;
      }
    for (int a = 0; a < q(); ++a)
      for (int d = a; d < q(); ++d) Ns[a * kMaxQ + d] = Ns[d * kMaxQ + a] = 0.5 * N_[a * kMaxQ + d];
    for (int a = 0; a < q(); ++a)
      for (int c = 0; c < q(); ++c) {
        vd sum{};
        for (int d = a; d < q(); ++d)
          for (int e = c; e < q(); ++e) sum += R(a, d) * Ns[d * kMaxQ + e] * R(c, e);
        this->G_[a * kMaxQ + c] = -sum;
      }
  }

  // Products with the regressors: wbar z_a | w1_b z_a | r_j for every node.
  const vd* node_cross(int row) const {
    return &node_cross_[static_cast<std::size_t>(row) * this->at_.regressors()];
  }
  vd wz(int a, int k) const { return node_cross(a)[k]; }  // sum wbar z_a x_k
  vd w1z(int b, int a, int k) const { return node_cross(q() + b * q() + a)[k]; }
  vd rx(int j, int k) const { return node_cross(q() + q() * q() + j)[k]; }  // r_j'x_k

  // ---- parameters ------------------------------------------------------------------------------

  // Weights p_j and vectors F_jk; left ones u, R, M and their partners.
  void take_vectors(const LowRank::Vectors& vectors) {
    std::copy(p_.begin(), p_.end(), vectors.weight);
    Fk_ = vectors.x;
    features_ = vectors.l;
    m_ = features_ + features() * this->size_;
    partner_ = vectors.r;
    traces_ = partner_ + features() * this->size_;
  }

  void differentiate_parameters(Totals& totals) {
    const int size = this->size_;
    this->differentiate_modes([&](int k, const Parameter& P) {
      for (int a = 0; a < q(); ++a) {
        this->derivative_u_[k * q() + a] = features_[a * size + k] = P.u[a];
        vd y{};
        for (int c = a; c < q(); ++c) y += this->Lambda(c, a) * P.g[c];
        y_[a * size + k] = y;
      }
      for (int ab = 0; ab < this->s(); ++ab) m_[ab * size + k] = P.m[ab];
      for (int i = 0; i < this->at_.m(); ++i)
        totals.pairs[i * size + k] += this->theta_pair(k, P, i);
    });
  }

  // Phi(M_k): lower triangle with half the diagonal, element (a, d), a >= d.
  vd phi(int a, int d, int k) const {
    const vd m = m_[Base::pair(a, d) * this->size_ + k];
    return a == d ? 0.5 * m : std::sqrt(0.5) * m;
  }

  // c_jk = u_k + R_k x_j is linear in the same few numbers of parameter k for every node, its
  // features phi_fk: u_k[a], with x(j, f) = 1, and R_k[a, b], a <= b, with x(j, f) = x_jb:
  //   c_jk[a] = sum_f [row(f) = a] x(j, f) phi_fk.
  struct Feature {
    int row, node;  // a and b; b = -1: u_k
  };
  static constexpr int kMaxFeatures = kMaxQ + kMaxS;
  int features() const { return q() + this->s(); }
  double x(int j, const Feature& f) const { return f.node < 0 ? 1.0 : x(j, f.node); }
  const vd* phi(int f) const { return &features_[f * this->size_]; }

  // R_k = -R Phi_k'
  void find_features() {
    for (int f = q(); f < features(); ++f) {
      const auto [a, b] = feature_[f];
      for (int k = 0; k < this->size_; ++k) {
        vd sum{};
        for (int d = a; d <= b; ++d) sum += R(a, d) * phi(b, d, k);
        features_[f * this->size_ + k] = -sum;
      }
    }
  }

  // F_jk = r_j'P_k(c_j) + g_j'c_jk and their mean.
  void differentiate_nodes() {
    const Point& at = this->at_;
    const int size = this->size_;
    std::fill(mean_.begin(), mean_.end(), vd{});
    for (int j = 0; j < nodes_; ++j) {
      vd* F = &Fk_[static_cast<std::size_t>(j) * size];
      for (int k = 0; k < at.p; ++k) F[k] = rx(j, k);
      for (int i = 0; i < at.m(); ++i)
        F[at.p + i] = Rz_[j * kMaxQ + this->theta_row(i)] * c_[j * kMaxQ + this->theta_column(i)];
      for (int f = 0; f < features(); ++f) {
        const vd g = g_[j * kMaxQ + feature_[f].row] * x(j, feature_[f]);
        for (int k = 0; k < size; ++k) F[k] += g * phi(f)[k];
      }
      for (int k = 0; k < size; ++k) mean_[k] += p_[j] * F[k];
    }
  }

  // B with sum_j p_j c_jk'H_j c_jl = phi_k'B phi_l, H_j = I + A'W_jA.
  void find_curvature() {
    const int size = features();
    curvature_.assign(static_cast<std::size_t>(size) * size, vd{});
    vd H[kMaxQ * kMaxQ];
    for (int j = 0; j < nodes_; ++j) {
      node_H(j, H);
      for (int f = 0; f < size; ++f) {
        const vd* row = &H[feature_[f].row * kMaxQ];
        const vd px = p_[j] * x(j, feature_[f]);
        for (int e = 0; e <= f; ++e)
          curvature_[f * size + e] += px * x(j, feature_[e]) * row[feature_[e].row];
      }
    }
    for (int f = 0; f < size; ++f)
      for (int e = 0; e < f; ++e) curvature_[e * size + f] = curvature_[f * size + e];
  }

  void node_H(int j, vd* H) const {
    for (int a = 0; a < q(); ++a)
      for (int c = 0; c < q(); ++c) {
        vd sum = vd{} + (a == c ? 1.0 : 0.0);
        for (int d = a; d < q(); ++d)
          for (int e = c; e < q(); ++e)
            sum += this->Lambda(d, a) * Wzz_[j * kMaxS + Base::pair(d, e)] * this->Lambda(e, c);
        H[a * kMaxQ + c] = sum;
      }
  }

  // With l = theta_i = Lambda[a, b], sum_j p_j {r_j'Z_l c_jk - (Z_l c_j)'W_j A c_jk} = sum_f form_f
  // phi_fk.
  void find_pair_form(int i, vd* form) const {
    const int a = this->theta_row(i), b = this->theta_column(i);
    std::fill(form, form + features(), vd{});
    for (int j = 0; j < nodes_; ++j) {
      vd slope[kMaxQ];
      for (int d = 0; d < q(); ++d) {
        vd WL{};
        for (int e = d; e < q(); ++e) WL += node_W(j, a, e) * this->Lambda(e, d);
        slope[d] = -c_[j * kMaxQ + b] * WL;
      }
      slope[b] += Rz_[j * kMaxQ + a];
      for (int f = 0; f < features(); ++f)
        form[f] += p_[j] * slope[feature_[f].row] * x(j, feature_[f]);
    }
  }

  // sum_j p_j (Z_k c_j)'W_j Z_l c_j, k = theta_h, l = theta_i.
  vd pair_weight(int h, int i) const {
    vd sum{};
    for (int j = 0; j < nodes_; ++j)
      sum += p_[j] * c_[j * kMaxQ + this->theta_column(h)] * c_[j * kMaxQ + this->theta_column(i)] *
             node_W(j, this->theta_row(h), this->theta_row(i));
    return sum;
  }

  vd node_W(int j, int a, int b) const { return Wzz_[j * kMaxS + Base::pair(a, b)]; }

  // ---- sums over groups ------------------------------------------------------------------------

  // sum_j p_j F_jk - tr(M_k) / 2; X'rbar is summed in `flat`.
  void add_gradient(Totals& totals) {
    const Point& at = this->at_;
    for (int k = 0; k < at.size(); ++k) {
      vd gradient = mean_[k];
      for (int a = 0; a < q(); ++a) gradient -= 0.5 * m_[Base::pair(a, a) * this->size_ + k];
      if (k < at.p)
        for (int j = 0; j < nodes_; ++j) gradient -= p_[j] * rx(j, k);
      totals.gradient[k] += gradient;
    }
  }

  // Cov_p(F_k, F_l) - phi_k'B phi_l + the products of u, R and y with each other, of M and T; then
  // what only pairs with a theta have.
  void add_hessian(Totals& totals) {
    const int size = this->size_;
    for (int j = 0; j < nodes_; ++j) {
      vd* F = &Fk_[static_cast<std::size_t>(j) * size];
      for (int k = 0; k < size; ++k) F[k] -= mean_[k];
    }
    find_partners();
    for (int l = 0; l < size; ++l) find_trace_form(l);
    for (int i = 0; i < this->at_.m(); ++i) add_theta_pairs(i, totals);
  }

  void add_theta_pairs(int i, Totals& totals) {
    const Point& at = this->at_;
    vd form[kMaxFeatures];
    find_pair_form(i, form);
    for (int k = 0; k < at.size(); ++k) {
      vd x{};
      for (int f = 0; f < features(); ++f) x += form[f] * phi(f)[k];
      x -= k < at.p ? weighted_column(k, i) : 0.5 * pair_weight(k - at.p, i);
      totals.pairs[i * this->size_ + k] += x;
    }
  }

  // partner_f = y_a [f is u_a] - sum_j p_j x_k'W_j A c_jl's share of phi_fl - B phi / 2, so that
  // phi'partner + partner'phi is what is wanted.
  void find_partners() {
    const int size = this->size_;
    find_curvature();
    for (int f = 0; f < features(); ++f) {
      vd* partner = &partner_[f * size];
      fill_weighted_columns(feature_[f], partner);
      if (f < q())
        for (int k = 0; k < size; ++k) partner[k] += y_[f * size + k];
      for (int e = 0; e < features(); ++e) {
        const vd half = 0.5 * curvature_[f * features() + e];
        for (int k = 0; k < size; ++k) partner[k] -= half * phi(e)[k];
      }
    }
  }

  // -(x_k'W z Lambda)_a with W = wbar or w1_b; zero for theta.
  void fill_weighted_columns(const Feature& f, vd* out) const {
    const int p = this->at_.p;
    for (int k = 0; k < p; ++k) {
      vd sum{};
      for (int c = f.row; c < q(); ++c)
        sum += this->Lambda(c, f.row) * (f.node < 0 ? wz(c, k) : w1z(f.node, c, k));
      out[k] = -sum;
    }
    std::fill(out + p, out + this->size_, vd{});
  }

  // sum_j p_j x_k'W_j z_a c_j[b] for theta_i = Lambda[a, b]
  vd weighted_column(int k, int i) const {
    const int a = this->theta_row(i), b = this->theta_column(i);
    vd sum = wz(a, k) * this->u_[b];
    for (int d = b; d < q(); ++d) sum += R(b, d) * w1z(d, a, k);
    return sum;
  }

  // -tr(Phi_k Phi_l) + <N, Phi_l'Phi_k' + Phi(Phi_l M_k + M_k Phi_l')'> = <M_k, T_l>, with
  // T_l = -diag(Phi_l) / 2 + Phi(N'Phi_l') + Phi_l'Phi(N') + Phi(N')Phi_l. (From
  // R_kl = R {Phi_l'Phi_k' + Phi(Phi_l M_k + M_k Phi_l' - L^-1 H_kl L^-T)'}, the N - I of
  // R'sum p_j g_j x_j' and the derivatives of -log|L|.)
  void find_trace_form(int l) {
    vd P[kMaxQ * kMaxQ], V[kMaxQ * kMaxQ], T[kMaxQ * kMaxQ];
    for (int a = 0; a < q(); ++a)
      for (int d = 0; d < q(); ++d) {
        P[a * kMaxQ + d] = a >= d ? phi(a, d, l) : vd{};
        V[a * kMaxQ + d] = masked(a, d, N_[d * kMaxQ + a]);  // Phi(N')
      }
    for (int a = 0; a < q(); ++a)
      for (int d = 0; d < q(); ++d) {
        vd np{}, sum{};
        for (int e = 0; e < q(); ++e) {
          np += N_[e * kMaxQ + a] * P[d * kMaxQ + e];  // N'Phi_l'
          sum += P[e * kMaxQ + a] * V[e * kMaxQ + d] + V[a * kMaxQ + e] * P[e * kMaxQ + d];
        }
        T[a * kMaxQ + d] = sum + masked(a, d, np) - (a == d ? 0.5 * P[a * kMaxQ + a] : vd{});
      }
    for (int a = 0; a < q(); ++a)
      for (int d = 0; d <= a; ++d)
        traces_[Base::pair(a, d) * this->size_ + l] =  // half of T_l, packed as M_k is
            a == d ? 0.5 * T[a * kMaxQ + a]
                   : 0.5 * std::sqrt(0.5) * (T[a * kMaxQ + d] + T[d * kMaxQ + a]);
  }

  static vd masked(int a, int d, vd value) { return a > d ? value : (a == d ? 0.5 * value : vd{}); }

  int nodes_;
  std::vector<vd> F_, p_, c_, g_, Rz_, Wzz_;  // nodes x components
  std::vector<vd> mean_, y_;                  // parameters; q x parameters: Lambda'g
  std::vector<Feature> feature_;
  std::vector<vd> curvature_;   // features x features
  std::vector<vd> node_cross_;  // weights x regressors
  vd* Fk_ = nullptr;            // nodes x parameters, in LowRank as what follows
  vd *features_, *partner_;     // features x parameters
  vd *m_, *traces_;             // pairs x parameters
  vd N_[kMaxQ * kMaxQ];
};

}  // namespace multilogit

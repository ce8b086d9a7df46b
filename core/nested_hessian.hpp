// What the second derivatives of u^ and of log|L| add to the Hessian, apart from products of M_k
// (docs/mathematics.md, sections 6 to 8), for a value whose derivative by u^ of the roots is S_u
// and by -log|L| is `spread`: with G = -(H^-1 / 2, or what log|L| of the roots alone has in its
// place), h = diag(A G A') and
//
//   v = H^-1 (S_u + A'(w3 h)),   omega = w4 h - w3 A v,
//
// these are the sums over rows
//
//   sum omega D_k D_l + sum (w3 h - w A v) C_kl - sum w (D_k Z_l v + D_l Z_k v)
//     + 2 sum w3 (D_k diag(A G Z_l') + D_l diag(A G Z_k')) + 2 sum w diag(Z_k G Z_l').
//
// Upwards go the sums that v needs, downwards goes v, upwards again those that v is part of.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "nested_factor_derivatives.hpp"

namespace multilogit {

template <int Z, int Q>
class ForestHessian : public FactorDerivatives<Z, Q> {
  using Base = FactorDerivatives<Z, Q>;

 public:
  using typename Base::Level;

  // Rows of P and B that count in G = -(their products with N): by quadrature those of the roots, N
  // = level.spread; by Laplace's approximation those of all nodes, N = I / 2.
  ForestHessian(const NestedProblem& problem, int top, bool quadrature)
      : Base(problem, top, !quadrature), roots_alone_(quadrature) {
    dw_.resize(this->zs() * this->size_);
  }

 protected:
  using Base::kMaxQ;
  using Base::kMaxS;
  using Base::kMaxZ;
  using Base::of;
  using typename Base::Theta;

  // ---- upwards: v of every node but for what its ancestors change ------------------------------

  // E: information(level, b). S_u: of the roots, or null.
  void curve(Level& level, std::size_t b, const vd* E, const vd* S_u, NestedTotals& totals) {
    if (level.d == 0) {
      vd K[kMaxS];
      find_form(b, K);
      this->rows_->third(this->leaf_block(b), K, of(level.sigma, this->zs(), b));
      add_covariance_pairs(b, E, totals);
    } else {
      level.curvatures.read(b, of(level.sigma, this->zs(), b));
    }
    add_spread_pairs(level, b, totals);
    solve_v(level, b, S_u);
    pass_sigma(level, b);
  }

  // ---- downwards: v ----------------------------------------------------------------------------

  void pass_v(Level& level, std::size_t b) {
    const int q_d = this->q(level), zs = this->zs();
    vd above[kMaxZ + kMaxPath], *v = of(level.v, level.path, b), *turn = of(level.turn, zs, b);
    if (this->is_top(level))
      std::fill_n(above, zs, vd{});
    else
      this->parent(level).turns.read(this->parents(level, b), above);
    const vd* X = of(level.X, q_d * zs, b);
    for (int a = 0; a < q_d; ++a)
      for (int c = 0; c < zs; ++c) v[a] -= X[a * zs + c] * above[c];
    std::copy_n(above + zs, level.above, v + q_d);
    this->add_shift(level, v, above);
    std::copy_n(above, zs, turn);
    if (level.d == 0) return;
    std::copy_n(v, level.path, above + zs);
    level.turns.write(b, above);
  }

  // ---- upwards: everything with v --------------------------------------------------------------

  // Hessian of the rows and the nodes.
  void finish(Level& level, std::size_t b, const vd* S_u, NestedTotals& totals) {
    vd* rest = of(level.rest, this->zs(), b);
    if (level.d == 0) {
      if (this->windows_ > 1) {
        this->restore(level, b);
        solve_v(level, b, S_u);
      }
      pass_v(level, b);
      finish_leaves(b, totals);
    } else {
      level.rests.read(b, rest);
    }
    add_rest_pairs(level, b, totals);
    if (!this->is_top(level)) this->parent(level).rests.add(rest, this->parents(level, b));
  }

  // ---- sums of rank-one terms ------------------------------------------------------------------

  // Room for `count` vectors of parameters whose weighted squares make part of the Hessian; their
  // weights are the last of weights_.
  vd* new_squares(int count, NestedTotals& totals) {
    flush_squares(totals, kRanks);
    this->resize(squares_, (n_squares_ + count) * this->size_);
    this->resize(weights_, n_squares_ + count);
    vd* out = &squares_[n_squares_ * this->size_];
    n_squares_ += count;
    return out;
  }
  void add_square(const vd* x, vd weight, NestedTotals& totals) {
    std::copy_n(x, this->size_, new_squares(1, totals));
    weights_[n_squares_ - 1] = weight;
  }

  // The same for products of two different vectors.
  struct Cross {
    vd *left, *right;
  };
  Cross new_cross(int count, NestedTotals& totals) {
    flush_cross(totals, kRanks);
    this->resize(cross_left_, (n_cross_ + count) * this->size_);
    this->resize(cross_right_, (n_cross_ + count) * this->size_);
    const std::size_t first = n_cross_ * this->size_;
    n_cross_ += count;
    return {&cross_left_[first], &cross_right_[first]};
  }

  void flush(NestedTotals& totals) {
    flush_squares(totals, 0);
    flush_cross(totals, 0);
  }

  // X_ik of theta_i and all k.
  vd* pairs(const Theta& theta, NestedTotals& totals) const {
    return &totals.pairs[static_cast<std::size_t>(theta.k - this->at_.p) * this->size_];
  }

  std::vector<vd> weights_;
  std::size_t n_squares_ = 0, n_cross_ = 0;

 private:
  static constexpr std::size_t kRanks = 32;  // rank-one terms that are added together

  int first_row(const Level& level) const {
    return roots_alone_ ? level.path - this->q(this->levels_.back()) : 0;
  }

  // N field of the rows that count, where `field` is P or B.
  void multiply_spread(Level& level, std::size_t b, const vd* field, int columns, vd* out) {
    const int first = first_row(level), rows = level.path - first;
    if (!roots_alone_) {
      for (int i = 0; i < rows * columns; ++i) out[i] = 0.5 * field[i];
      return;
    }
    const vd* N = of(level.spread, packed_size(rows), b);
    for (int i = 0; i < rows; ++i)
      for (int c = 0; c < columns; ++c) {
        vd sum{};
        for (int j = 0; j < rows; ++j) sum += N[packed(i, j)] * field[(first + j) * columns + c];
        out[i * columns + c] = sum;
      }
  }

  // h = diag(A G A') = zeta'K zeta, packed; an element off the diagonal stands for two of one
  // logit.
  void find_form(std::size_t b, vd* K) {
    Level& level = this->leaf();
    const int zs = this->zs();
    const vd* B = this->B(level, b);
    const int first = first_row(level);
    vd NB[kMaxPath * kMaxZ];
    multiply_spread(level, b, B, zs, NB);
    for (int c = 0; c < zs; ++c)
      for (int e = 0; e <= c; ++e) {
        vd sum{};
        for (int i = first; i < level.path; ++i) sum += B[i * zs + c] * NB[(i - first) * zs + e];
        const bool two = c != e && this->at_.zeta_logit[c] == this->at_.zeta_logit[e];
        K[packed(c, e)] = two ? -2.0 * sum : -sum;
      }
  }

  // For theta_i = Lambda[a, b]: 2 sum_c (sum w3 D_k z_a zeta_c)(T G)_cb.
  void add_covariance_pairs(std::size_t b, const vd* E, NestedTotals& totals) {
    Level& level = this->leaf();
    const int zs = this->zs(), path = level.path, first = first_row(level);
    const vd *P = this->P(level, b), weight = level.weight[b];
    vd NB[kMaxPath * kMaxZ];
    multiply_spread(level, b, this->B(level, b), zs, NB);
    for (const Theta& theta : level.thetas)
      for (int c = 0; c < zs; ++c) {
        vd covariance{};
        for (int j = std::max(theta.effect, first); j < path; ++j)
          covariance += NB[(j - first) * zs + c] * P[j * path + theta.effect];
        this->add(-2.0 * weight * covariance, E + packed(theta.zeta, c) * this->size_,
                  pairs(theta, totals));
      }
  }

  // 2 sum w z_a z_a' G_bb' for theta_i = Lambda[a, b] of the node and theta_l = Lambda[a', b'] of
  // this level or an ancestor.
  void add_spread_pairs(Level& level, std::size_t b, NestedTotals& totals) {
    const int path = level.path, first = first_row(level);
    const vd *P = this->P(level, b), *raw = this->raw(level, b), weight = level.weight[b];
    vd NP[kMaxPath * kMaxPath];
    multiply_spread(level, b, P, path, NP);
    for (int i = 0; i < level.own_thetas; ++i) {
      const Theta& theta = level.thetas[i];
      for (std::size_t l = 0; l < level.thetas.size(); ++l) {
        const Theta& other = level.thetas[l];
        vd H{};
        for (int j = std::max(theta.effect, first); j < path; ++j)
          H += P[j * path + theta.effect] * NP[(j - first) * path + other.effect];
        const double share = static_cast<int>(l) < level.own_thetas ? 1.0 : 2.0;
        pairs(theta, totals)[other.k] -= share * weight * H * raw[packed(theta.zeta, other.zeta)];
      }
    }
  }

  // v = H^-1 (S_u + T'sigma), where only roots have an S_u
  void solve_v(Level& level, std::size_t b, const vd* S_u) {
    const int q_d = this->q(level), zs = this->zs();
    const vd *Linv = of(level.Linv, q_d * q_d, b), *sigma = of(level.sigma, zs, b);
    vd half[kMaxQ], right[kMaxQ], *v = of(level.v, level.path, b);
    for (int a = 0; a < q_d; ++a) {
      right[a] = this->is_top(level) && S_u != nullptr ? S_u[b * q_d + a] : vd{};
      for (int c = 0; c < zs; ++c) right[a] += this->T(level, c, a) * sigma[c];
      vd sum{};
      for (int e = 0; e <= a; ++e) sum += Linv[a * q_d + e] * right[e];
      half[a] = sum;
    }
    for (int a = 0; a < q_d; ++a) {
      vd sum{};
      for (int e = a; e < q_d; ++e) sum += Linv[e * q_d + a] * half[e];
      v[a] = sum;
    }
  }

  // J'sigma
  void pass_sigma(Level& level, std::size_t b) {
    if (this->is_top(level)) return;
    const int zs = this->zs();
    const vd *J = of(level.J, zs * zs, b), *sigma = of(level.sigma, zs, b);
    vd up[kMaxZ];
    for (int c = 0; c < zs; ++c) {
      vd sum{};
      for (int e = 0; e < zs; ++e) sum += J[e * zs + c] * sigma[e];
      up[c] = sum;
    }
    this->parent(level).curvatures.add(up, this->parents(level, b));
  }

  // sum omega D_k D_l apart from X'Omega X, which waits in the weights of the rows; and for
  // theta_i = Lambda[a, b] of the path: -v_b sum w D_k z_a.
  void finish_leaves(std::size_t b, NestedTotals& totals) {
    Level& level = this->leaf();
    const int zs = this->zs(), width = this->at_.width(), p = this->at_.p, size = this->size_;
    const vd* omega_z = weigh_rows(b);  // (omega zeta)'[X, Z]
    const vd *y = this->y(level, b), *raw = this->raw(level, b), weight = level.weight[b];
    auto [left, right] = new_cross(zs, totals);
    std::copy_n(y, zs * size, left);
    for (int c = 0; c < zs; ++c) {
      vd *g = right + c * size, *dw = &dw_[c * size];  // sum w D_k zeta
      this->copy_beta(omega_z + c * width, weight, g);
      this->copy_beta(this->cross_w(b) + c * width, 1.0, dw);
      std::fill(g + p, g + size, vd{});
      std::fill(dw + p, dw + size, vd{});
      for (int e = 0; e < zs; ++e) {
        this->add(0.5 * weight * omega_z[c * width + this->at_.regressor(e)], y + e * size, g);
        this->add(raw[packed(c, e)], y + e * size, dw);
      }
    }
    const vd *v = of(level.v, level.path, b), *turn = of(level.turn, zs, b);
    vd* rest = of(level.rest, zs, b);
    for (const Theta& theta : level.thetas)
      this->add(-weight * v[theta.effect], &dw_[theta.zeta * size], pairs(theta, totals));
    std::copy_n(of(level.sigma, zs, b), zs, rest);
    for (int c = 0; c < zs; ++c)
      for (int e = 0; e < zs; ++e) rest[c] -= raw[packed(c, e)] * turn[e];
  }

  const vd* weigh_rows(std::size_t b) {
    Level& level = this->leaf();
    const int zs = this->zs();
    this->resize(omega_z_, zs * this->at_.width());
    vd K[kMaxS];
    find_form(b, K);
    this->rows_->weigh(this->leaf_block(b), K, of(level.turn, zs, b), level.weight[b],
                       omega_z_.data());
    return omega_z_.data();
  }

  // For theta_i = Lambda[a, b] of the node: sum (w3 h - w A v) z_a times du_b / dpsi_k.
  void add_rest_pairs(Level& level, std::size_t b, NestedTotals& totals) {
    const vd* rest = of(level.rest, this->zs(), b);
    const vd* du = level.derivatives + b * this->q(level) * this->size_;
    for (int i = 0; i < level.own_thetas; ++i) {
      const Theta& theta = level.thetas[i];
      this->add(level.weight[b] * rest[theta.zeta], du + theta.effect * this->size_,
                pairs(theta, totals));
    }
  }

  void flush_squares(NestedTotals& totals, std::size_t least) {
    if (n_squares_ <= least) return;
    totals.add_squares(squares_.data(), weights_.data(), n_squares_);
    n_squares_ = 0;
  }

  void flush_cross(NestedTotals& totals, std::size_t least) {
    if (n_cross_ <= least) return;
    totals.add_crosses(cross_left_.data(), cross_right_.data(), n_cross_);
    n_cross_ = 0;
  }

  bool roots_alone_;
  std::vector<vd> dw_, omega_z_;
  std::vector<vd> squares_, cross_left_, cross_right_;
};

}  // namespace multilogit

// Derivatives of the modes of a slot's trees (docs/mathematics.md, sections 5 and 8): of every node
// H u_k = n_k = Z_k'r - A'W P_k, by elimination upwards and substitution downwards.
//
// Upwards, with pw_k = sum w zeta P_k over the rows below a node, its descendants eliminated,
//
//   n_k = [theta_k = (a, b) of the node] R_a e_b - T'pw_k,   pw_k for the parent = pw_k + X'n_k,
//
// and downwards, with y_k = ds / dpsi_k of the parent,
//
//   u_k = H^-1 n_k - X y_k,   y_k of the node = y_k + T u_k + [theta_k = (a, b)] e_a u_b.
//
// The inverse of L, restricted to the path of a node, is P (lower triangle, the node's own effects
// first), and B = P T':
//
//   P = [ L^-1         0   ]     B = [ L^-1 T' ]     H^-1 on the path = P'P
//       [ -B_a X'      P_a ]         [ B_a J'  ]     cov(s, u) = B'P,  cov(s) = B'B
//
// where _a is the parent's and s the shift that the node and its ancestors make.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "nested_modes.hpp"

namespace multilogit {

template <int Z, int Q>
class ModeDerivatives : public ForestModes<Z, Q> {
  using Base = ForestModes<Z, Q>;

 public:
  using typename Base::Level;

  ModeDerivatives(const NestedProblem& problem, int top, bool alone) : Base(problem, top, alone) {
    leaf_pw_.resize(this->zs() * this->size_);
    message_.resize(this->count_sums(this->top()) + this->zs() * this->size_);
    int most = 0;
    for (const Level& level : this->levels_) most = std::max(most, this->count_path(level));
    above_.resize(most);
  }

 protected:
  using Base::kMaxQ;
  using Base::kMaxS;
  using Base::kMaxZ;
  using Base::of;
  using typename Base::Theta;

  // ---- modes between evaluations ---------------------------------------------------------------

  // Modes of the slot, predicted from the last evaluation: u^ + sum_k u_k dpsi_k.
  void load_modes(std::vector<NestedModes>& modes) {
    for (Level& level : this->levels_) {
      const int q_d = this->q(level), size = this->size_;
      NestedModes& kept = modes[level.d];
      vd* u = level.all_u = level.u = kept.u.data() + level.all_first * q_d;
      if (kept.derivatives.empty()) {
        this->open_derivatives(level);
        continue;
      }
      level.all_derivatives = kept.derivatives.data() + level.all_first * q_d * size;
      level.derivatives = level.all_derivatives;
      for (std::size_t i = 0; i < level.all_blocks * q_d; ++i)
        for (int k = 0; k < size; ++k)
          if (this->at_.change[k] != 0.0)
            u[i] += this->at_.change[k] * level.all_derivatives[i * size + k];
    }
  }

  // Lambda H^-1 Lambda' of the node's own effects.
  void store_covariance(Level& level, std::size_t b, NestedModes& modes) {
    const int q_d = this->q(level), path = level.path, first = this->at_.first[level.d];
    const vd* P = this->P(level, b);
    vd* out = modes.covariance.data() + (level.first + b) * (q_d * (q_d + 1) / 2);
    const auto Lambda = [&](int a, int c) {
      return this->at_.Lambda[static_cast<std::size_t>(first + a) * this->at_.q() + first + c];
    };
    for (int a = 0; a < q_d; ++a)
      for (int c = 0; c <= a; ++c) {
        vd sum{};
        for (int i = 0; i < path; ++i) {  // (Lambda P_i')_a (Lambda P_i')_c
          vd left{}, right{};
          for (int e = 0; e <= a; ++e) left += Lambda(a, e) * P[i * path + e];
          for (int e = 0; e <= c; ++e) right += Lambda(c, e) * P[i * path + e];
          sum += left * right;
        }
        out[packed(a, c)] = sum;
      }
  }

  // ---- rows ------------------------------------------------------------------------------------

  // R, V and (w zeta | w3 zeta zeta')'[X, Z] of every leaf; the derivatives of its rows are kept,
  // or, where there are no `logs`, known. Returns f without -u'u / 2 and without its logarithms,
  // which go to `logs`, lanes apart.
  vd differentiate_rows(std::size_t b, SumOfLogs* logs) {
    Level& level = this->leaf();
    const int zs = this->zs(), width = this->at_.width();
    const LeafBlock& block = this->leaf_block(b);
    vd *R = this->R(level, b), *cross = cross_w(b), value{};
    if (logs == nullptr)
      this->rows_->sum_again(block, R, cross);
    else
      value = this->rows_->differentiate(block, of(level.shift, zs, b), R, cross, *logs);
    vd *V = this->V(level, b), *raw = this->raw(level, b);
    for (int c = 0; c < zs; ++c)
      for (int e = 0; e <= c; ++e)
        V[packed(c, e)] = raw[packed(c, e)] = cross[c * width + this->at_.regressor(e)];
    return value;
  }

  // Of a block of leaves: (w zeta)'[X, Z], and (w3 zeta zeta')'[X, Z], `width` numbers in a row.
  vd* cross_w(std::size_t b) {
    return of(this->leaf().cross, (this->zs() + this->ss()) * this->at_.width(), b);
  }
  vd* cross_w3(std::size_t b) { return cross_w(b) + this->zs() * this->at_.width(); }

  void clear_sums() {
    for (auto sums : {&Level::eliminated, &Level::factors, &Level::curvatures, &Level::rests})
      this->clear(sums);
  }

  // ---- upwards: n_k ----------------------------------------------------------------------------

  // Factors H and eliminates n_k for beta and the thetas of this level and below (a theta of an
  // ancestor shifts all rows of the node: it is part of s). half: q_d vectors of parameters, for
  // L^-1 n_k. Leaves sums for the parent that `pass_sums` sends. Returns |L|.
  vd eliminate(Level& level, std::size_t b, vd* half) {
    const int q_d = this->q(level), zs = this->zs(), ss = this->ss(), size = this->size_;
    if (level.d > 0) level.eliminated.read(b, this->V(level, b));
    Elimination<kMaxZ, kMaxQ> f;
    f.factor(level.T.data(), zs, q_d, this->V(level, b));
    store_factor(level, b, f);
    const vd* pw = collect_pw(level, b);
    vd *u = level.derivatives + b * q_d * size, *message = message_.data();
    for (int a = 0; a < q_d; ++a) {
      std::fill(half + a * size + level.own, half + (a + 1) * size, vd{});
      std::fill(u + a * size + level.own, u + (a + 1) * size, vd{});
    }
    std::copy_n(f.V, ss, message);
    std::copy_n(this->R(level, b), zs + ss, message + ss);  // R, raw
    vd* pw_up = message + 2 * ss + zs;
    for (int c = 0; c < zs; ++c)
      std::fill(pw_up + c * size + level.own, pw_up + (c + 1) * size, vd{});
    const vd* Linv = of(level.Linv, q_d * q_d, b);
    const int first_own = level.own - level.own_thetas;
    for (int k = 0; k < first_own; ++k)
      solve_parameter(level, Linv, f.X, nullptr, k, pw, half, u, pw_up);
    for (int i = 0; i < level.own_thetas; ++i) {
      const Theta& theta = level.thetas[i];
      vd score[kMaxQ] = {};
      score[theta.effect] = this->R(level, b)[theta.zeta];
      solve_parameter(level, Linv, f.X, score, theta.k, pw, half, u, pw_up);
    }
    return f.H.root_determinant(q_d);
  }

  void pass_sums(Level& level, std::size_t b) {
    if (!this->is_top(level))
      this->parent(level).eliminated.add(message_.data(), this->parents(level, b));
  }

  // All that was known of a leaf before another window was opened.
  void restore(Level& level, std::size_t b) {
    if (level.d > 0 || this->windows_ == 1) return;
    differentiate_rows(b, nullptr);
    restored_half_.resize(this->q(level) * this->size_);
    eliminate(level, b, restored_half_.data());
    descend(level, b);
  }

  // ---- downwards: u_k, y_k, P, B ---------------------------------------------------------------

  void descend(Level& level, std::size_t b) {
    const int q_d = this->q(level), zs = this->zs(), size = this->size_;
    const vd *y_above = read_above(level, b), *P_above = y_above + zs * size;
    find_path(level, b, P_above, P_above + level.above * level.above);
    const vd *X = of(level.X, q_d * zs, b), *u = level.u + b * q_d;
    vd *du = level.derivatives + b * q_d * size, *y = this->y(level, b);
    for (int k = 0; k < size; ++k) {
      vd change[kMaxZ];
      for (int c = 0; c < zs; ++c) change[c] = y_above[c * size + k];
      for (int a = 0; a < q_d; ++a) {
        vd sum = du[a * size + k];
        for (int c = 0; c < zs; ++c) sum -= X[a * zs + c] * y_above[c * size + k];
        du[a * size + k] = sum;
        for (int c = 0; c < zs; ++c) change[c] += this->T(level, c, a) * sum;
      }
      for (int c = 0; c < zs; ++c) y[c * size + k] = change[c];
    }
    for (int i = 0; i < level.own_thetas; ++i) {
      const Theta& theta = level.thetas[i];
      y[theta.zeta * size + theta.k] += u[theta.effect];
    }
    if (level.d > 0) level.paths.write(b, y);
  }

 private:
  // L^-1, X, J
  void store_factor(Level& level, std::size_t b, const Elimination<kMaxZ, kMaxQ>& f) {
    const int q_d = this->q(level), zs = this->zs();
    store_inverse(level, b, f);
    std::copy_n(f.X, q_d * zs, of(level.X, q_d * zs, b));
    std::copy_n(f.J, zs * zs, of(level.J, zs * zs, b));
  }

 protected:
  void store_inverse(Level& level, std::size_t b, const Elimination<kMaxZ, kMaxQ>& f) {
    const int q_d = this->q(level);
    vd inverse[kMaxQ * kMaxQ], *Linv = of(level.Linv, q_d * q_d, b);
    f.H.inverse_factor(inverse, q_d);
    for (int a = 0; a < q_d; ++a)
      for (int e = 0; e < q_d; ++e) Linv[a * q_d + e] = inverse[a * kMaxQ + e];
  }

  // pw_k of beta and of the thetas up to this level.
  const vd* known_pw(Level& level, std::size_t b) {
    return level.d == 0 ? leaf_pw_.data() : this->pw(level, b);
  }

 private:
  const vd* collect_pw(Level& level, std::size_t b) {
    const int zs = this->zs(), size = this->size_, width = this->at_.width();
    const vd *V = this->V(level, b), *u = level.u + b * this->q(level);
    vd* pw = level.d == 0 ? leaf_pw_.data() : this->pw(level, b);
    if (level.d == 0)
      for (int c = 0; c < zs; ++c) this->copy_beta(cross_w(b) + c * width, 1.0, pw + c * size);
    for (int i = 0; i < level.own_thetas; ++i) {
      const Theta& theta = level.thetas[i];
      for (int c = 0; c < zs; ++c)
        pw[c * size + theta.k] = V[packed(c, theta.zeta)] * u[theta.effect];
    }
    return pw;
  }

  // n_k, L^-1 n_k, H^-1 n_k, and what pw_k is for the parent. score: R_a e_b, or null.
  void solve_parameter(const Level& level, const vd* Linv, const vd* X, const vd* score, int k,
                       const vd* pw, vd* half, vd* u, vd* pw_up) const {
    const int q_d = this->q(level), zs = this->zs(), size = this->size_;
    vd n[kMaxQ], up[kMaxZ];
    for (int c = 0; c < zs; ++c) up[c] = pw[c * size + k];
    for (int a = 0; a < q_d; ++a) {
      n[a] = score != nullptr ? score[a] : vd{};
      for (int c = 0; c < zs; ++c) n[a] -= this->T(level, c, a) * pw[c * size + k];
      vd sum{};
      for (int e = 0; e <= a; ++e) sum += Linv[a * q_d + e] * n[e];
      half[a * size + k] = sum;
      for (int c = 0; c < zs; ++c) up[c] += X[a * zs + c] * n[a];
    }
    for (int a = 0; a < q_d; ++a) {
      vd sum{};
      for (int e = a; e < q_d; ++e) sum += Linv[e * q_d + a] * half[e * size + k];
      u[a * size + k] = sum;
    }
    for (int c = 0; c < zs; ++c) pw_up[c * size + k] = up[c];
  }

  // y, P, B of the parents; roots have only the y of what is above the forest.
  const vd* read_above(Level& level, std::size_t b) {
    if (!this->is_top(level)) {
      this->parent(level).paths.read(this->parents(level, b), above_.data());
    } else if (this->boundary_.y != nullptr) {
      this->boundary_.y->read(this->parents(level, b), above_.data());
    } else {
      std::fill_n(above_.data(), this->zs() * this->size_, vd{});
    }
    return above_.data();
  }

  void find_path(Level& level, std::size_t b, const vd* P_above, const vd* B_above) {
    const int q_d = this->q(level), zs = this->zs(), above = level.above, path = level.path;
    const vd *X = of(level.X, q_d * zs, b), *J = of(level.J, zs * zs, b);
    const vd* Linv = of(level.Linv, q_d * q_d, b);
    vd *P = this->P(level, b), *B = this->B(level, b);
    for (int i = 0; i < q_d; ++i) {
      for (int j = 0; j < path; ++j) P[i * path + j] = j <= i ? Linv[i * q_d + j] : vd{};
      for (int c = 0; c < zs; ++c) {
        vd sum{};
        for (int a = 0; a <= i; ++a) sum += Linv[i * q_d + a] * this->T(level, c, a);
        B[i * zs + c] = sum;
      }
    }
    for (int i = 0; i < above; ++i) {
      vd *row = P + (q_d + i) * path, *shift = B + (q_d + i) * zs;
      for (int a = 0; a < q_d; ++a) {
        vd sum{};
        for (int c = 0; c < zs; ++c) sum -= B_above[i * zs + c] * X[a * zs + c];
        row[a] = sum;
      }
      for (int j = 0; j < above; ++j) row[q_d + j] = P_above[i * above + j];
      for (int c = 0; c < zs; ++c) {
        vd sum{};
        for (int e = 0; e < zs; ++e) sum += B_above[i * zs + e] * J[c * zs + e];
        shift[c] = sum;
      }
    }
  }

  std::vector<vd> leaf_pw_, message_, above_, restored_half_;
};

}  // namespace multilogit

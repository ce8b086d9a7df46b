// Derivatives of the modes of a slot's trees and of the factors of their H (docs/mathematics.md,
// sections 5 to 8).
//
// The inverse of L, restricted to the path of a node, is P (lower triangle, the node's own effects
// first), and B = P T':
//
//   P = [ L^-1         0   ]     B = [ L^-1 T' ]     H^-1 on the path = P'P
//       [ -B_a X'      P_a ]         [ B_a J'  ]     cov(s, u) = B'P,  cov(s) = B'B
//
// where _a is the parent's and s the shift that the node and its ancestors make.
//
// M_k = L^-1 H_k L^-T keeps the pattern of the tree. Rows and columns of the node's own effects
// against its path are, with E_k = dV / dpsi_k and C = L^-1 T',
//
//   B E_k C' + [theta_k = (a, b) of the path] P_b (CV)_a' + [of this level] (BV)_a (L^-1)_b'.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "nested_modes.hpp"

namespace multilogit {

template <int Z, int Q>
class ForestDerivatives : public ForestModes<Z, Q> {
  using Base = ForestModes<Z, Q>;

 public:
  using typename Base::Level;

  ForestDerivatives(const NestedProblem& problem, int top, bool alone) : Base(problem, top, alone) {
    const std::size_t size = this->size_, zs = this->zs(), q = this->most_effects();
    for (auto* array : {&n_, &half_}) array->resize(q * size);
    for (auto* array : {&pw_, &above_, &product_}) array->resize(zs * size);
    for (auto* array : {&E_, &passed_}) array->resize(this->ss() * size);
  }

 protected:
  using Base::kMaxQ;
  using Base::kMaxS;
  using Base::kMaxZ;
  using Base::of;

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
    const vd* P = of(level.P, path * path, b);
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
  // or, `again`, known. Returns f without -u'u / 2.
  vd differentiate_rows(std::size_t b, bool again = false) {
    Level& level = this->leaf();
    const int zs = this->zs(), width = this->at_.width();
    const LeafBlock& block = this->leaf_block(b);
    vd *R = of(level.R, zs, b), *cross = of(level.cross, (zs + this->ss()) * width, b), value{};
    if (again)
      this->rows_->sum_again(block, R, cross);
    else
      value = this->rows_->differentiate(block, of(level.shift, zs, b), R, cross);
    vd *V = of(level.V, this->ss(), b), *raw = of(level.raw, this->ss(), b);
    for (int c = 0; c < zs; ++c)
      for (int e = 0; e <= c; ++e)
        V[packed(c, e)] = raw[packed(c, e)] = cross[c * width + this->at_.regressor(e)];
    return value;
  }

  // ---- modes: n_k = Z_k'r - A'W P_k upwards, u_k downwards -------------------------------------

  void clear_sums() {
    for (Level& level : this->levels_)
      if (level.d > 0) {
        for (auto* field : {&level.R, &level.raw, &level.pw, &level.E, &level.Sz})
          this->clear(*field);
        for (auto* field : {&level.V, &level.sigma}) this->clear(*field);
      }
  }

  // Factors H and eliminates n_k for beta and the thetas of this level and below; a theta of an
  // ancestor shifts all rows of the node: it is part of s. visit(pw, half): sum w zeta P_k and
  // L^-1 n_k, of those parameters. The parents get their share of it where `pass` says so.
  template <class Visit>
  void eliminate(Level& level, std::size_t b, bool pass, const Visit& visit) {
    const int q_d = this->q(level), zs = this->zs();
    typename Base::Factor f;
    vd* V = of(level.V, this->ss(), b);
    this->factor(level, V, f);
    store_factor(level, b, f);
    std::copy_n(f.X, q_d * zs, of(level.X, q_d * zs, b));
    std::copy_n(f.J, zs * zs, of(level.J, zs * zs, b));
    vd* pw = collect_pw(level, b);
    solve_parameters(level, b, pw);
    visit(pw, half_.data(), f.H.half_log_determinant(q_d));
    if (this->is_top(level) || !pass) return;
    const int own = this->at_.below(level.d + 1);
    for (int c = 0; c < zs; ++c)
      for (int a = 0; a < q_d; ++a)
        for (int k = 0; k < own; ++k)
          pw[c * this->size_ + k] += f.X[a * zs + c] * n_[a * this->size_ + k];
    Level& parent = this->parent(level);
    const std::int32_t* index = this->parents(level, b);
    for (int c = 0; c < zs; ++c)
      this->scatter(pw + c * this->size_, zs * this->size_, c * this->size_, own, index,
                    parent.pw.data());
    this->scatter(f.V, this->ss(), 0, this->ss(), index, parent.V.here);
    this->scatter(of(level.R, zs, b), zs, 0, zs, index, parent.R.data());
    this->scatter(of(level.raw, this->ss(), b), this->ss(), 0, this->ss(), index,
                  parent.raw.data());
  }

  // L^-1
  void store_factor(Level& level, std::size_t b, const typename Base::Factor& f) {
    const int q_d = this->q(level);
    vd inverse[kMaxQ * kMaxQ], *Linv = of(level.Linv, q_d * q_d, b);
    f.H.inverse_factor(inverse, q_d);
    for (int a = 0; a < q_d; ++a)
      for (int e = 0; e < q_d; ++e) Linv[a * q_d + e] = inverse[a * kMaxQ + e];
  }

  vd* collect_pw(Level& level, std::size_t b) {
    const int zs = this->zs(), size = this->size_;
    const vd *V = of(level.V, this->ss(), b), *u = level.u + b * this->q(level);
    vd* pw = pw_.data();
    if (level.d == 0) {
      const int width = this->at_.width();
      const vd* cross = of(level.cross, (zs + this->ss()) * width, b);
      for (int c = 0; c < zs; ++c) this->copy_beta(cross + c * width, 1.0, pw + c * size);
    } else {
      pw = of(level.pw, zs * size, b);
    }
    for (int k = this->at_.below(level.d); k < this->at_.below(level.d + 1); ++k) {
      const int z = this->theta_z(k - this->at_.p), e = this->theta_effect(k - this->at_.p, level);
      for (int c = 0; c < zs; ++c) pw[c * size + k] = V[packed(c, z)] * u[e];
    }
    return pw;
  }

  void solve_parameters(Level& level, std::size_t b, const vd* pw) {
    const int q_d = this->q(level), size = this->size_;
    const int below = this->at_.below(level.d), own = this->at_.below(level.d + 1);
    const vd *Linv = of(level.Linv, q_d * q_d, b), *R = of(level.R, this->zs(), b);
    for (int a = 0; a < q_d; ++a) {
      vd* n = &n_[a * size];
      std::fill(n, n + own, vd{});
      for (int c = 0; c < this->zs(); ++c) {
        const double t = this->T(level, c, a);
        for (int k = 0; k < own; ++k) n[k] -= t * pw[c * size + k];
      }
    }
    for (int k = below; k < own; ++k)
      n_[this->theta_effect(k - this->at_.p, level) * size + k] +=
          R[this->theta_z(k - this->at_.p)];
    vd* solved = level.derivatives + b * q_d * size;
    std::fill(solved, solved + q_d * size, vd{});
    for (int a = 0; a < q_d; ++a) {
      vd* half = &half_[a * size];
      std::fill(half, half + size, vd{});
      for (int e = 0; e <= a; ++e)
        for (int k = 0; k < own; ++k) half[k] += Linv[a * q_d + e] * n_[e * size + k];
    }
    for (int a = 0; a < q_d; ++a)
      for (int e = a; e < q_d; ++e)
        for (int k = 0; k < own; ++k)
          solved[a * size + k] += Linv[e * q_d + a] * half_[e * size + k];
  }

  // All that was known of a leaf before another window was opened.
  void restore(Level& level, std::size_t b) {
    if (level.d > 0 || this->windows_ == 1) return;
    differentiate_rows(b, true);
    eliminate(level, b, false, [](const vd*, const vd*, vd) {});
    descend(level, b);
  }

  // P, B; u_k = H^-1 n_k - X s_k; y_k = ds / dpsi_k with the node's own part.
  void descend(Level& level, std::size_t b) {
    const int q_d = this->q(level), zs = this->zs(), size = this->size_;
    find_path(level, b);
    this->gather_above(level, b, &Level::y, this->boundary_.y, zs * size, above_.data());
    const vd *X = of(level.X, q_d * zs, b), *u = level.u + b * q_d;
    vd *du = level.derivatives + b * q_d * size, *y = of(level.y, zs * size, b);
    for (int a = 0; a < q_d; ++a)
      for (int c = 0; c < zs; ++c)
        for (int k = 0; k < size; ++k) du[a * size + k] -= X[a * zs + c] * above_[c * size + k];
    std::copy_n(above_.data(), zs * size, y);
    for (int c = 0; c < zs; ++c)
      for (int a = 0; a < q_d; ++a) {
        const double t = this->T(level, c, a);
        for (int k = 0; k < size; ++k) y[c * size + k] += t * du[a * size + k];
      }
    for (int k = this->at_.below(level.d); k < this->at_.below(level.d + 1); ++k)
      y[this->theta_z(k - this->at_.p) * size + k] += u[this->theta_effect(k - this->at_.p, level)];
  }

  void find_path(Level& level, std::size_t b) {
    const int q_d = this->q(level), zs = this->zs(), above = level.above, path = level.path;
    const vd *X = of(level.X, q_d * zs, b), *J = of(level.J, zs * zs, b);
    const vd* Linv = of(level.Linv, q_d * q_d, b);
    vd *P = of(level.P, path * path, b), *B = of(level.B, path * zs, b);
    for (int i = 0; i < q_d; ++i) {
      for (int j = 0; j < path; ++j) P[i * path + j] = j <= i ? Linv[i * q_d + j] : vd{};
      for (int c = 0; c < zs; ++c) {
        vd sum{};
        for (int a = 0; a <= i; ++a) sum += Linv[i * q_d + a] * this->T(level, c, a);
        B[i * zs + c] = sum;
      }
    }
    if (above == 0) return;
    vd Pa[kMaxPath * kMaxPath], Ba[kMaxPath * kMaxZ];
    const std::int32_t* index = this->parents(level, b);
    this->gather(this->parent(level).P.data(), above * above, 0, above * above, index, Pa);
    this->gather(this->parent(level).B.data(), above * zs, 0, above * zs, index, Ba);
    for (int i = 0; i < above; ++i) {
      vd *row = P + (q_d + i) * path, *shift = B + (q_d + i) * zs;
      for (int a = 0; a < q_d; ++a) {
        row[a] = vd{};
        for (int c = 0; c < zs; ++c) row[a] -= Ba[i * zs + c] * X[a * zs + c];
      }
      for (int j = 0; j < above; ++j) row[q_d + j] = Pa[i * above + j];
      for (int c = 0; c < zs; ++c) {
        shift[c] = vd{};
        for (int e = 0; e < zs; ++e) shift[c] += Ba[i * zs + e] * J[c * zs + e];
      }
    }
  }

  // ---- factors: E_k = dV / dpsi_k upwards ------------------------------------------------------

  // E_k of a block: of leaves sum w3 D_k zeta zeta' with D_k = x_k + zeta'y_k.
  const vd* information(Level& level, std::size_t b) {
    const int zs = this->zs(), ss = this->ss(), size = this->size_, p = this->at_.p;
    if (level.d > 0) return of(level.E, ss * size, b);
    const int width = this->at_.width();
    const vd* cross = of(level.cross, (zs + ss) * width, b) + zs * width;
    const vd* y = of(level.y, zs * size, b);
    for (int s = 0; s < ss; ++s) {
      vd* E = &E_[s * size];
      this->copy_beta(cross + s * width, 1.0, E);
      std::fill(E + p, E + size, vd{});
      for (int c = 0; c < zs; ++c) {
        const vd w3 = cross[s * width + this->at_.regressor(c)];
        for (int k = 0; k < size; ++k) E[k] += w3 * y[c * size + k];
      }
    }
    return E_.data();
  }

  // Calls store(M, i, a) for every row i >= least of the path and own effect a <= i, with M_k of
  // all k in the room that make_room(i, a) gives.
  template <class MakeRoom, class Store>
  void find_M(Level& level, std::size_t b, const vd* E, int least, const MakeRoom& make_room,
              const Store& store) {
    const int q_d = this->q(level), zs = this->zs(), path = level.path, size = this->size_;
    const vd *P = of(level.P, path * path, b), *B = of(level.B, path * zs, b);
    const vd* V = of(level.V, this->ss(), b);
    vd BV[kMaxPath * kMaxZ];
    for (int i = 0; i < path; ++i)
      for (int c = 0; c < zs; ++c) {
        BV[i * zs + c] = vd{};
        for (int e = 0; e < zs; ++e) BV[i * zs + c] += B[i * zs + e] * V[packed(e, c)];
      }
    for (int a = 0; a < q_d; ++a) {
      multiply_information(E, B + a * zs);  // E_k C', column a
      for (int i = std::max(a, least); i < path; ++i) {
        vd* M = make_room(i, a);
        std::fill(M, M + size, vd{});
        for (int c = 0; c < zs; ++c)
          for (int k = 0; k < size; ++k) M[k] += B[i * zs + c] * product_[c * size + k];
        for (int k = this->at_.below(level.d); k < this->at_.below(this->top_ + 1); ++k) {
          const int z = this->theta_z(k - this->at_.p);
          const int e = this->theta_effect(k - this->at_.p, level);
          M[k] += P[i * path + e] * BV[a * zs + z];
          if (e < q_d) M[k] += BV[i * zs + z] * P[a * path + e];
        }
        store(M, i, a);
      }
    }
  }

  // product_ = E_k x
  void multiply_information(const vd* E, const vd* x) {
    const int zs = this->zs(), size = this->size_;
    for (int c = 0; c < zs; ++c) {
      vd* out = &product_[c * size];
      std::fill(out, out + size, vd{});
      for (int e = 0; e < zs; ++e)
        for (int k = 0; k < size; ++k) out[k] += E[packed(c, e) * size + k] * x[e];
    }
  }

  // dV- = J'dV J - [theta_k = (a, b) of this level] V-(e_a T_b' + T_b e_a')V-.
  void pass_information(Level& level, std::size_t b, const vd* E) {
    const int zs = this->zs(), ss = this->ss(), size = this->size_;
    const vd *J = of(level.J, zs * zs, b), *V = of(level.V, ss, b);
    std::fill(passed_.begin(), passed_.end(), vd{});
    for (int g = 0; g < zs; ++g) {
      vd column[kMaxZ];
      for (int e = 0; e < zs; ++e) column[e] = J[e * zs + g];
      multiply_information(E, column);
      for (int f = g; f < zs; ++f)
        for (int c = 0; c < zs; ++c)
          for (int k = 0; k < size; ++k)
            passed_[packed(f, g) * size + k] += J[c * zs + f] * product_[c * size + k];
    }
    vd reduced[kMaxZ * kMaxZ];
    for (int c = 0; c < zs; ++c)
      for (int g = 0; g < zs; ++g) {
        reduced[c * zs + g] = vd{};
        for (int e = 0; e < zs; ++e) reduced[c * zs + g] += V[packed(c, e)] * J[e * zs + g];
      }
    for (int k = this->at_.below(level.d); k < this->at_.below(level.d + 1); ++k) {
      const int z = this->theta_z(k - this->at_.p), e = this->theta_effect(k - this->at_.p, level);
      vd VT[kMaxZ];
      for (int c = 0; c < zs; ++c) {
        VT[c] = vd{};
        for (int g = 0; g < zs; ++g) VT[c] += reduced[c * zs + g] * this->T(level, g, e);
      }
      for (int c = 0; c < zs; ++c)
        for (int g = 0; g <= c; ++g)
          passed_[packed(c, g) * size + k] -=
              reduced[c * zs + z] * VT[g] + reduced[g * zs + z] * VT[c];
    }
    this->scatter(passed_.data(), ss * size, 0, ss * size, this->parents(level, b),
                  this->parent(level).E.data());
  }

  // ---- second derivatives of modes and factors -------------------------------------------------

  // What the second derivatives of u^ and of log|L| add to the Hessian, apart from products of
  // M_k, for a value whose derivative by u^ of the roots is S_u and by -log|L| is level.spread:
  // with G = -(H^-1 / 2, or what log|L| of the roots alone has in its place) and h = diag(A G A'),
  //
  //   v = H^-1 (S_u + A'(w3 h)),   omega = w4 h - w3 A v
  //   sum omega D_k D_l + sum (w3 h - w A v) C_kl - sum w (D_k Z_l v + D_l Z_k v)
  //     + 2 sum w3 (D_k diag(A G Z_l') + D_l diag(A G Z_k')) + 2 sum w diag(Z_k G Z_l').
  void add_second_derivatives(bool roots_alone, const vd* S_u, NestedTotals& totals) {
    roots_alone_ = roots_alone;
    this->upwards([&](Level& level, std::size_t b) {
      restore(level, b);
      if (level.d == 0) weigh_curvature(b);
      solve_v(level, b, true, S_u);
    });
    this->downwards([&](Level& level, std::size_t b) { pass_v(level, b); }, 1);
    this->upwards([&](Level& level, std::size_t b) {
      if (level.d == 0) {
        restore(level, b);
        if (this->windows_ > 1) solve_v(level, b, false, S_u);
        pass_v(level, b);
        finish_leaves(b, totals);
      }
      finish_nodes(level, b, totals);
    });
  }

  // Rows of P and B that count in G = -(their products with N): all of them, N = I / 2, or those of
  // the roots, N = level.spread.
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
    const vd* B = of(level.B, level.path * zs, b);
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

  // sigma = sum w3 h zeta
  void weigh_curvature(std::size_t b) {
    vd K[kMaxS];
    find_form(b, K);
    this->rows_->third(this->leaf_block(b), K, of(this->leaf().sigma, this->zs(), b));
  }

  // v = H^-1 (S_u + T'sigma) - X (T v of the ancestors), where only roots have an S_u; upwards goes
  // J'sigma if it is to `pass`.
  void solve_v(Level& level, std::size_t b, bool pass, const vd* S_u) {
    const int q_d = this->q(level), zs = this->zs();
    const vd *Linv = of(level.Linv, q_d * q_d, b), *sigma = of(level.sigma, zs, b);
    vd right[kMaxQ], half[kMaxQ], *v = of(level.v, level.path, b);
    for (int a = 0; a < q_d; ++a) {
      right[a] = this->is_top(level) && S_u != nullptr ? S_u[b * q_d + a] : vd{};
      for (int c = 0; c < zs; ++c) right[a] += this->T(level, c, a) * sigma[c];
    }
    for (int a = 0; a < q_d; ++a) {
      half[a] = vd{};
      for (int e = 0; e <= a; ++e) half[a] += Linv[a * q_d + e] * right[e];
    }
    for (int a = 0; a < q_d; ++a) {
      v[a] = vd{};
      for (int e = a; e < q_d; ++e) v[a] += Linv[e * q_d + a] * half[e];
    }
    if (this->is_top(level) || !pass) return;
    const vd* J = of(level.J, zs * zs, b);
    vd up[kMaxZ];
    for (int c = 0; c < zs; ++c) {
      up[c] = vd{};
      for (int e = 0; e < zs; ++e) up[c] += J[e * zs + c] * sigma[e];
    }
    this->scatter(up, zs, 0, zs, this->parents(level, b), this->parent(level).sigma.here);
  }

  void pass_v(Level& level, std::size_t b) {
    const int q_d = this->q(level), zs = this->zs();
    vd *v = of(level.v, level.path, b), turn[kMaxZ];
    this->gather_above(level, b, &Level::turn, nullptr, zs, turn);
    const vd* X = of(level.X, q_d * zs, b);
    for (int a = 0; a < q_d; ++a)
      for (int c = 0; c < zs; ++c) v[a] -= X[a * zs + c] * turn[c];
    if (!this->is_top(level))
      this->gather(this->parent(level).v.data(), level.above, 0, level.above,
                   this->parents(level, b), v + q_d);
    this->pass_shift(level, b, v, &Level::turn, nullptr);
  }

  // sum omega D_k D_l apart from X'Omega X, which waits in the weights of the rows; sums of w D_k
  // and w3 D_k against the effects of the path.
  void finish_leaves(std::size_t b, NestedTotals& totals) {
    Level& level = this->leaf();
    const int zs = this->zs(), width = this->at_.width(), p = this->at_.p, size = this->size_;
    const vd* omega_z = weigh_rows(b);  // (omega zeta)'[X, Z]
    const vd *y = of(level.y, zs * size, b), weight = level.weight[b];
    auto [left, right] = new_cross(zs, totals);
    std::copy_n(y, zs * size, left);
    for (int c = 0; c < zs; ++c) {
      vd* g = right + c * size;
      this->copy_beta(omega_z + c * width, weight, g);
      std::fill(g + p, g + size, vd{});
      for (int e = 0; e < zs; ++e) {
        const vd half = 0.5 * weight * omega_z[c * width + this->at_.regressor(e)];
        for (int k = 0; k < size; ++k) g[k] += half * y[e * size + k];
      }
    }
    add_path_pairs(b, totals);
    vd* Sz = of(level.Sz, zs, b);
    const vd *raw = of(level.raw, this->ss(), b), *turn = of(level.turn, zs, b);
    std::copy_n(of(level.sigma, zs, b), zs, Sz);
    for (int c = 0; c < zs; ++c)
      for (int e = 0; e < zs; ++e) Sz[c] -= raw[packed(c, e)] * turn[e];
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

  // For theta_i = Lambda[a, b]: -v_b sum w D_k z_a + 2 sum_c (sum w3 D_k z_a zeta_c)(T G)_cb.
  void add_path_pairs(std::size_t b, NestedTotals& totals) {
    Level& level = this->leaf();
    const int zs = this->zs(), width = this->at_.width(), p = this->at_.p, size = this->size_;
    const int path = level.path;
    const vd *P = of(level.P, path * path, b), *B = of(level.B, path * zs, b);
    const vd *raw = of(level.raw, this->ss(), b), *y = of(level.y, zs * size, b);
    const vd *v = of(level.v, path, b), weight = level.weight[b];
    const vd *cross = of(level.cross, (zs + this->ss()) * width, b), *E = information(level, b);
    const int first = first_row(level);
    vd NB[kMaxPath * kMaxZ];
    multiply_spread(level, b, B, zs, NB);
    for (int c = 0; c < zs; ++c) {  // sum w D_k zeta
      vd* dw = &product_[c * size];
      this->copy_beta(cross + c * width, 1.0, dw);
      std::fill(dw + p, dw + size, vd{});
      for (int e = 0; e < zs; ++e)
        for (int k = 0; k < size; ++k) dw[k] += raw[packed(c, e)] * y[e * size + k];
    }
    for (int i = 0; i < this->at_.below(this->top_ + 1) - p; ++i) {
      const int z = this->theta_z(i), e = this->theta_effect(i, level);
      vd* pairs = &totals.pairs[static_cast<std::size_t>(i) * size];
      const vd ve = weight * v[e];
      for (int k = 0; k < size; ++k) pairs[k] -= ve * product_[z * size + k];
      for (int c = 0; c < zs; ++c) {
        vd covariance{};
        for (int j = std::max(e, first); j < path; ++j)
          covariance += NB[(j - first) * zs + c] * P[j * path + e];
        covariance *= 2.0 * weight;
        for (int k = 0; k < size; ++k) pairs[k] -= covariance * E[packed(z, c) * size + k];
      }
    }
  }

  // For theta_i = Lambda[a, b] of the node: sum (w3 h - w A v) z_a times du_b / dpsi_k, and
  // 2 sum w z_a z_a' G_bb' for theta_l = Lambda[a', b'] of this level or an ancestor.
  void finish_nodes(Level& level, std::size_t b, NestedTotals& totals) {
    const int q_d = this->q(level), zs = this->zs(), size = this->size_, path = level.path;
    const vd *Sz = of(level.Sz, zs, b), *raw = of(level.raw, this->ss(), b);
    const vd *P = of(level.P, path * path, b), weight = level.weight[b];
    if (!this->is_top(level))
      this->scatter(Sz, zs, 0, zs, this->parents(level, b), this->parent(level).Sz.data());
    const vd* du = level.derivatives + b * q_d * size;
    const int p = this->at_.p, own = this->at_.below(level.d + 1) - p, first = first_row(level);
    vd NP[kMaxPath * kMaxPath];
    multiply_spread(level, b, P, path, NP);
    for (int i = this->at_.below(level.d) - p; i < own; ++i) {
      vd* pairs = &totals.pairs[static_cast<std::size_t>(i) * size];
      const int e = this->theta_effect(i, level);
      const vd S = weight * Sz[this->theta_z(i)];
      for (int k = 0; k < size; ++k) pairs[k] += S * du[e * size + k];
      for (int l = this->at_.below(level.d) - p; l < this->at_.below(this->top_ + 1) - p; ++l) {
        const int g = this->theta_effect(l, level);
        vd H{};
        for (int j = std::max(e, first); j < path; ++j)
          H += P[j * path + e] * NP[(j - first) * path + g];
        const double share = l < own ? 1.0 : 2.0;
        pairs[p + l] -= share * weight * H * raw[packed(this->theta_z(i), this->theta_z(l))];
      }
    }
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

  std::vector<vd> half_, weights_;
  std::size_t n_squares_ = 0, n_cross_ = 0;

 private:
  static constexpr std::size_t kRanks = 32;  // rank-one terms that are added together

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

  bool roots_alone_ = false;
  std::vector<vd> n_, pw_, above_, E_, passed_, product_, omega_z_;
  std::vector<vd> squares_, cross_left_, cross_right_;
};

}  // namespace multilogit

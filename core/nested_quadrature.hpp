// The log marginal likelihood of the trees of one slot by adaptive Gauss-Hermite quadrature at
// every level, with exact gradient and Hessian of the computed value (docs/mathematics.md,
// sections 7 and 8).
//
// A node integrates its effects given the shift s that its ancestors make, its children within it.
// With u^ the node's part of the joint mode of its subtree given s, L its factor there, R = L^-T,
// nodes x_j of the standard normal and weights omega_j that add up to 1:
//
//   c_j = u^ + R x_j,   l(s) = log sum_j exp F_j - log|L|,   p = softmax(F)
//   F_j = sum over children l(s + T c_j) - |c_j|^2 / 2 + |x_j|^2 / 2 + log omega_j
//
// where a leaf has its rows for children. Derivatives are total ones: s depends on psi, too. With
// the score S_j = dF_j / ds at fixed c_j, g_j = T'S_j - c_j, M_k = L^-1 (H_k of the node given its
// descendants) L^-T, Phi_k its lower triangle with half the diagonal, c_jk = u_k - R Phi_k'x_j:
//
//   gradient_k = sum_j p_j F_jk - tr(M_k) / 2,   F_jk = children's gradients - c_j'c_jk
//   S_u = sum_j p_j g_j,   N = R' sum_j p_j g_j x_j' + I
//   Hessian = Cov_p(F_k, F_l) + sum_j p_j (children's Hessians - c_jk'c_jl + S_j'(Z_k c_jl + Z_l
//   c_jk))
//     + <M_k, T_l> (T_l: see trace_form) + 2 sum over descendants <M_k, N_s M_l> against the node
//     + the second derivatives of u^ times S_u and of L by N_s,
//
// where N_s is symmetric and has the upper triangle of N / 2. With one node this is Laplace's
// approximation. Nodes, modes and values are in nested_quadrature_nodes.hpp.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "nested_quadrature_nodes.hpp"

namespace multilogit {

template <int Z, int Q>
class NestedQuadrature : public QuadratureNodes<Z, Q, NestedQuadrature<Z, Q>> {
  using Base = QuadratureNodes<Z, Q, NestedQuadrature<Z, Q>>;
  using Base::F_, Base::K_, Base::inner_, Base::node_sums_;
  using Base::kMaxQ;
  using Base::kMaxS;
  using Base::kMaxZ;
  using Base::of;
  using Base::q, Base::qq, Base::x, Base::R, Base::TR;
  using typename Base::Level;
  using typename Base::Theta;

 public:
  explicit NestedQuadrature(const NestedProblem& problem)
      : NestedQuadrature(problem, problem.at.levels() - 1) {}
  // Levels 0 .. top.
  NestedQuadrature(const NestedProblem& problem, int top) : Base(problem, top) {}

  // Adds the slot's contribution; false when the modes were not found.
  bool evaluate(std::size_t slot, SlotRows& rows, std::vector<NestedModes>& modes,
                NestedTotals& totals) {
    std::fill(rows.weight.begin(), rows.weight.end(), vd{});
    open_all(slot, rows);
    this->load_modes(modes);
    if (!differentiate(totals)) return false;
    for (Level& level : this->levels_)
      for (std::size_t b = 0; b < level.blocks; ++b)
        this->store_covariance(level, b, modes[level.d]);
    const Level& top = this->levels_.back();
    for (std::size_t b = 0; b < top.blocks; ++b) {
      totals.value += real_lanes(top, b, this->value_[b]);
      for (int k = 0; k < this->size_; ++k) totals.gradient[k] += gradient(b)[k];
    }
    flush_all(totals);
    return true;
  }

  std::size_t take_iterations() {
    return Base::take_iterations() + (inner_ ? inner_->take_iterations() : 0);
  }

 private:
  // Sums over the nodes x_j of a tree, weighted by p_j; matrices are row-major, q columns.
  struct Moments {
    vd *x, *g, *S, *xx, *gx, *Sx;
  };

  std::size_t moment_count() { return 2 * q() * (1 + q()) + this->zs() * (1 + q()); }
  Moments moments(std::size_t b) {
    vd* x = moments_.data() + b * moment_count();
    vd *g = x + q(), *xx = g + q(), *gx = xx + q() * q(), *S = gx + q() * q();
    return {x, g, S, xx, gx, S + this->zs()};
  }
  vd* solved(Level& level, std::size_t b) { return level.derivatives + b * q() * this->size_; }
  void open_all(std::size_t slot, SlotRows& rows) {
    this->open_nodes(slot, rows);
    const std::size_t n = this->top().blocks, size = this->size_, zs = this->zs();
    this->resize(S_u_, n * q());
    this->resize(derivatives_, n * (size + zs));
    this->resize(moments_, n * moment_count());
    half_.resize(this->most_effects() * size);
    M_.resize(this->levels_.size());
    for (auto* messages : {&tree_weights_, &spreads_}) messages->resize(this->levels_.size());
    for (Level& level : this->levels_) {
      tree_weights_[level.d].open(level.blocks * kLanes, 1);
      spreads_[level.d].open(level.blocks * kLanes, qq());
      this->resize(M_[level.d], level.blocks * this->rows_of_M(level, first_root(level)) * size);
      this->resize(level.spread, level.blocks * qq());
    }
    if (!inner_) return;
    const std::size_t nodes = n * kLanes;
    config_y_.open(nodes, zs * size);
    config_weight_.open(nodes, 1);
    below_derivatives_.open(nodes, size + zs);
    inner_->open_all(slot, rows);
    for (Level& level : inner_->levels_) inner_->open_modes(level);
  }

  // The last rows of a path are those of the root: M is kept of these.
  int first_root(const Level& level) { return level.path - q(); }

  void flush_all(NestedTotals& totals) {
    this->flush(totals);
    if (inner_) inner_->flush_all(totals);
  }

  vd real_lanes(const Level& level, std::size_t b, vd value) const {
    const std::int32_t* node = &this->layout_.levels[level.d].node[(level.first + b) * kLanes];
    for (int lane = 0; lane < kLanes; ++lane)
      if (node[lane] == kNoNode) value[lane] = 0.0;
    return value;
  }

  // ---- derivatives -----------------------------------------------------------------------------

  // Value, gradient and score (total derivative by s) of every tree; the rest of the Hessian is
  // added, times the boundary's weight.
  bool differentiate(NestedTotals& totals) {
    if (!this->find_modes()) return false;
    differentiate_modes();
    if (inner_ && !this->visit_nodes([&](int j) { return this->add_values(j, true); }))
      return false;
    for (std::size_t b = 0; b < this->top().blocks; ++b) {
      if (!inner_) this->leaf_values(b, true);
      this->mix(b);
      std::fill_n(moments(b).x, moment_count(), vd{});
      std::fill_n(gradient(b), this->size_, vd{});
      if (!inner_) differentiate_leaves(b, totals);
    }
    for (int j = 0; inner_ && j < K_; ++j)
      if (!differentiate_node(j, totals)) return false;
    for (std::size_t b = 0; b < this->top().blocks; ++b) finish_tree(b, totals);
    add_descendants(totals);
    this->upwards([&](Level& level, std::size_t b) {
      const vd* E = level.d == 0 ? this->information(level, b) : nullptr;
      this->curve(level, b, E, S_u_.data(), totals);
    });
    this->downwards([&](Level& level, std::size_t b) { this->pass_v(level, b); }, 1);
    this->upwards(
        [&](Level& level, std::size_t b) { this->finish(level, b, S_u_.data(), totals); });
    for (std::size_t b = 0; b < this->top().blocks; ++b)
      for (int c = 0; c < this->zs(); ++c)
        score(b)[c] = moments(b).S[c] + of(this->top().rest, this->zs(), b)[c];
    return true;
  }

  // Derivatives of modes and factors; M_k of every node against the root of its tree.
  void differentiate_modes() {
    SumOfLogs logs;  // the value is that of the nodes
    for (std::size_t b = 0; b < this->leaf().blocks; ++b) this->differentiate_rows(b, &logs);
    this->clear_sums();
    this->upwards([&](Level& level, std::size_t b) {
      this->eliminate(level, b, half_.data());
      this->pass_sums(level, b);
    });
    this->downwards([&](Level& level, std::size_t b) { this->descend(level, b); });
    this->upwards([&](Level& level, std::size_t b) {
      const vd* E = this->information(level, b);
      this->find_M(level, b, E, first_root(level), M(level, b));
      this->pass_information(level, b, E);
    });
    this->downwards([&](Level& level, std::size_t b) {
      level.weight[b] = vd{} + 1.0;
      if (!this->is_top(level))
        tree_weights_[level.d + 1].read(this->parents(level, b), &level.weight[b]);
      else if (this->boundary_.weight != nullptr)
        this->boundary_.weight->read(this->parents(level, b), &level.weight[b]);
      if (level.d > 0) tree_weights_[level.d].write(b, &level.weight[b]);
    });
  }

  // Node j of all trees whose children are trees.
  bool differentiate_node(int j, NestedTotals& totals) {
    const int zs = this->zs(), size = this->size_;
    Level& level = this->top();
    this->set_shift(j);
    for (std::size_t b = 0; b < level.blocks; ++b) {
      const vd weight = level.weight[b] * of(F_, K_, b)[j];
      config_weight_.write(b, &weight);
      Y_.assign(zs * size, vd{});
      std::copy_n(this->y(level, b), zs * size, Y_.data());
      for (int a = 0; a < q(); ++a) add_turn(b, a, x(j, a), Y_.data());
      config_y_.write(b, Y_.data());
    }
    inner_->boundary_ = {&this->config_shift_, &config_y_, &config_weight_};
    inner_->return_to_modes(j);
    if (!inner_->differentiate(totals)) return false;
    below_derivatives_.clear();
    Level& children = inner_->top();
    for (std::size_t b = 0; b < children.blocks; ++b)
      below_derivatives_.add(inner_->gradient(b), this->parents(children, b));
    for (std::size_t b = 0; b < level.blocks; ++b) {
      vd* F = this->new_squares(1, totals);
      Y_.resize(size + zs);
      below_derivatives_.read(b, Y_.data());
      std::copy_n(Y_.data(), size, F);
      add_node(b, j, F, Y_.data() + size);
    }
    return true;
  }

  vd* gradient(std::size_t b) { return of(derivatives_, this->size_ + this->zs(), b); }
  vd* score(std::size_t b) { return gradient(b) + this->size_; }
  vd* M(const Level& level, std::size_t b) {
    return of(M_[level.d], this->rows_of_M(level, first_root(level)) * this->size_, b);
  }
  // Of M of a root: element (a, c), a >= c.
  int row_of_M(int a, int c) { return c * q() - c * (c - 1) / 2 + a - c; }

  // Phi_k, element (a, c), a >= c, is M_k times this.
  static double half(int a, int c) { return a == c ? 0.5 : 1.0; }
  const vd* M_of_root(std::size_t b, int a, int c) {
    return M(this->top(), b) + row_of_M(a, c) * this->size_;
  }

  // Adds x times d(TR) / dpsi_k, column e: (TR)_k = T_k R - T R Phi_k'.
  void add_turn(std::size_t b, int e, double x, vd* out) {
    const int size = this->size_;
    for (int z = 0; z < this->zs(); ++z)
      for (int c = 0; c <= e; ++c) {
        const vd t = -x * half(e, c) * TR(b, z, c), *M = M_of_root(b, e, c);
        for (int k = 0; k < size; ++k) out[z * size + k] += t * M[k];
      }
    const Level& level = this->top();
    for (int i = 0; i < level.own_thetas; ++i) {
      const auto [k, z, a] = level.thetas[i];
      if (a <= e) out[z * size + k] += x * R(b, a, e);
    }
  }

  // F: the children's part of F_jk, the last row of the squares; S: S_j.
  void add_node(std::size_t b, int j, vd* F, const vd* S) {
    Level& level = this->top();
    const int size = this->size_;
    const vd p = of(F_, K_, b)[j], *u = solved(level, b);
    vd c[kMaxQ];
    this->node(b, j, c);
    for (int a = 0; a < q(); ++a)
      for (int k = 0; k < size; ++k) F[k] -= c[a] * u[a * size + k];
    for (int e = 0; e < q(); ++e) {  // c_j'R Phi_k'x_j
      vd cR{};
      for (int a = 0; a <= e; ++a) cR += c[a] * R(b, a, e);
      for (int a = e; a < q(); ++a) {
        const vd t = half(a, e) * x(j, a) * cR, *M = M_of_root(b, a, e);
        for (int k = 0; k < size; ++k) F[k] += t * M[k];
      }
    }
    vd* mean = gradient(b);
    for (int k = 0; k < size; ++k) mean[k] += p * F[k];
    this->weights_[this->n_squares_ - 1] = level.weight[b] * p;
    add_moments(b, j, p, c, S);
  }

  void add_moments(std::size_t b, int j, vd p, const vd* c, const vd* S) {
    const Moments sums = moments(b);
    for (int z = 0; z < this->zs(); ++z) {
      sums.S[z] += p * S[z];
      for (int a = 0; a < q(); ++a) sums.Sx[z * q() + a] += p * x(j, a) * S[z];
    }
    for (int e = 0; e < q(); ++e) {
      vd g = -c[e];
      for (int z = 0; z < this->zs(); ++z) g += this->T(this->top(), z, e) * S[z];
      sums.x[e] += p * x(j, e);
      sums.g[e] += p * g;
      for (int a = 0; a < q(); ++a) {
        sums.xx[e * q() + a] += p * (x(j, e) * x(j, a));
        sums.gx[e * q() + a] += p * x(j, a) * g;
      }
    }
  }

  // Mean, c_jk, M_k and pairs of the tree's root; S_u and N; gradient.
  void finish_tree(std::size_t b, NestedTotals& totals) {
    Level& level = this->top();
    const int size = this->size_;
    const Moments sums = moments(b);
    const vd weight = level.weight[b], *u = solved(level, b);
    vd *mean = gradient(b), *S_u = of(S_u_, q(), b), N[kMaxQ * kMaxQ];
    find_N(b, N);
    std::copy_n(sums.g, q(), S_u);
    this->add_square(mean, -weight, totals);
    for (int a = 0; a < q(); ++a) this->add_square(u + a * size, -weight, totals);
    add_traces(b, N, totals);
    const auto [left, right] = this->new_cross(q(), totals);
    std::copy_n(u, q() * size, left);
    for (int a = 0; a < q(); ++a) {
      std::fill_n(right + a * size, size, vd{});
      add_turned(b, a, sums.x, weight, right + a * size);
    }
    for (int i = 0; i < level.own_thetas; ++i) {
      const auto [k, z, e] = level.thetas[i];
      vd* pairs = this->pairs(level.thetas[i], totals);
      this->add(weight * sums.S[z], u + e * size, pairs);
      add_turned(b, e, &sums.Sx[z * q()], -weight, pairs);
    }
    for (int a = 0; a < q(); ++a) {
      const vd* M = M_of_root(b, a, a);
      for (int k = 0; k < size; ++k) mean[k] -= 0.5 * M[k];
    }
  }

  // Adds weight times (R Phi_k'x)_e.
  void add_turned(std::size_t b, int e, const vd* x, vd weight, vd* out) {
    for (int c = e; c < q(); ++c)
      for (int a = c; a < q(); ++a) {
        const vd t = weight * half(a, c) * R(b, e, c) * x[a], *M = M_of_root(b, a, c);
        for (int k = 0; k < this->size_; ++k) out[k] += t * M[k];
      }
  }

  // N, and N_s in the level's spread.
  void find_N(std::size_t b, vd* N) {
    vd* spread = of(this->top().spread, qq(), b);
    for (int a = 0; a < q(); ++a)
      for (int c = 0; c < q(); ++c) {
        vd sum = vd{} + (a == c ? 1.0 : 0.0);
        for (int e = 0; e <= a; ++e) sum += R(b, e, a) * moments(b).gx[e * q() + c];
        N[a * kMaxQ + c] = sum;
        if (a <= c) spread[packed(a, c)] = 0.5 * sum;
      }
    if (this->top_ > 0) spreads_[this->top_].write(b, spread);
  }

  // Symmetric part of <M_k, T_l>.
  void add_traces(std::size_t b, const vd* N, NestedTotals& totals) {
    const int size = this->size_, n = qq();
    const vd weight = this->top().weight[b], *M = M_of_root(b, 0, 0);
    form_.resize(n * n);
    trace_form(b, N, form_.data());
    if (q() == 1) return this->add_square(M, weight * form_[0], totals);
    const auto [left, right] = this->new_cross(n, totals);
    std::copy_n(M, n * size, left);
    std::fill_n(right, n * size, vd{});
    for (int i = 0; i < n; ++i)
      for (int l = 0; l < n; ++l) {
        const vd t = 0.5 * weight * form_[i * n + l];
        for (int k = 0; k < size; ++k) right[i * size + k] += t * M[l * size + k];
      }
  }

  // T_l for every element of M_l, in the triangle that goes with M_k:
  //   -tr(Phi_k Phi_l) + <N, Phi_l'Phi_k' + Phi(Phi_l M_k + M_k Phi_l')'> = <M_k, T_l>,
  //   T_l = -diag(Phi_l) / 2 + Phi(N'Phi_l') + Phi_l'Phi(N') + Phi(N')Phi_l
  // (R_kl = R {Phi_l'Phi_k' + Phi(Phi_l M_k + M_k Phi_l' - L^-1 H_kl L^-T)'}), and what
  // -sum_j p_j c_jk'c_jl has of both: -<Phi_k, sum_j p_j x_j x_j' Phi_l R'R>.
  void trace_form(std::size_t b, const vd* N, vd* form) {
    const int n = q();
    vd RR[kMaxQ * kMaxQ], T[kMaxQ * kMaxQ];
    for (int a = 0; a < n; ++a)
      for (int c = 0; c < n; ++c) {
        RR[a * kMaxQ + c] = vd{};
        for (int e = 0; e <= std::min(a, c); ++e) RR[a * kMaxQ + c] += R(b, e, a) * R(b, e, c);
      }
    const auto lower = [&](int a, int c) {  // Phi(N')
      return a > c ? N[c * kMaxQ + a] : (a == c ? 0.5 * N[a * kMaxQ + a] : vd{});
    };
    for (int i = 0; i < n; ++i)
      for (int l = 0; l <= i; ++l) {  // Phi_l has the one element h at (i, l)
        const double h = half(i, l);
        for (int a = 0; a < n; ++a)
          for (int c = 0; c < n; ++c) {
            vd t{};
            if (c == i) t += (a > c ? 1.0 : (a == c ? 0.5 : 0.0)) * h * N[l * kMaxQ + a];
            if (a == l) t += h * lower(i, c);
            if (c == l) t += h * lower(a, i);
            if (a == c && a == i && i == l) t -= 0.5 * h;
            T[a * kMaxQ + c] = t;
          }
        for (int a = 0; a < n; ++a)
          for (int c = 0; c <= a; ++c) {
            const vd both = T[a * kMaxQ + c] + (a == c ? vd{} : T[c * kMaxQ + a]);
            form[row_of_M(a, c) * qq() + row_of_M(i, l)] =
                both - half(a, c) * h * moments(b).xx[a * q() + i] * RR[l * kMaxQ + c];
          }
      }
  }

  // 2 <M_k, N_s M_l> of every descendant against the root of its tree.
  void add_descendants(NestedTotals& totals) {
    const int size = this->size_, roots = q();
    for (int d = this->top_ - 1; d >= 0; --d) {
      Level& level = this->levels_[d];
      for (std::size_t b = 0; b < level.blocks; ++b) {
        vd* N = of(level.spread, qq(), b);
        spreads_[d + 1].read(this->parents(level, b), N);
        if (d > 0) spreads_[d].write(b, N);
        for (int a = 0; a < Forest<Z, Q>::q(level); ++a) {
          const vd* M = this->M(level, b) + a * roots * size;
          if (roots == 1) {
            this->add_square(M, 2.0 * level.weight[b] * N[0], totals);
            continue;
          }
          const auto [left, right] = this->new_cross(roots, totals);
          std::copy_n(M, roots * size, left);
          std::fill_n(right, roots * size, vd{});
          for (int r = 0; r < roots; ++r)
            for (int s = 0; s < roots; ++s) {
              const vd t = level.weight[b] * N[packed(r, s)];
              for (int k = 0; k < size; ++k) right[r * size + k] += t * M[s * size + k];
            }
        }
      }
    }
  }

  // ---- leaves ----------------------------------------------------------------------------------

  // All nodes of a block of leaves; -sum_j p_j D_jk'W_jD_jl, where D_jk = x_k + zeta'(y_k + sum_a
  // x_ja turn_ak).
  void differentiate_leaves(std::size_t b, NestedTotals& totals) {
    const int zs = this->zs(), ss = this->ss(), size = this->size_, width = this->at_.width();
    this->resize(average_, static_cast<std::size_t>(zs * (1 + q()) + K_) * width);
    this->rows_->average(this->leaf_block(b), this->leaf_nodes(), of(F_, K_, b),
                         this->leaf().weight[b], average_.data());
    const vd* rx = &average_[zs * (1 + q()) * width];
    // y, then the turn of every effect
    Y_.assign(static_cast<std::size_t>(1 + q()) * zs * size, vd{});
    std::copy_n(this->y(this->leaf(), b), zs * size, Y_.data());
    for (int a = 0; a < q(); ++a) add_turn(b, a, 1.0, &Y_[(1 + a) * zs * size]);
    W_.assign(packed_size(1 + q()) * ss, vd{});
    for (int j = 0; j < K_; ++j) {
      const vd* S = &node_sums_[K_ + j * (zs + ss)];
      vd* F = this->new_squares(1, totals);
      this->copy_beta(rx + j * width, 1.0, F);
      std::fill(F + this->at_.p, F + size, vd{});
      for (int a = 0; a <= q(); ++a)
        for (int c = 0; c < zs; ++c) {
          const vd t = power(j, a) * S[c], *Y = &Y_[(a * zs + c) * size];
          for (int k = 0; k < size; ++k) F[k] += t * Y[k];
        }
      add_node(b, j, F, S);
      for (int a = 0; a <= q(); ++a)
        for (int e = 0; e <= a; ++e) {
          const vd p = of(F_, K_, b)[j] * (power(j, a) * power(j, e));
          for (int s = 0; s < ss; ++s) W_[packed(a, e) * ss + s] += p * S[zs + s];
        }
    }
    add_curvature(b, totals);
  }

  // 1, then x_j
  double power(int j, int a) { return a == 0 ? 1.0 : x(j, a - 1); }

  void add_curvature(std::size_t b, NestedTotals& totals) {
    const int zs = this->zs(), ss = this->ss(), size = this->size_, width = this->at_.width();
    const int rows = (1 + q()) * zs;
    const vd weight = this->leaf().weight[b];
    const auto [left, right] = this->new_cross(rows, totals);
    std::copy_n(Y_.data(), rows * size, left);
    for (int i = 0; i < rows; ++i) {
      vd* g = right + i * size;
      this->copy_beta(&average_[i * width], -weight, g);
      std::fill(g + this->at_.p, g + size, vd{});
      for (int l = 0; l < rows; ++l) {
        const vd w = -0.5 * weight * W_[packed(i / zs, l / zs) * ss + packed(i % zs, l % zs)];
        for (int k = 0; k < size; ++k) g[k] += w * Y_[l * size + k];
      }
    }
  }

  // fields of the roots: gradient and total derivative by s; S_u
  std::vector<vd> derivatives_, S_u_;
  std::vector<vd> moments_;
  std::vector<std::vector<vd>> M_;                // by level: M_k of a node against its root
  std::vector<Messages> tree_weights_, spreads_;  // by level: for its children
  // the children's boundary, beside the shift; sums over children
  Messages config_y_, config_weight_, below_derivatives_;
  // of one block of leaves
  std::vector<vd> average_, Y_, W_, form_, half_;
};

}  // namespace multilogit

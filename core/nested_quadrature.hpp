// The log marginal likelihood of the trees of one slot by adaptive Gauss-Hermite quadrature at
// every level, one effect per node, with exact gradient and Hessian of the computed value
// (DESIGN 4.4; docs/mathematics).
//
// A node integrates its effect given the shift s that its ancestors make, its children within it.
// With u^ the node's part of the joint mode of its subtree given s, L its factor there, nodes x_j
// of the standard normal and weights omega_j that add up to 1:
//
//   c_j = u^ + x_j / L,   F_j = sum over children l(s + T c_j) - c_j^2 / 2 + x_j^2 / 2 + log
//   omega_j l(s) = log sum_j exp F_j - log L,   p = softmax(F)
//
// where a leaf has its rows for children. Derivatives are total ones: s depends on psi, too. With
// the score S_j = dF_j / ds at fixed c_j, g_j = T'S_j - c_j, M_k = L^-2 (H_k of the node given
// its descendants), c_jk = u_k - x_j M_k / (2L):
//
//   gradient_k = sum_j p_j F_jk - M_k / 2,   F_jk = children's gradients - c_j c_jk
//   S_u = sum_j p_j g_j,   N = 1 + sum_j p_j g_j x_j / L
//   Hessian = Cov_p(F_k, F_l) + sum_j p_j (children's Hessians - c_jk c_jl + S_j (Z_k c_jl + Z_l
//   c_jk))
//     + (3N/4 - 1/4) M_k M_l + N <M_k, M_l> against the descendants
//     + the second derivatives of u^ times S_u and of -log L times N.
//
// With one node this is Laplace's approximation. Every level has its own forest: of a node's
// subtree there is one set of modes for each node x_j of each ancestor.
#pragma once

#include <cmath>
#include <cstddef>
#include <memory>
#include <vector>

#include "nested_derivatives.hpp"

namespace multilogit {

template <int Z>
class NestedQuadrature : public ForestDerivatives<Z, 1> {
  using Base = ForestDerivatives<Z, 1>;
  using Base::kMaxS;
  using Base::kMaxZ;
  using Base::of;
  using Base::pair;
  using typename Base::Level;

 public:
  // Levels 0 .. top.
  NestedQuadrature(const NestedProblem& problem, int top)
      : Base(problem, top), K_(static_cast<int>(problem.at.nodes.size())) {
    if (top > 0) inner_ = std::make_unique<NestedQuadrature>(problem, top - 1);
  }
  explicit NestedQuadrature(const NestedProblem& problem)
      : NestedQuadrature(problem, problem.at.levels() - 1) {}

  // Adds the slot's contribution; false when the modes were not found. rows.weight is empty.
  bool evaluate(std::size_t slot, SlotRows& rows, std::vector<NestedModes>& modes,
                NestedTotals& totals) {
    open_all(slot, rows);
    this->load_modes(modes);
    if (!differentiate(totals)) return false;
    for (Level& level : this->levels_)
      for (std::size_t b = 0; b < level.blocks; ++b)
        this->store_covariance(level, b, modes[level.d]);
    const Level& top = this->levels_.back();
    for (std::size_t b = 0; b < top.blocks; ++b) {
      totals.value += real_lanes(top, b, value_[b]);
      for (int k = 0; k < this->size_; ++k) totals.gradient[k] += of(gradient_, this->size_, b)[k];
    }
    flush_all(totals);
    return true;
  }

  std::size_t inner_iterations() const {
    return Base::inner_iterations() + (inner_ ? inner_->inner_iterations() : 0);
  }

 private:
  // Sums over the nodes x_j, weighted by p_j.
  struct Moments {
    vd x{}, xx{}, g{}, gx{};
    vd S[kMaxZ] = {}, Sx[kMaxZ] = {};
  };

  double x(int j) const { return this->at_.nodes[j]; }
  vd* solved(Level& level, std::size_t b) { return level.derivatives + b * this->size_; }
  // 1 / L
  vd scale(std::size_t b) { return this->top().Linv[b]; }
  vd node(std::size_t b, int j) { return this->top().u[b] + x(j) * scale(b); }

  void open_all(std::size_t slot, SlotRows& rows) {
    this->open(slot, rows);
    const std::size_t n = this->top().blocks, size = this->size_, zs = this->zs();
    for (auto* field : {&value_, &S_u_, &config_weight_, &below_value_}) this->resize(*field, n);
    this->resize(F_, n * K_);
    for (auto* field : {&gradient_, &below_gradient_}) this->resize(*field, n * size);
    for (auto* field : {&score_, &config_shift_, &below_score_, &followed_})
      this->resize(*field, n * zs);
    this->resize(config_y_, n * zs * size);
    moments_.resize(n);
    M_.resize(this->levels_.size());
    for (Level& level : this->levels_) this->resize(M_[level.d], level.blocks * size);
    if (!inner_) return;
    inner_->open_all(slot, rows);
    for (Level& level : inner_->levels_) inner_->open_modes(level);
  }

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

  // ---- values ----------------------------------------------------------------------------------

  // l(s) of every tree, for the boundary's shift s.
  bool integrate() {
    if (!this->find_modes()) return false;
    factor_modes();
    if (inner_ && !visit_nodes([&](int j) { return add_values(j); })) return false;
    for (std::size_t b = 0; b < this->top().blocks; ++b) {
      if (!inner_) leaf_values(b, false);
      mix(b);
    }
    return true;
  }

  // L of the roots at the modes.
  void factor_modes() {
    for (Level& level : this->levels_)
      if (level.d > 0) this->clear(level.V);
    for (std::size_t b = 0; b < this->leaf().blocks; ++b) this->score_rows(b);
    this->upwards([&](Level& level, std::size_t b) {
      typename Base::Factor f;
      this->factor(level, of(level.V, this->ss(), b), f);
      level.Linv[b] = f.H.reciprocal[0];
      if (!this->is_top(level))
        this->scatter(f.V, this->ss(), 0, this->ss(), this->parents(level, b),
                      this->parent(level).V.here);
    });
  }

  // Calls visit(j), from the middle to either end, with the children's boundary at node j and
  // their modes near what they will be there.
  template <class Visit>
  bool visit_nodes(const Visit& visit) {
    const int middle = K_ / 2;
    inner_->begin_at(*this);
    for (int j = middle; j < K_; ++j)
      if (!visit(j)) return false;
    inner_->begin_at(*this);
    for (int j = middle - 1; j >= 0; --j)
      if (!visit(j)) return false;
    return true;
  }

  // Modes and shift of the forest above.
  void begin_at(NestedQuadrature& outer) {
    for (Level& level : this->levels_) {
      std::copy_n(outer.levels_[level.d].u, level.blocks, level.u);
      std::copy_n(outer.levels_[level.d].X.data(), level.blocks * this->zs(), level.X.data());
    }
    const std::vector<vd>& shift = outer.top().shift;
    for (std::size_t b = 0; b < this->top().blocks; ++b)
      this->gather(shift.data(), this->zs(), 0, this->zs(), this->parents(this->top(), b),
                   of(followed_, this->zs(), b));
  }

  // Modes for the boundary's shift, predicted from those for the shift before: du / ds = -X.
  void follow() {
    const int zs = this->zs();
    this->downwards([&](Level& level, std::size_t b) {
      vd change[kMaxZ];
      this->gather_above(level, b, &Level::turn, this->boundary_.shift, zs, change);
      if (this->is_top(level))
        for (int c = 0; c < zs; ++c) {
          const vd s = change[c];
          change[c] -= of(followed_, zs, b)[c];
          of(followed_, zs, b)[c] = s;
        }
      vd du{};
      for (int c = 0; c < zs; ++c) du -= of(level.X, zs, b)[c] * change[c];
      level.u[b] += du;
      for (int c = 0; c < zs; ++c) of(level.turn, zs, b)[c] = change[c] + this->T(level, c, 0) * du;
    });
  }

  // The children's boundary at node j.
  void set_shift(int j) {
    const int zs = this->zs();
    Level& level = this->top();
    for (std::size_t b = 0; b < level.blocks; ++b)
      for (int c = 0; c < zs; ++c)
        of(config_shift_, zs, b)[c] =
            of(level.shift, zs, b)[c] + x(j) * scale(b) * this->T(level, c, 0);
    inner_->boundary_ = {config_shift_.data(), nullptr, nullptr};
    inner_->follow();
  }

  // F_j of all trees, from their children's values.
  bool add_values(int j) {
    set_shift(j);
    if (!inner_->integrate()) return false;
    this->clear(below_value_);
    Level& children = inner_->top();
    for (std::size_t b = 0; b < children.blocks; ++b)
      this->scatter(&inner_->value_[b], 1, 0, 1, this->parents(children, b), below_value_.data());
    for (std::size_t b = 0; b < this->top().blocks; ++b)
      of(F_, K_, b)[j] = below_value_[b] + prior(b, j);
    return true;
  }

  // -c_j^2 / 2 + x_j^2 / 2 + log omega_j
  vd prior(std::size_t b, int j) {
    const vd c = node(b, j);
    return 0.5 * (x(j) * x(j) - c * c) + this->at_.log_weights[j];
  }

  // F becomes p.
  void mix(std::size_t b) {
    vd *F = of(F_, K_, b), top = F[0], total{};
    for (int j = 1; j < K_; ++j) top = select(F[j] > top, F[j], top);
    for (int j = 0; j < K_; ++j) {
      F[j] = exp_negative(F[j] - top);
      total += F[j];
    }
    for (int j = 0; j < K_; ++j) F[j] = F[j] / total;
    value_[b] = top + logarithm(total) + logarithm(scale(b));
  }

  // F_j of leaves; with `keep` also r_j and w_j of every row, and sums S_j = sum r_j zeta,
  // sum w_j zeta zeta' in node_sums_.
  void leaf_values(std::size_t b, bool keep) {
    Level& level = this->leaf();
    const int zs = this->zs(), ss = this->ss();
    const LeafBlock& block = this->leaf_block(b);
    const std::size_t first = block.tile[0];
    const std::size_t tiles = block.tile[block.groups_in_lanes ? 1 : block.leaves] - first;
    this->resize(node_sums_, static_cast<std::size_t>(K_) * (1 + zs + ss));
    if (keep)
      for (auto* array : {&r_nodes_, &w_nodes_}) this->resize(*array, tiles * K_);
    vd in[2 * kMaxZ];
    for (int c = 0; c < zs; ++c) {
      in[c] = of(level.shift, zs, b)[c];
      in[zs + c] = scale(b) * this->T(level, c, 0);
    }
    const auto pass = [&, this](std::size_t tile, std::size_t count, const vd* shift, vd* out) {
      for (std::size_t t = tile; t < tile + count; ++t) {
        const vd eta = this->predictor(t, shift);
        vd step{};
        for (int c = 0; c < zs; ++c) step += this->zeta(t, c) * shift[zs + c];
        for (int j = 0; j < K_; ++j) {
          const BinomialRow row =
              binomial_row(eta + x(j) * step, this->data_.y[t], this->data_.n[t]);
          out[j] += row.value;
          if (!keep) continue;
          r_nodes_[(t - first) * K_ + j] = row.r;
          w_nodes_[(t - first) * K_ + j] = row.w;
          add_node_sums(t, row.r, row.w, out + K_ + j * (zs + ss));
        }
      }
    };
    this->over_rows(b, in, 2 * zs, node_sums_.data(), keep ? K_ * (1 + zs + ss) : K_, pass);
    for (int j = 0; j < K_; ++j) of(F_, K_, b)[j] = node_sums_[j] + prior(b, j);
  }

  void add_node_sums(std::size_t t, vd r, vd w, vd* out) const {
    const int zs = this->zs();
    for (int c = 0; c < zs; ++c) {
      out[c] += r * this->zeta(t, c);
      const vd wz = w * this->zeta(t, c);
      for (int e = 0; e <= c; ++e) out[zs + pair(c, e)] += wz * this->zeta(t, e);
    }
  }

  // ---- derivatives -----------------------------------------------------------------------------

  // value_, gradient_ and score_ (total derivative by s) of every tree; the rest of the Hessian is
  // added, times the boundary's weight.
  bool differentiate(NestedTotals& totals) {
    if (!this->find_modes()) return false;
    differentiate_modes();
    if (inner_ && !visit_nodes([&](int j) { return add_values(j); })) return false;
    for (std::size_t b = 0; b < this->top().blocks; ++b) {
      if (!inner_) leaf_values(b, true);
      mix(b);
      moments_[b] = Moments{};
      std::fill_n(of(gradient_, this->size_, b), this->size_, vd{});
      if (!inner_) differentiate_leaves(b, totals);
    }
    if (inner_ && !visit_nodes([&](int j) { return differentiate_node(j, totals); })) return false;
    for (std::size_t b = 0; b < this->top().blocks; ++b) finish_tree(b, totals);
    add_descendants(totals);
    this->add_second_derivatives(true, S_u_.data(), totals);
    for (std::size_t b = 0; b < this->top().blocks; ++b)
      for (int c = 0; c < this->zs(); ++c)
        of(score_, this->zs(), b)[c] = moments_[b].S[c] + of(this->top().Sz, this->zs(), b)[c];
    return true;
  }

  // Derivatives of modes and factors; M_k of every node against the root of its tree.
  void differentiate_modes() {
    for (std::size_t b = 0; b < this->leaf().blocks; ++b) this->differentiate_rows(b);
    this->clear_sums();
    this->upwards([&](Level& level, std::size_t b) {
      this->eliminate(level, b, true, [](const vd*, const vd*, vd) {});
    });
    this->downwards([&](Level& level, std::size_t b) { this->descend(level, b); });
    this->upwards([&](Level& level, std::size_t b) {
      vd* M = of(M_[level.d], this->size_, b);
      const vd* E = this->information(level, b);
      // the last row of the path is the root's
      this->find_M(level, b, E, [&] { return M; }, [](const vd*, int, int) {});
      if (!this->is_top(level)) this->pass_information(level, b, E);
    });
    this->downwards([&](Level& level, std::size_t b) {
      level.weight[b] = vd{} + 1.0;
      if (!this->is_top(level))
        this->gather(this->parent(level).weight.data(), 1, 0, 1, this->parents(level, b),
                     &level.weight[b]);
      else if (this->boundary_.weight != nullptr)
        this->gather(this->boundary_.weight, 1, 0, 1, this->parents(level, b), &level.weight[b]);
    });
  }

  // Node j of all trees whose children are trees.
  bool differentiate_node(int j, NestedTotals& totals) {
    const int zs = this->zs(), size = this->size_;
    Level& level = this->top();
    set_shift(j);
    for (std::size_t b = 0; b < level.blocks; ++b) {
      config_weight_[b] = level.weight[b] * of(F_, K_, b)[j];
      turn_y(b, x(j), of(config_y_, zs * size, b));
    }
    inner_->boundary_ = {config_shift_.data(), config_y_.data(), config_weight_.data()};
    if (!inner_->differentiate(totals)) return false;
    this->clear(below_gradient_);
    this->clear(below_score_);
    Level& children = inner_->top();
    for (std::size_t b = 0; b < children.blocks; ++b) {
      const std::int32_t* index = this->parents(children, b);
      this->scatter(of(inner_->gradient_, size, b), size, 0, size, index, below_gradient_.data());
      this->scatter(of(inner_->score_, zs, b), zs, 0, zs, index, below_score_.data());
    }
    for (std::size_t b = 0; b < level.blocks; ++b) {
      vd* F = this->new_squares(1, totals);
      std::copy_n(of(below_gradient_, size, b), size, F);
      add_node(b, j, F, of(below_score_, zs, b));
    }
    return true;
  }

  // y of node x: ds / dpsi_k with the node's effect at c = u^ + x / L.
  void turn_y(std::size_t b, double x, vd* out) {
    std::copy_n(of(this->top().y, this->zs() * this->size_, b), this->zs() * this->size_, out);
    add_turn(b, vd{} + x, out);
  }

  // Adds x times d(T / L) / dpsi_k.
  void add_turn(std::size_t b, vd x, vd* out) {
    Level& level = this->top();
    const int size = this->size_;
    const vd *M = of(M_[level.d], size, b), half = -0.5 * x * scale(b);
    for (int c = 0; c < this->zs(); ++c) {
      const vd t = half * this->T(level, c, 0);
      for (int k = 0; k < size; ++k) out[c * size + k] += t * M[k];
    }
    for (int k = this->at_.below(level.d); k < this->at_.below(level.d + 1); ++k)
      out[this->theta_z(k - this->at_.p) * size + k] += x * scale(b);
  }

  // F: the children's part of F_jk, the last row of the squares; S: S_j.
  void add_node(std::size_t b, int j, vd* F, const vd* S) {
    Level& level = this->top();
    const int size = this->size_;
    const vd p = of(F_, K_, b)[j], c = node(b, j);
    const vd *M = of(M_[level.d], size, b), *u = solved(level, b);
    const vd half = 0.5 * x(j) * scale(b) * c;
    vd* mean = of(gradient_, size, b);
    for (int k = 0; k < size; ++k) {
      F[k] += half * M[k] - c * u[k];
      mean[k] += p * F[k];
    }
    this->weights_[this->n_squares_ - 1] = level.weight[b] * p;
    Moments& moments = moments_[b];
    vd g = -c;
    for (int e = 0; e < this->zs(); ++e) {
      g += this->T(level, e, 0) * S[e];
      moments.S[e] += p * S[e];
      moments.Sx[e] += p * x(j) * S[e];
    }
    moments.x += p * x(j);
    moments.xx += p * x(j) * x(j);
    moments.g += p * g;
    moments.gx += p * x(j) * g;
  }

  // Mean, c_jk, M_k and pairs of the tree's root; S_u and N; gradient.
  void finish_tree(std::size_t b, NestedTotals& totals) {
    Level& level = this->top();
    const int size = this->size_;
    const Moments& moments = moments_[b];
    const vd weight = level.weight[b], half = 0.5 * scale(b);
    const vd *M = of(M_[level.d], size, b), *u = solved(level, b);
    vd* mean = of(gradient_, size, b);
    const vd N = 1.0 + scale(b) * moments.gx;
    level.spread[b] = N;
    S_u_[b] = moments.g;
    this->add_square(mean, -weight, totals);
    this->add_square(u, -weight, totals);
    this->add_square(M, weight * (0.75 * N - 0.25 - half * half * moments.xx), totals);
    const auto [left, right] = this->new_cross(1, totals);
    std::copy_n(u, size, left);
    for (int k = 0; k < size; ++k) right[k] = weight * half * moments.x * M[k];
    for (int i = this->at_.below(level.d) - this->at_.p;
         i < this->at_.below(level.d + 1) - this->at_.p; ++i) {
      vd* pairs = &totals.pairs[static_cast<std::size_t>(i) * size];
      const vd S = weight * moments.S[this->theta_z(i)];
      const vd Sx = weight * half * moments.Sx[this->theta_z(i)];
      for (int k = 0; k < size; ++k) pairs[k] += S * u[k] - Sx * M[k];
    }
    for (int k = 0; k < size; ++k) mean[k] -= 0.5 * M[k];
  }

  // N M_k M_l of every descendant against the root of its tree.
  void add_descendants(NestedTotals& totals) {
    for (int d = this->top_ - 1; d >= 0; --d) {
      Level& level = this->levels_[d];
      for (std::size_t b = 0; b < level.blocks; ++b) {
        this->gather(this->parent(level).spread.data(), 1, 0, 1, this->parents(level, b),
                     &level.spread[b]);
        this->add_square(of(M_[d], this->size_, b), level.weight[b] * level.spread[b], totals);
      }
    }
  }

  // ---- leaves ----------------------------------------------------------------------------------

  // All nodes of a block of leaves; -sum_j p_j D_jk'W_jD_jl, where D_jk = x_k + zeta'(y_k + x_j
  // turn_k).
  void differentiate_leaves(std::size_t b, NestedTotals& totals) {
    Level& level = this->leaf();
    const int zs = this->zs(), ss = this->ss(), size = this->size_, columns = this->at_.columns;
    average_rows(b);
    const vd* rx = &average_[2 * zs * columns];
    const vd* y = of(level.y, zs * size, b);
    turn_.assign(static_cast<std::size_t>(zs) * size, vd{});
    add_turn(b, vd{} + 1.0, turn_.data());
    vd W[3][kMaxS] = {};
    for (int j = 0; j < K_; ++j) {
      const vd* S = &node_sums_[K_ + j * (zs + ss)];
      vd* F = this->new_squares(1, totals);
      std::copy_n(rx + j * columns, this->at_.p, F);
      std::fill(F + this->at_.p, F + size, vd{});
      for (int c = 0; c < zs; ++c)
        for (int k = 0; k < size; ++k)
          F[k] += S[c] * (y[c * size + k] + x(j) * turn_[c * size + k]);
      add_node(b, j, F, S);
      vd p = of(F_, K_, b)[j];
      for (int power = 0; power < 3; ++power, p *= x(j))
        for (int s = 0; s < ss; ++s) W[power][s] += p * S[zs + s];
    }
    add_curvature(b, W, totals);
  }

  void add_curvature(std::size_t b, const vd (*W)[kMaxS], NestedTotals& totals) {
    Level& level = this->leaf();
    const int zs = this->zs(), size = this->size_, columns = this->at_.columns, p = this->at_.p;
    const vd *y = of(level.y, zs * size, b), weight = level.weight[b];
    const auto [left, right] = this->new_cross(2 * zs, totals);
    std::copy_n(y, zs * size, left);
    std::copy_n(turn_.data(), zs * size, left + zs * size);
    for (int c = 0; c < 2 * zs; ++c) {
      vd* g = right + c * size;
      for (int k = 0; k < p; ++k) g[k] = -weight * average_[c * columns + k];
      std::fill(g + p, g + size, vd{});
    }
    for (int c = 0; c < zs; ++c)
      for (int e = 0; e < zs; ++e) {
        vd *g = right + c * size, *g1 = right + (zs + c) * size;
        const vd w0 = 0.5 * weight * W[0][pair(c, e)], w1 = weight * W[1][pair(c, e)];
        const vd w2 = 0.5 * weight * W[2][pair(c, e)];
        for (int k = 0; k < size; ++k) {
          g[k] -= w0 * y[e * size + k] + w1 * turn_[e * size + k];
          g1[k] -= w2 * turn_[e * size + k];
        }
      }
  }

  // With wbar = sum_j p_j w_j and w1 = sum_j p_j x_j w_j of every row: (wbar zeta | w1 zeta |
  // r_j)'[X, Z] in average_; -wbar waits in the weights of the rows.
  void average_rows(std::size_t b) {
    Level& level = this->leaf();
    const int zs = this->zs(), columns = this->at_.columns, height = 2 * zs + K_;
    const std::size_t first = this->leaf_block(b).tile[0];
    this->resize(average_, static_cast<std::size_t>(height) * columns);
    this->resize(left_nodes_, kChunkTiles * height);
    p_.assign(of(F_, K_, b), of(F_, K_, b) + K_);
    p_.push_back(level.weight[b]);
    const auto pass = [&, this](std::size_t tile, std::size_t tiles, const vd* p, vd* out) {
      for (std::size_t t0 = tile; t0 < tile + tiles; t0 += kChunkTiles) {
        const std::size_t count = std::min(kChunkTiles, tile + tiles - t0);
        for (std::size_t i = 0; i < count; ++i) {
          const std::size_t t = t0 + i;
          vd w{}, w1{}, *left = &left_nodes_[i * height];
          for (int j = 0; j < K_; ++j) {
            const vd pw = p[j] * w_nodes_[(t - first) * K_ + j];
            w += pw;
            w1 += pw * x(j);
            left[2 * zs + j] = r_nodes_[(t - first) * K_ + j];
          }
          for (int c = 0; c < zs; ++c) {
            left[c] = w * this->zeta(t, c);
            left[zs + c] = w1 * this->zeta(t, c);
          }
          this->rows_->weight[t - this->rows_->first] -= p[K_] * w;
        }
        add_cross(left_nodes_.data(), height, this->data_.x + t0 * columns, columns, columns, count,
                  out, columns, [](vd x) { return x; });
      }
    };
    this->over_rows(b, p_.data(), K_ + 1, average_.data(), height * columns, pass);
  }

  int K_;
  std::unique_ptr<NestedQuadrature> inner_;  // of the level below; leaves have none
  // fields of the roots: F_j, then p_j; value; gradient; total derivative by s; S_u
  std::vector<vd> F_, value_, gradient_, score_, S_u_;
  std::vector<Moments> moments_;
  std::vector<std::vector<vd>> M_;  // by level: M_k of a node against its root
  // the children's boundary, and sums over children
  std::vector<vd> config_shift_, config_y_, config_weight_;
  std::vector<vd> below_value_, below_gradient_, below_score_;
  std::vector<vd> followed_;  // s of the present modes
  // of one block of leaves
  std::vector<vd> node_sums_, r_nodes_, w_nodes_, average_, left_nodes_, p_, turn_;
};

}  // namespace multilogit

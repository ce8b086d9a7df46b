// The nodes of adaptive Gauss-Hermite quadrature of nested factors, and the values there
// (docs/mathematics.md, sections 7 and 8): of every tree l(s), with c_j, F_j and p_j of
// nested_quadrature.hpp.
//
// Every level has its own forest: of a node's subtree there is one set of modes for each node x_j
// of each ancestor. They are followed from node to node, du / ds = -X.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

#include "nested_hessian.hpp"

namespace multilogit {

// Self: the class that adds derivatives, of which the level below has one, too.
template <int Z, int Q, class Self>
class QuadratureNodes : public ForestHessian<Z, Q> {
  using Base = ForestHessian<Z, Q>;

 public:
  // Levels 0 .. top.
  QuadratureNodes(const NestedProblem& problem, int top)
      : Base(problem, top, true), rule_(problem.at.nodes[top]), K_(rule_.count()) {
    if (top > 0) inner_ = std::make_unique<Self>(problem, top - 1);
  }

 protected:
  using Base::kMaxQ;
  using Base::kMaxS;
  using Base::kMaxZ;
  using Base::of;
  using typename Base::Level;

  // Effects of the roots of these trees; pairs of them.
  int q() { return Base::q(this->top()); }
  int qq() { return packed_size(q()); }
  double x(int j, int a) { return rule_.nodes[j * q() + a]; }
  // R = L^-T, a <= c; TR.
  vd R(std::size_t b, int a, int c) { return of(this->top().Linv, q() * q(), b)[c * q() + a]; }
  vd TR(std::size_t b, int z, int c) {
    vd sum{};
    for (int a = 0; a <= c; ++a) sum += this->T(this->top(), z, a) * R(b, a, c);
    return sum;
  }
  // c_j
  void node(std::size_t b, int j, vd* c) {
    for (int a = 0; a < q(); ++a) {
      c[a] = this->top().u[b * q() + a];
      for (int e = a; e < q(); ++e) c[a] += R(b, a, e) * x(j, e);
    }
  }

  void open_nodes(std::size_t slot, SlotRows& rows) {
    this->open(slot, rows);
    const std::size_t n = this->top().blocks, zs = this->zs();
    this->resize(value_, n);
    this->resize(F_, n * K_);
    this->resize(followed_, n * zs);
    if (!inner_) return;
    config_shift_.open(n * kLanes, zs);
    below_value_.open(n * kLanes, 1);
  }

  // l(s) of every tree, for the boundary's shift s.
  bool integrate() {
    if (!this->find_modes()) return false;
    factor_modes();
    if (inner_ && !visit_nodes([&](int j) { return add_values(j, false); })) return false;
    for (std::size_t b = 0; b < this->top().blocks; ++b) {
      if (!inner_) leaf_values(b, false);
      mix(b);
    }
    return true;
  }

  // L of the roots at the modes.
  void factor_modes() {
    this->clear(&Level::scores);
    this->upwards([&](Level& level, std::size_t b) {
      vd sums[2 * kMaxZ + kMaxS + 2], *V = sums + this->zs();
      if (level.d == 0)
        this->score_rows(b, sums, V);
      else
        level.scores.read(b, sums);
      Elimination<kMaxZ, kMaxQ> f;
      f.factor(level.T.data(), this->zs(), Base::q(level), V);
      if (this->is_top(level)) return this->store_inverse(level, b, f);
      std::copy_n(f.V, this->ss(), V);
      std::fill_n(V + this->ss(), this->zs() + 2, vd{});
      this->parent(level).scores.add(sums, this->parents(level, b));
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
  void begin_at(QuadratureNodes& outer) {
    for (Level& level : this->levels_) {
      const std::size_t n = level.blocks * Base::q(level);
      std::copy_n(outer.levels_[level.d].u, n, level.u);
      std::copy_n(outer.levels_[level.d].X.here, n * this->zs(), level.X.here);
    }
    for (std::size_t b = 0; b < this->top().blocks; ++b) {
      vd shift[2 * kMaxZ + 1];
      outer.top().moves.read(this->parents(this->top(), b), shift);
      std::copy_n(shift, this->zs(), of(followed_, this->zs(), b));
    }
  }

  // Modes for the boundary's shift, predicted from those for the shift before: du / ds = -X.
  void follow() {
    const int zs = this->zs();
    this->downwards([&](Level& level, std::size_t b) {
      const int q_d = Base::q(level);
      vd change[2 * kMaxZ + 1], du[kMaxQ];  // s, as far as it has changed
      if (this->is_top(level)) {
        this->boundary_.shift->read(this->parents(level, b), change);
        for (int c = 0; c < zs; ++c) {
          const vd s = change[c];
          change[c] -= of(followed_, zs, b)[c];
          of(followed_, zs, b)[c] = s;
        }
      } else {
        this->parent(level).moves.read(this->parents(level, b), change);
      }
      const vd* X = of(level.X, q_d * zs, b);
      for (int a = 0; a < q_d; ++a) {
        du[a] = vd{};
        for (int c = 0; c < zs; ++c) du[a] -= X[a * zs + c] * change[c];
        level.u[b * q_d + a] += du[a];
      }
      if (level.d == 0) return;
      this->add_shift(level, du, change);
      std::fill_n(change + zs, zs + 1, vd{});
      level.moves.write(b, change);
    });
  }

  // The children's boundary at node j.
  void set_shift(int j) {
    const int zs = this->zs();
    Level& level = this->top();
    for (std::size_t b = 0; b < level.blocks; ++b) {
      vd shift[kMaxZ];
      for (int c = 0; c < zs; ++c) {
        shift[c] = of(level.shift, zs, b)[c];
        for (int a = 0; a < q(); ++a) shift[c] += TR(b, c, a) * x(j, a);
      }
      config_shift_.write(b, shift);
    }
    inner_->boundary_ = {&config_shift_, nullptr, nullptr};
  }

  // The modes at node j of the forest above, for later.
  void keep_modes(int j) {
    if (known_modes_.size() <= static_cast<std::size_t>(j)) known_modes_.resize(j + 1);
    std::vector<vd>& known = known_modes_[j];
    known.clear();
    for (const Level& level : this->levels_)
      known.insert(known.end(), level.u, level.u + level.blocks * Base::q(level));
  }
  void return_to_modes(int j) {
    const vd* known = known_modes_[j].data();
    for (Level& level : this->levels_) {
      const std::size_t n = level.blocks * Base::q(level);
      std::copy_n(known, n, level.u);
      known += n;
    }
  }

  // F_j of all trees, from their children's values; `keep` the children's modes.
  bool add_values(int j, bool keep) {
    set_shift(j);
    inner_->follow();
    if (!inner_->integrate()) return false;
    if (keep) inner_->keep_modes(j);
    below_value_.clear();
    Level& children = inner_->top();
    for (std::size_t b = 0; b < children.blocks; ++b)
      below_value_.add(&inner_->value_[b], this->parents(children, b));
    for (std::size_t b = 0; b < this->top().blocks; ++b) {
      vd below;
      below_value_.read(b, &below);
      of(F_, K_, b)[j] = below + prior(b, j);
    }
    return true;
  }

  // -|c_j|^2 / 2 + |x_j|^2 / 2 + log omega_j
  vd prior(std::size_t b, int j) {
    vd c[kMaxQ], sum = splat(rule_.log_weights[j]);
    node(b, j, c);
    for (int a = 0; a < q(); ++a) sum += 0.5 * (x(j, a) * x(j, a) - c[a] * c[a]);
    return sum;
  }

  // F becomes p.
  void mix(std::size_t b) {
    vd *F = of(F_, K_, b), top = F[0], total{}, scale = R(b, 0, 0);
    for (int j = 1; j < K_; ++j) top = select(F[j] > top, F[j], top);
    for (int j = 0; j < K_; ++j) {
      F[j] = exp_negative(F[j] - top);
      total += F[j];
    }
    for (int j = 0; j < K_; ++j) F[j] = F[j] / total;
    for (int a = 1; a < q(); ++a) scale *= R(b, a, a);
    value_[b] = top + logarithm(total) + logarithm(scale);
  }

  LeafNodes leaf_nodes() { return {rule_, q()}; }

  // F_j of leaves; with `keep` also what `average` needs of every row, and in node_sums_ the sums
  // S_j = sum r_j zeta and sum w_j zeta zeta'.
  void leaf_values(std::size_t b, bool keep) {
    const int zs = this->zs();
    this->resize(node_sums_, static_cast<std::size_t>(K_) * (1 + zs + this->ss()));
    vd step[kMaxZ * kMaxQ];
    for (int c = 0; c < zs; ++c)
      for (int a = 0; a < q(); ++a) step[c * q() + a] = TR(b, c, a);
    this->rows_->node_values(this->leaf_block(b), leaf_nodes(), of(this->leaf().shift, zs, b), step,
                             keep, node_sums_.data());
    for (int j = 0; j < K_; ++j) of(F_, K_, b)[j] = node_sums_[j] + prior(b, j);
  }

  const NodeRule& rule_;
  int K_;
  std::unique_ptr<Self> inner_;  // of the level below; leaves have none
  std::vector<vd> F_, value_;    // of the roots: F_j, then p_j; l(s)
  Messages config_shift_;        // the children's boundary
  std::vector<vd> node_sums_;    // of one block of leaves

 private:
  Messages below_value_;                      // sum of the children's values
  std::vector<vd> followed_;                  // s of the present modes
  std::vector<std::vector<vd>> known_modes_;  // by node of the forest above
};

}  // namespace multilogit

// The conditional modes of the trees of a slot: u^ = argmax f(u), f = sum l_i - u'u / 2
// (docs/mathematics.md, section 9).
//
// A tree's Newton step is found by elimination, from the leaves to its root, of the gradients
// T'R - u, with R = sum r zeta over the rows below a node, and by substitution from there:
//
//   n = T'R - u - T'(sum of the children's reduced),   reduced = sum of the children's + X'n
//   step = H^-1 n - X (T step of the ancestors),       decrement = sum over nodes of n'H^-1 n
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "nested_elimination.hpp"
#include "nested_forest.hpp"

namespace multilogit {

template <int Z, int Q>
class ForestModes : public Forest<Z, Q> {
  using Base = Forest<Z, Q>;

 public:
  using Base::Base;
  using typename Base::Level;

  // Inner iterations since they were last asked for.
  std::size_t take_iterations() { return std::exchange(inner_iterations_, 0); }

 protected:
  using Base::kMaxQ;
  using Base::kMaxS;
  using Base::kMaxZ;
  using Base::of;

  // Newton's method, damped tree by tree by |gradient| alone: along the Newton direction
  // |gradient|^2 falls at rate 2, so halving finds an acceptable step without a logarithm. Where
  // the decrement is small, one more step is taken and not checked. Starts from the present u.
  bool find_modes() {
    open_trees();
    sweep(kStay);
    accept();
    for (int iteration = 0; iteration < kMaxInner; ++iteration) {
      ++inner_iterations_;
      if (!choose_steps()) {
        this->downwards([&](Level& level, std::size_t b) { move(level, b, kTurn); });
        return true;
      }
      sweep(kTurn);
      for (int halving = 0; shorten_steps(); ++halving) {
        if (halving == kMaxHalvings) return false;
        sweep(kShorten);
      }
      accept();
    }
    return false;
  }

  // The shift of a block of leaves and their ancestors.
  void find_shift(std::size_t b) {
    Level& level = this->leaf();
    vd above[2 * kMaxZ + 1];
    ask_above(level, b, above);
    this->add_shift(level, level.u + b * this->q(level), above);
    std::copy_n(above, this->zs(), of(level.shift, this->zs(), b));
  }

  // R and V of a block of leaves at the present shift.
  void score_rows(std::size_t b, vd* R, vd* V) {
    this->rows_->score(this->leaf_block(b), of(this->leaf().shift, this->zs(), b), R, V);
  }

 private:
  static constexpr int kMaxInner = 100;
  static constexpr int kMaxHalvings = 60;

  // A block of roots, that is of trees: how far they go along the step; |gradient|^2 and
  // decrement where they came from and where they are; whether they have not arrived.
  struct Trees {
    vd length{}, norm{}, norm_there{}, decrement{}, decrement_there{};
    vl active{};
  };

  // How nodes move: not at all, to the first trial along a new step, to another one along the same.
  enum Move { kStay, kTurn, kShorten };

  void open_trees() {
    const Level& top = this->top();
    trees_.assign(top.all_blocks, Trees{});
    const std::int32_t* node = &this->layout_.levels[this->top_].node[top.all_first * kLanes];
    for (std::size_t r = 0; r < top.all_blocks * kLanes; ++r)
      if (node[r] != kNoNode) trees_[r / kLanes].active[r % kLanes] = -1;
  }

  // Full steps; those of trees with a small decrement are their last. Whether any is to be checked.
  bool choose_steps() {
    constexpr double kSmall = 1e-13;
    vl pending{};
    for (Trees& trees : trees_) {
      trees.length = select(trees.active, vd{} + 1.0, vd{});
      trees.active &= ~(trees.decrement <= kSmall);
      pending |= trees.active;
    }
    return any(pending);
  }

  // Halves the steps at whose ends |gradient| has not fallen enough; whether there are any.
  bool shorten_steps() {
    constexpr double kSufficient = 1e-4;
    vl rejected{};
    for (Trees& trees : trees_) {
      const vd most = (1.0 - 2.0 * kSufficient * trees.length) * trees.norm;
      const vl here = trees.active & ~(trees.norm_there <= most);
      trees.length = select(here, 0.5 * trees.length, trees.length);
      rejected |= here;
    }
    return any(rejected);
  }

  void accept() {
    for (Trees& trees : trees_) {
      trees.norm = trees.norm_there;
      trees.decrement = trees.decrement_there;
    }
  }

  // Moves all nodes, and eliminates the gradients there.
  void sweep(Move how) {
    this->downwards([&](Level& level, std::size_t b) { move(level, b, how); }, 1);
    this->clear(&Level::scores);
    this->upwards([&](Level& level, std::size_t b) {
      vd sums[2 * kMaxZ + kMaxS + 2];
      if (level.d == 0) {
        const vd length = move(level, b, how);
        if (how != kStay && !any(length != 0.0)) return;
        score_rows(b, sums, sums + this->zs());
        std::fill_n(sums + this->zs() + this->ss(), this->zs() + 2, vd{});
      } else {
        level.scores.read(b, sums);
      }
      eliminate_gradient(level, b, sums);
    });
  }

  // What the ancestors tell a node: their shift, T step, and the tree's length.
  void ask_above(Level& level, std::size_t b, vd* above) {
    const int zs = this->zs();
    if (!this->is_top(level)) return this->parent(level).moves.read(this->parents(level, b), above);
    std::fill_n(above, 2 * zs, vd{});
    if (this->boundary_.shift != nullptr)
      this->boundary_.shift->read(this->parents(level, b), above);
    above[2 * zs] = trees_[b].length;
  }

  // u = from + length step, and the shift that goes with it and that of the ancestors. Returns the
  // length.
  vd move(Level& level, std::size_t b, Move how) {
    const int q_d = this->q(level), zs = this->zs();
    vd above[2 * kMaxZ + 1];
    ask_above(level, b, above);
    vd *turn = above + zs, length = above[2 * zs];
    vd *u = level.u + b * q_d, *from = of(level.from, q_d, b), *step = of(level.step, q_d, b);
    if (how == kTurn) {
      const vd *solved = of(level.solved, q_d, b), *X = of(level.X, q_d * zs, b);
      for (int a = 0; a < q_d; ++a) {
        from[a] = u[a];
        step[a] = solved[a];
        for (int c = 0; c < zs; ++c) step[a] -= X[a * zs + c] * turn[c];
      }
    }
    if (how != kStay)
      for (int a = 0; a < q_d; ++a)
        u[a] = select(length == 0.0, from[a], from[a] + length * step[a]);
    this->add_shift(level, u, above);
    std::copy_n(above, zs, of(level.shift, zs, b));
    if (level.d == 0) return length;
    this->add_shift(level, step, turn);
    level.moves.write(b, above);
    return length;
  }

  // From the sums of the children (R | V | reduced | |gradient|^2 | decrement) to those for the
  // parent.
  void eliminate_gradient(Level& level, std::size_t b, vd* sums) {
    const int q_d = this->q(level), zs = this->zs(), ss = this->ss();
    vd *R = sums, *V = sums + zs, *reduced = V + ss, *norm = reduced + zs, *decrement = norm + 1;
    Elimination<kMaxZ, kMaxQ> f;
    f.factor(level.T.data(), zs, q_d, V);
    const vd* u = level.u + b * q_d;
    vd n[kMaxQ], *solved = of(level.solved, q_d, b);
    for (int a = 0; a < q_d; ++a) {
      vd gradient = -u[a], before{};
      for (int c = 0; c < zs; ++c) {
        gradient += this->T(level, c, a) * R[c];
        before += this->T(level, c, a) * reduced[c];
      }
      *norm += gradient * gradient;
      n[a] = solved[a] = gradient - before;
    }
    f.H.solve(solved, q_d);
    for (int a = 0; a < q_d; ++a) {
      *decrement += n[a] * solved[a];
      for (int c = 0; c < zs; ++c) reduced[c] += f.X[a * zs + c] * n[a];
    }
    std::copy_n(f.X, q_d * zs, of(level.X, q_d * zs, b));
    if (this->is_top(level)) {
      trees_[b].norm_there = *norm;
      trees_[b].decrement_there = *decrement;
      return;
    }
    std::copy_n(f.V, ss, V);
    this->parent(level).scores.add(sums, this->parents(level, b));
  }

  std::size_t inner_iterations_ = 0;
  std::vector<Trees> trees_;
};

}  // namespace multilogit

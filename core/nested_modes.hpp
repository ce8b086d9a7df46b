// The conditional modes of the trees of a slot: u^ = argmax f(u), f = sum l_i - u'u / 2.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "nested_forest.hpp"

namespace multilogit {

template <int Z, int Q>
class ForestModes : public Forest<Z, Q> {
  using Base = Forest<Z, Q>;

 public:
  using Base::Base;
  using typename Base::Level;

  std::size_t inner_iterations() const { return inner_iterations_; }

 protected:
  using Base::kMaxQ;
  using Base::kMaxZ;
  using Base::of;

  // Newton's method, damped tree by tree by |gradient| alone: along the Newton direction
  // |gradient|^2 falls at rate 2, so halving finds an acceptable step without a logarithm. Where
  // the decrement is small, one more step is taken and not checked. Starts from the present u.
  bool find_modes() {
    constexpr double kSmall = 1e-13;
    constexpr double kSufficient = 1e-4;
    open_trees();
    score();
    norm_ = norm_there_;
    for (int iteration = 0; iteration < kMaxInner; ++iteration) {
      ++inner_iterations_;
      find_direction();
      bool pending = choose_steps(kSmall);
      for (int halving = 0; pending; ++halving) {
        if (halving == kMaxHalvings) return false;
        score();
        pending = false;
        for (std::size_t r = 0; r < state_.size(); ++r) {
          if (state_[r] != kPending) continue;
          if (norm_there_[r] <= (1.0 - 2.0 * kSufficient * length_[r]) * norm_[r]) {
            state_[r] = kAccepted;
          } else {
            length_[r] *= 0.5;
            pending = true;
          }
        }
      }
      if (accept()) return true;
    }
    return false;
  }

  // R and V of a block of leaves.
  void score_rows(std::size_t b) {
    Level& level = this->leaf();
    const int zs = this->zs(), ss = this->ss();
    this->rows_->score(this->leaf_block(b), of(level.shift, zs, b), of(level.R, zs, b),
                       of(level.V, ss, b));
  }

 private:
  enum State : char { kDone, kPending, kAccepted };
  static constexpr int kMaxInner = 100;
  static constexpr int kMaxHalvings = 60;

  void open_trees() {
    const std::size_t trees = this->top().all_blocks * kLanes;
    for (auto* array : {&length_, &norm_, &norm_there_, &decrement_}) array->assign(trees, 0.0);
    state_.assign(trees, kDone);
    const std::int32_t* node =
        &this->layout_.levels[this->top_].node[this->top().all_first * kLanes];
    for (std::size_t r = 0; r < trees; ++r)
      if (node[r] != kNoNode) state_[r] = kPending;
  }

  // Full steps first; whether any of them is to be checked.
  bool choose_steps(double small) {
    bool pending = false;
    for (std::size_t r = 0; r < state_.size(); ++r) {
      length_[r] = state_[r] == kDone ? 0.0 : 1.0;
      if (state_[r] != kDone && decrement_[r] <= small) state_[r] = kDone;
      pending = pending || state_[r] == kPending;
    }
    return pending;
  }

  // Moves to the trial modes; true when all trees are done.
  bool accept() {
    bool done = true;
    this->downwards([&](Level& level, std::size_t b) {
      move(level, b);
      std::copy_n(of(level.trial, this->q(level), b), this->q(level), level.u + b * this->q(level));
    });
    for (std::size_t r = 0; r < state_.size(); ++r) {
      if (state_[r] != kAccepted) continue;
      norm_[r] = norm_there_[r];
      state_[r] = kPending;
      done = false;
    }
    return done;
  }

  // trial = u + length step, and the shift that goes with it and that of the ancestors.
  void move(Level& level, std::size_t b) {
    const int q_d = this->q(level);
    const vd length = by_root(length_, this->roots(level, b));
    vd* trial = of(level.trial, q_d, b);
    const vd *step = of(level.step, q_d, b), *u = level.u + b * q_d;
    for (int a = 0; a < q_d; ++a) trial[a] = select(length == 0.0, u[a], u[a] + length * step[a]);
    this->pass_shift(level, b, trial, &Level::shift, this->boundary_.shift);
  }

  static vd by_root(const std::vector<double>& values, const std::int32_t* root) {
    vd out;
    for (int lane = 0; lane < kLanes; ++lane) out[lane] = values[root[lane]];
    return out;
  }
  static void add_by_root(vd x, const std::int32_t* root, std::vector<double>& values) {
    for (int lane = 0; lane < kLanes; ++lane) values[root[lane]] += x[lane];
  }

  // Gradients T'R - u at the trial modes and their norms; R and V of the trees that are pending.
  void score() {
    this->downwards([&](Level& level, std::size_t b) { move(level, b); }, 1);
    for (Level& level : this->levels_)
      if (level.d > 0) this->clear(level.R);
    std::fill(norm_there_.begin(), norm_there_.end(), 0.0);
    this->upwards([&](Level& level, std::size_t b) {
      if (level.d == 0) {
        move(level, b);
        if (this->windows_ > 1 || is_pending(this->roots(level, b))) score_rows(b);
      }
      const int q_d = this->q(level), zs = this->zs();
      const vd *R = of(level.R, zs, b), *trial = of(level.trial, q_d, b);
      vd *gradient = of(level.gradient, q_d, b), norm{};
      for (int a = 0; a < q_d; ++a) {
        gradient[a] = -trial[a];
        for (int c = 0; c < zs; ++c) gradient[a] += this->T(level, c, a) * R[c];
        norm += gradient[a] * gradient[a];
      }
      add_by_root(norm, this->roots(level, b), norm_there_);
      if (!this->is_top(level))
        this->scatter(R, zs, 0, zs, this->parents(level, b), this->parent(level).R.data());
    });
  }

  bool is_pending(const std::int32_t* root) const {
    for (int lane = 0; lane < kLanes; ++lane)
      if (state_[root[lane]] == kPending) return true;
    return false;
  }

  // H^-1 gradient by elimination and substitution; decrements.
  void find_direction() {
    for (Level& level : this->levels_) {
      if (level.d == 0) continue;
      this->clear(level.V);
      this->clear(level.reduced);
    }
    std::fill(decrement_.begin(), decrement_.end(), 0.0);
    this->upwards([&](Level& level, std::size_t b) { eliminate_gradient(level, b, true); });
    this->downwards([&](Level& level, std::size_t b) {
      if (level.d == 0 && this->windows_ > 1) eliminate_gradient(level, b, false);
      substitute(level, b);
    });
  }

  // The parents get their share of it where `pass` says so.
  void eliminate_gradient(Level& level, std::size_t b, bool pass) {
    const int q_d = this->q(level), zs = this->zs(), ss = this->ss();
    typename Base::Factor f;
    this->factor(level, of(level.V, ss, b), f);
    vd *n = of(level.solved, q_d, b), *reduced = of(level.reduced, zs, b);
    const vd* gradient = of(level.gradient, q_d, b);
    if (level.d == 0) std::fill_n(reduced, zs, vd{});
    for (int a = 0; a < q_d; ++a) {
      n[a] = gradient[a];
      for (int c = 0; c < zs; ++c) n[a] -= this->T(level, c, a) * reduced[c];
    }
    for (int c = 0; c < zs; ++c)
      for (int a = 0; a < q_d; ++a) reduced[c] += f.X[a * zs + c] * n[a];
    f.H.solve(n, q_d);
    std::copy_n(f.X, q_d * zs, of(level.X, q_d * zs, b));
    if (this->is_top(level) || !pass) return;
    Level& parent = this->parent(level);
    this->scatter(f.V, ss, 0, ss, this->parents(level, b), parent.V.here);
    this->scatter(reduced, zs, 0, zs, this->parents(level, b), parent.reduced.data());
  }

  // step = H^-1 n - X (T step of the ancestors)
  void substitute(Level& level, std::size_t b) {
    const int q_d = this->q(level), zs = this->zs();
    vd above[kMaxZ], decrement{};
    this->gather_above(level, b, &Level::turn, nullptr, zs, above);
    vd* step = of(level.step, q_d, b);
    const vd *solved = of(level.solved, q_d, b), *X = of(level.X, q_d * zs, b);
    const vd* gradient = of(level.gradient, q_d, b);
    for (int a = 0; a < q_d; ++a) {
      step[a] = solved[a];
      for (int c = 0; c < zs; ++c) step[a] -= X[a * zs + c] * above[c];
      decrement += step[a] * gradient[a];
    }
    add_by_root(decrement, this->roots(level, b), decrement_);
    this->pass_shift(level, b, step, &Level::turn, nullptr);
  }

  std::size_t inner_iterations_ = 0;
  std::vector<double> length_, norm_, norm_there_, decrement_;  // per tree
  std::vector<State> state_;
};

}  // namespace multilogit

// The rows of a slot's leaves: what trees ask of them, whatever the response.
//
// With s = T u, the shift of a leaf, eta = eta0 + zeta's, and for a row with score r, weights w and
// third and fourth derivatives w3, w4 (docs/mathematics.md, section 2; with several logits they are
// a vector, a matrix and so on, section 16).
// All answers are for a block of leaves, one leaf per lane.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

#include "gram.hpp"
#include "nested_layout.hpp"
#include "nested_point.hpp"
#include "packed.hpp"
#include "simd.hpp"
#include "sum_of_logs.hpp"
#include "unit_rows.hpp"

namespace multilogit {

// The data in tiles.
struct NestedTiles {
  const vd* x;         // tiles x columns
  const vd* y;         // tiles x logits: successes, or counts of the categories but the baseline
  const vd* n;         // trials
  const vd* offset;    // null when there is none
  bool single_trials;  // every n is 0 or 1
};

// Everything that the forests of one evaluation look at.
struct NestedProblem {
  const NestedPoint& at;
  const NestedLayout& layout;
  NestedTiles data;
};

// Rows of a slot: eta0 = X beta + o, and the weights of the products X'diag(weight)X.
struct SlotRows {
  std::size_t first = 0, tiles = 0;
  std::vector<vd> eta0;    // tiles x logits
  std::vector<vd> weight;  // pairs of logits (packed) x tiles
};

// Nodes x_j at which the effects of leaves are integrated (nested_quadrature.hpp).
struct LeafNodes {
  const NodeRule& rule;
  int effects;
};

class LeafRows {
 public:
  // `alone`: nobody else adds to the weights of the slot's rows.
  LeafRows(const NestedProblem& problem, bool alone)
      : at_(problem.at), data_(problem.data), alone_(alone) {}
  virtual ~LeafRows() = default;

  virtual void open(SlotRows& rows) = 0;

  // R = sum r zeta, V = sum w zeta zeta' (packed) at that shift.
  virtual void score(const LeafBlock& block, const vd* shift, vd* R, vd* V) = 0;

  // The same; keeps the derivatives of every row, and returns the sum of l. cross: for every zeta,
  // then for every pair of them, the sum of w zeta | w3 zeta zeta' times e_c x_k, `width` numbers.
  virtual vd differentiate(const LeafBlock& block, const vd* shift, vd* R, vd* cross,
                           SumOfLogs& logs) = 0;

  // R and cross once more.
  virtual void sum_again(const LeafBlock& block, vd* R, vd* cross) = 0;

  // sigma = sum w3 h zeta, h = zeta'K zeta; K is packed, its elements off the diagonal doubled
  // where they are of one logit (each stands for two).
  virtual void third(const LeafBlock& block, const vd* K, vd* sigma) = 0;

  // omega = w4 h - w3 zeta't: `weight` times omega is added to the weights of the rows, and
  // omega_z: for every zeta the sum of omega zeta times e_c x_k.
  virtual void weigh(const LeafBlock& block, const vd* K, const vd* t, vd weight, vd* omega_z) = 0;

  // sum l of every node, at shift + step x_j (step: zeta x effects); with `keep` also r and w of
  // every row and node, and after the values, for every node, sum r zeta and sum w zeta zeta'.
  virtual void node_values(const LeafBlock& block, const LeafNodes& nodes, const vd* shift,
                           const vd* step, bool keep, vd* out) = 0;

  // With wbar = sum_j p_j w_j: -weight wbar is added to the weights of the rows. average, rows of
  // `width` numbers: for every zeta sum wbar zeta e_c x_k; for every effect a and zeta the same
  // with sum_j p_j x_ja w_j; for every node sum r_j e_c x_k.
  virtual void average(const LeafBlock& block, const LeafNodes& nodes, const vd* p, vd weight,
                       vd* average) = 0;

  // Adds X'r.
  void add_scores(double* out) const;

 protected:
  vd column(std::size_t t, int k) const { return data_.x[t * at_.columns + k]; }
  std::size_t row(std::size_t t) const { return t - rows_->first; }

  // n_t log(1 + x)
  template <class Log1p>
  void add_log(std::size_t t, vd x, const Log1p& log1p, SumOfLogs& logs) const {
    logs.add(data_.n[t], x, data_.single_trials, log1p);
  }

  static void resize(std::vector<vd>& array, std::size_t size) {
    if (array.size() < size) array.resize(size);
  }

  // Row sums of a block of leaves, one leaf per lane: pass(tile, tiles, in, out) adds to `out`,
  // where `in` has the leaf's numbers, or those of all leaves in whose lanes the rows lie.
  template <class Pass>
  void over_rows(const LeafBlock& block, const vd* in, int n_in, vd* out, int n_out,
                 const Pass& pass) {
    std::fill(out, out + n_out, vd{});
    if (block.groups_in_lanes) {
      pass(block.tile[0], block.tile[1] - block.tile[0], in, out);
      return;
    }
    resize(one_, n_in);
    resize(part_, n_out);
    for (int lane = 0; lane < block.leaves; ++lane) {
      for (int i = 0; i < n_in; ++i) one_[i] = splat(in[i][lane]);
      std::fill(part_.begin(), part_.begin() + n_out, vd{});
      pass(block.tile[lane], block.tile[lane + 1] - block.tile[lane], one_.data(), part_.data());
      for (int i = 0; i < n_out; ++i) out[i][lane] = sum(part_[i]);
    }
  }

  // out += left'[X, Z], where fill(tile, left) gives the `height` numbers of a tile.
  template <class Fill>
  void add_products(std::size_t tile, std::size_t tiles, int height, vd* out, const Fill& fill) {
    constexpr std::size_t kRegisters = 4096;  // of the left side, so that it stays in the cache
    const std::size_t most = std::clamp<std::size_t>(kRegisters / height, 4, kChunkTiles);
    resize(left_, most * height);
    for (std::size_t t0 = tile; t0 < tile + tiles; t0 += most) {
      const std::size_t count = std::min(most, tile + tiles - t0);
      for (std::size_t i = 0; i < count; ++i) fill(t0 + i, &left_[i * height]);
      multiply_left(t0, count, height, out);
    }
  }

  // out += left'[X, Z] of tiles that are processed together.
  void multiply_left(std::size_t tile, std::size_t tiles, int height, vd* out) const;

  const NestedPoint& at_;
  NestedTiles data_;
  bool alone_;
  SlotRows* rows_ = nullptr;
  std::vector<vd> r_;  // logits x tiles
  std::vector<vd> one_, part_, left_, out_, in_;
  std::vector<SumOfLogs> node_logs_;
};

// The one that the response asks for.
std::unique_ptr<LeafRows> make_leaf_rows(const NestedProblem& problem, bool alone);

}  // namespace multilogit

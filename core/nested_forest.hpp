// The trees of one slot of a nested model: what is kept of their nodes, what passes between levels,
// and visits to all nodes from the leaves to the roots or the other way (docs/mathematics.md,
// section 8). What is computed there stands in
//
//   nested_elimination.hpp          H of a node, and what is left for its parent
//   nested_modes.hpp                the conditional modes u^
//   nested_mode_derivatives.hpp     u_k = du^ / dpsi_k; the inverse of L on a path
//   nested_factor_derivatives.hpp   M_k = L^-1 H_k L^-T
//   nested_hessian.hpp              the second derivatives of u^ and of log|H|
//   nested_laplace.hpp              the log marginal likelihood, by Laplace's approximation
//   nested_quadrature_nodes.hpp     by quadrature: the nodes, and the values there
//   nested_quadrature.hpp           by quadrature: the derivatives
//
// The levels of a forest are 0 .. top; where top is not the last level, the shift that the levels
// above make is given, and every node of level `top` is the root of a tree of its own.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "nested_layout.hpp"
#include "nested_messages.hpp"
#include "nested_point.hpp"
#include "nested_rows.hpp"
#include "packed.hpp"
#include "simd.hpp"

namespace multilogit {

// Sums over the trees of a slot.
struct NestedTotals {
  vd value{};
  std::vector<vd> gradient;     // p + m; without `product`
  std::vector<vd> pairs;        // m x (p + m): X_ik of theta_i and any k; of two thetas X_ik + X_ki
  std::vector<double> hessian;  // (p + m)^2, upper triangle; without pairs, cross, gram
  std::vector<double> cross;    // (p + m)^2: to be added together with its transpose
  std::vector<double> gram;     // pairs of logits (packed) x columns of X squared, upper triangles
  std::vector<double> product;  // p

  explicit NestedTotals(const NestedPoint& at)
      : gradient(at.size()),
        pairs(static_cast<std::size_t>(at.m()) * at.size()),
        hessian(static_cast<std::size_t>(at.size()) * at.size()),
        cross(hessian.size()),
        gram(static_cast<std::size_t>(packed_size(at.logits)) * at.x_columns * at.x_columns),
        product(at.p) {}

  // hessian += sum_i weight_i x_i x_i', cross += sum_i left_i right_i', lanes added up; the
  // vectors, `count` of them, are p + m long and one after the other.
  void add_squares(const vd* x, const vd* weight, std::size_t count);
  void add_crosses(const vd* left, const vd* right, std::size_t count);
};

// What the levels above a forest tell its roots; null: nothing is there.
struct Boundary {
  const Messages* shift = nullptr;   // s
  const Messages* y = nullptr;       // ds / dpsi_k
  const Messages* weight = nullptr;  // a factor of everything that is added up
};

// Z: distinct columns of Z, Q: effects per node at every level; 0: any number.
template <int Z, int Q>
class Forest {
 public:
  static constexpr int kMaxZ = Z > 0 ? Z : kMaxPath;
  static constexpr int kMaxS = packed_size(kMaxZ);
  static constexpr int kMaxQ = Q > 0 ? Q : kMaxEffects;

  // A field of all nodes of a level, seen from the first block of the window.
  struct Kept {
    std::vector<vd> all;
    vd* here = nullptr;
  };

  // theta_i = Lambda[a, b] as parameter k: zeta is that of effect a, `effect` is b, counted from
  // the first effect of the level that asks.
  struct Theta {
    int k, zeta, effect;
  };

  // The nodes of one level in the present slot. A field holds, block by block, its components one
  // after the other, a vector register each. All fields but those that are `Kept` belong to the
  // blocks of the window, which are all blocks but where there are very many leaves.
  struct Level {
    int d, q_d, above, path;            // own effects, those of the ancestors in the forest, both
    int own;                            // parameters k < own: beta, thetas up to this level
    std::vector<double> T;              // distinct columns x q_d
    std::vector<Theta> thetas;          // of this level, then of its ancestors in the forest
    int own_thetas;                     // how many of this level
    std::size_t blocks = 0, first = 0;  // of the window
    std::size_t all_blocks = 0, all_first = 0;
    const std::int32_t *parent = nullptr, *all_parents = nullptr;

    vd *u = nullptr, *all_u = nullptr;
    vd* derivatives = nullptr;      // q_d x parameters: u_k
    vd* all_derivatives = nullptr;  // null: of the window alone
    std::vector<vd> own_u, own_derivatives;
    Kept from, step;        // of u
    Kept solved, X;         // H^-1 n, H^-1 T'V
    std::vector<vd> shift;  // T u of the node and its ancestors
    std::vector<vd> sums;   // V | R | raw | pw: see SumsBelow
    std::vector<vd> J, Linv;
    std::vector<vd> path_field;  // y | P | B: see PathField
    Kept sigma;                  // right side of v
    std::vector<vd> v;           // of the path
    std::vector<vd> turn;        // T v of the node and its ancestors
    std::vector<vd> rest;        // sum (w3 h - w A v) zeta
    std::vector<vd> weight;      // of the node's tree: factor of its sums
    std::vector<vd> spread;      // quadrature: N, packed, of the node's root
    std::vector<vd> cross;       // leaves: (w zeta | w3 zeta zeta') x width

    // What the children of these nodes add up for them, and what they hand to their children, sweep
    // by sweep.
    Messages scores, moves;      // modes: R | V- | reduced | norm | decrement; s | T step | length
    Messages eliminated, paths;  // derivatives of modes: as sums; as path_field
    Messages factors;            // derivatives of factors: dV-
    Messages curvatures, turns;  // second derivatives: J'sigma; T v | v
    Messages rests;              // likewise

    Level(const NestedPoint& at, int level, int top)
        : d(level),
          q_d(at.effects(level)),
          above(at.first[top + 1] - at.first[level + 1]),
          path(at.first[top + 1] - at.first[level]),
          own(at.below(level + 1)),
          own_thetas(at.theta_first[level + 1] - at.theta_first[level]) {
      for (int i = at.theta_first[d]; i < at.theta_first[top + 1]; ++i)
        thetas.push_back(
            {at.p + i, at.effect_z[at.theta_row[i]], at.theta_column[i] - at.first[d]});
    }
  };

  // `alone`: nobody else adds to the weights of the rows.
  Forest(const NestedProblem& problem, int top, bool alone)
      : at_(problem.at),
        layout_(problem.layout),
        top_(top),
        size_(problem.at.size()),
        rows_(make_leaf_rows(problem, alone)) {
    for (int d = 0; d <= top; ++d) levels_.emplace_back(at_, d, top);
  }

 protected:
  int q(const Level& level) const { return Q > 0 ? Q : level.q_d; }
  int zs() const { return Z > 0 ? Z : at_.zs(); }
  int ss() const { return packed_size(zs()); }
  // Of a level.
  int most_effects() const {
    int most = 0;
    for (const Level& level : levels_) most = std::max(most, q(level));
    return most;
  }
  Level& leaf() { return levels_.front(); }
  Level& top() { return levels_.back(); }
  bool is_top(const Level& level) const { return level.d == top_; }
  Level& parent(const Level& level) { return levels_[level.d + 1]; }

  // T of a level's own effects: distinct column c, effect a.
  double T(const Level& level, int c, int a) const { return level.T[c * q(level) + a]; }

  // ---- fields ----------------------------------------------------------------------------------

  static vd* of(std::vector<vd>& field, int components, std::size_t block) {
    return field.data() + block * components;
  }
  static vd* of(Kept& field, int components, std::size_t block) {
    return field.here + block * components;
  }

  // Sums over the rows below a block of nodes: V = sum w zeta zeta' with the descendants' effects
  // eliminated; R = sum r zeta; raw = sum w zeta zeta'; for nodes with children also pw = sum w
  // zeta P_k, eliminated likewise, distinct columns x parameters.
  int count_sums(const Level& level) const {
    return 2 * ss() + zs() + (level.d > 0 ? zs() * size_ : 0);
  }
  vd* V(Level& level, std::size_t b) { return of(level.sums, count_sums(level), b); }
  vd* R(Level& level, std::size_t b) { return V(level, b) + ss(); }
  vd* raw(Level& level, std::size_t b) { return R(level, b) + zs(); }
  vd* pw(Level& level, std::size_t b) { return raw(level, b) + ss(); }

  // Of a block: y = ds / dpsi_k, distinct columns x parameters, where s is the shift of the node
  // and its ancestors; P and B of nested_mode_derivatives.hpp.
  int count_path(const Level& level) const {
    return zs() * size_ + level.path * (level.path + zs());
  }
  vd* y(Level& level, std::size_t b) { return of(level.path_field, count_path(level), b); }
  vd* P(Level& level, std::size_t b) { return y(level, b) + zs() * size_; }
  vd* B(Level& level, std::size_t b) { return P(level, b) + level.path * level.path; }

  const std::int32_t* parents(const Level& level, std::size_t b) const {
    return level.parent + b * kLanes;
  }

  // out = T own + out
  void add_shift(const Level& level, const vd* own, vd* out) const {
    for (int c = 0; c < zs(); ++c)
      for (int a = 0; a < q(level); ++a) out[c] += T(level, c, a) * own[a];
  }

  // ---- visits ----------------------------------------------------------------------------------

  // Calls visit(level, block) for all blocks of a level, or of all levels from the leaves to the
  // roots, or the other way. Where leaves are seen through several windows, nothing but their kept
  // fields is left of what the visit before this one found.
  template <class Visit>
  void over_blocks(Level& level, const Visit& visit) {
    const std::size_t windows = level.d == 0 ? windows_ : 1;
    for (std::size_t w = 0; w < windows; ++w) {
      if (windows > 1) open_window(w);
      for (std::size_t b = 0; b < level.blocks; ++b) visit(level, b);
    }
  }
  template <class Visit>
  void upwards(const Visit& visit, int from = 0) {
    for (int d = from; d <= top_; ++d) over_blocks(levels_[d], visit);
  }
  template <class Visit>
  void downwards(const Visit& visit, int to = 0) {
    for (int d = top_; d >= to; --d) over_blocks(levels_[d], visit);
  }

  static void resize(std::vector<vd>& array, std::size_t size) {
    if (array.size() < size) array.resize(size);
  }
  void clear(Messages Level::* messages) {
    for (int d = 1; d <= top_; ++d) (levels_[d].*messages).clear();
  }

  // ---- slots -----------------------------------------------------------------------------------

  // `most` registers at most are to be taken for the fields of the leaves of a window.
  void open(std::size_t slot, SlotRows& rows, std::size_t most = SIZE_MAX) {
    rows_->open(rows);
    for (Level& level : levels_) {
      level.all_first = layout_.levels[level.d].block[slot];
      level.all_blocks = layout_.levels[level.d].block[slot + 1] - level.all_first;
    }
    window_ = std::min(leaf().all_blocks, std::max<std::size_t>(1, most / leaf_registers()));
    windows_ = window_ > 0 ? (leaf().all_blocks + window_ - 1) / window_ : 1;
    for (Level& level : levels_) open_level(level);
  }

  // Fields of a block of leaves without those that are kept.
  std::size_t leaf_registers() {
    const std::size_t q_d = q(leaf()), zs = this->zs();
    return count_sums(leaf()) + count_path(leaf()) + 3 * zs + zs * zs + q_d * q_d + leaf().path +
           1 + (zs + ss()) * at_.width() + q_d * size_;
  }

  void open_level(Level& level) {
    const NestedLevel& layout = layout_.levels[level.d];
    const int q_d = q(level);
    const bool is_leaf = level.d == 0;
    level.T.clear();
    for (int c = 0; c < zs(); ++c)
      for (int a = at_.first[level.d]; a < at_.first[level.d + 1]; ++a)
        level.T.push_back(at_.T[static_cast<std::size_t>(c) * at_.q() + a]);
    level.all_parents = layout.parent.empty() ? nullptr : &layout.parent[level.all_first * kLanes];
    resize(level.sigma.all, level.all_blocks * zs());
    resize(level.X.all, level.all_blocks * q_d * zs());
    for (auto* field : {&level.from, &level.step, &level.solved})
      resize(field->all, level.all_blocks * q_d);
    const std::size_t n = is_leaf ? window_ : level.all_blocks;
    resize(level.sums, n * count_sums(level));
    for (auto* field : {&level.shift, &level.turn, &level.rest}) resize(*field, n * zs());
    level.weight.assign(n, vd{} + 1.0);
    resize(level.J, n * zs() * zs());
    resize(level.Linv, n * q_d * q_d);
    resize(level.path_field, n * count_path(level));
    resize(level.v, n * level.path);
    if (is_leaf)
      resize(level.cross, n * (zs() + ss()) * at_.width());
    else
      open_messages(level);
    look_at(level, 0, n);
  }

  void open_messages(Level& level) {
    const std::size_t nodes = level.all_blocks * kLanes;
    level.scores.open(nodes, 2 * zs() + ss() + 2);
    level.moves.open(nodes, 2 * zs() + 1);
    level.eliminated.open(nodes, count_sums(level));
    level.paths.open(nodes, count_path(level));
    level.factors.open(nodes, ss() * size_);
    level.curvatures.open(nodes, zs());
    level.turns.open(nodes, zs() + level.path);
    level.rests.open(nodes, zs());
  }

  void open_window(std::size_t w) {
    const std::size_t from = w * window_;
    look_at(leaf(), from, std::min(window_, leaf().all_blocks - from));
  }

  // From now on the window of the level is `blocks` blocks, `from` on.
  void look_at(Level& level, std::size_t from, std::size_t blocks) {
    const int q_d = q(level);
    level.first = level.all_first + from;
    level.blocks = blocks;
    level.parent = level.all_parents == nullptr ? nullptr : level.all_parents + from * kLanes;
    level.sigma.here = level.sigma.all.data() + from * zs();
    level.X.here = level.X.all.data() + from * q_d * zs();
    for (auto* field : {&level.from, &level.step, &level.solved})
      field->here = field->all.data() + from * q_d;
    if (level.all_u != nullptr) level.u = level.all_u + from * q_d;
    level.derivatives = level.all_derivatives != nullptr
                            ? level.all_derivatives + from * q_d * size_
                            : level.own_derivatives.data();
  }

  // Room for u and its derivatives of a level in this forest alone.
  void open_modes(Level& level) {
    resize(level.own_u, level.all_blocks * q(level));
    level.all_u = level.u = level.own_u.data();
    open_derivatives(level);
  }
  void open_derivatives(Level& level) {
    resize(level.own_derivatives, level.blocks * q(level) * size_);
    level.all_derivatives = nullptr;
    level.derivatives = level.own_derivatives.data();
  }

  const LeafBlock& leaf_block(std::size_t b) { return layout_.leaves[leaf().first + b]; }

  // out: those of the `width` numbers that belong to beta, times `scale`.
  template <class Scale>
  void copy_beta(const vd* sums, Scale scale, vd* out) const {
    for (int c = 0; c < at_.logits; ++c)
      for (int k = 0; k < at_.x_columns; ++k) *out++ = scale * sums[c * at_.columns + k];
  }

  const NestedPoint& at_;
  const NestedLayout& layout_;
  int top_, size_;
  std::vector<Level> levels_;
  Boundary boundary_;
  std::unique_ptr<LeafRows> rows_;
  std::size_t window_ = 0, windows_ = 1;  // blocks of leaves that are looked at together; how often
};

}  // namespace multilogit

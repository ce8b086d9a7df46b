// The Laplace log marginal likelihood of the trees of one slot of a nested model, with exact
// gradient and Hessian, by elimination from the leaves to the roots (DESIGN 4.2, 4.3;
// docs/mathematics).
//
//   l = f(u^) - sum over nodes of log|L|,   f(u) = sum l_i - u'u / 2,   H = I + A'WA
//
// With T of nested_point.hpp, a node passes on to its parent what its rows know about the shift s
// of their predictors that its ancestors make (eta = ... + zeta's): first the information V =
// sum w zeta zeta', then what is left of it when the node's own effects are eliminated:
//
//   H = I + T'VT = LL',   X = H^-1 T'V,   J = I - TX,   V- = VJ
//
// so the work per node does not depend on depth. Downwards, u | s has mean -X s and the node's
// children have shift J s + T(...). The inverse of L, restricted to the path of a node, is P
// (lower triangle, the node's own effects first), and B = P T':
//
//   P = [ L^-1         0   ]     B = [ L^-1 T' ]     H^-1 on the path = P'P
//       [ -B_a X'      P_a ]         [ B_a J'  ]     cov(s, u) = B'P,  cov(s) = B'B
//
// where _a is the parent's. One node per lane throughout.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "binomial.hpp"
#include "gram.hpp"
#include "group_unit.hpp"
#include "nested_layout.hpp"
#include "nested_point.hpp"
#include "simd.hpp"
#include "small_cholesky.hpp"

namespace multilogit {

// The data in tiles.
struct NestedTiles {
  const vd* x;       // tiles x columns
  const vd* y;       // successes
  const vd* n;       // trials
  const vd* offset;  // null when there is none
};

// Sums over the trees of a slot.
struct NestedTotals {
  vd value{};
  std::vector<vd> gradient;     // p + m; without X'r
  std::vector<vd> pairs;        // m x (p + m): X_ik of theta_i and any k; of two thetas X_ik + X_ki
  std::vector<double> hessian;  // (p + m)^2, upper triangle; without X'(Omega - W)X and pairs
  std::vector<double> cross;    // (p + m)^2: to be added together with its transpose
  std::vector<double> gram;     // p x p, upper triangle: X'(Omega - W)X
  std::vector<double> product;  // p: X'r

  NestedTotals(int p, int m)
      : gradient(p + m),
        pairs(static_cast<std::size_t>(m) * (p + m)),
        hessian(static_cast<std::size_t>(p + m) * (p + m)),
        cross(hessian.size()),
        gram(static_cast<std::size_t>(p) * p),
        product(p) {}
};

// Z: distinct columns of Z, Q: effects per node at every level; 0: any number.
template <int Z, int Q>
class Forest {
 public:
  Forest(const NestedPoint& at, const NestedLayout& layout, const NestedTiles& data,
         std::vector<NestedModes>& modes)
      : at_(at), layout_(layout), data_(data), modes_(modes), size_(at.size()) {
    for (int d = 0; d < at.levels(); ++d) levels_.emplace_back(at, d);
    const auto size = static_cast<std::size_t>(size_);
    n_.resize(kMaxQ * size);
    gathered_.resize(kMaxZ * size);
    passed_.resize(kMaxS * size);
    effect_.resize(kMaxZ * kMaxQ * size);
    out_.resize(1 + kMaxZ + static_cast<std::size_t>(kMaxZ + kMaxS) * at.columns);
    part_.resize(out_.size());
    left_.resize(kChunkTiles * (kMaxZ + kMaxS));
  }

  // Adds the slot's contribution; false when the modes were not found.
  bool evaluate(std::size_t slot, NestedTotals& totals) {
    open(slot);
    linear_predictor();
    predict_modes();
    if (!find_modes()) return false;
    for (std::size_t b = 0; b < leaf().blocks; ++b) differentiate_rows(b, totals);
    clear_sums();
    upwards([&](Level& level, std::size_t b) { eliminate(level, b, totals); });
    for (int d = at_.levels() - 1; d >= 0; --d)
      for (std::size_t b = 0; b < levels_[d].blocks; ++b) descend(levels_[d], b, totals);
    for (std::size_t b = 0; b < leaf().blocks; ++b) differentiate_information(b);
    upwards([&](Level& level, std::size_t b) { differentiate_factor(level, b, totals); });
    for (int d = at_.levels() - 1; d >= 0; --d)
      for (std::size_t b = 0; b < levels_[d].blocks; ++b) pass_v(levels_[d], b);
    for (std::size_t b = 0; b < leaf().blocks; ++b) finish_leaves(b, totals);
    upwards([&](Level& level, std::size_t b) { finish_nodes(level, b, totals); });
    flush_squares(totals, 0);
    flush_cross(totals, 0);
    multiply_columns(totals);
    return true;
  }

  std::size_t inner_iterations() const { return inner_iterations_; }

 private:
  static constexpr int kMaxZ = Z > 0 ? Z : kMaxEffects;
  static constexpr int kMaxS = kMaxZ * (kMaxZ + 1) / 2;
  static constexpr int kMaxQ = Q > 0 ? Q : kMaxEffects;
  static constexpr int kMaxInner = 100;
  static constexpr std::size_t kRanks = 32;  // rank-one terms that are added together

  // The nodes of one level in the present slot; fields hold their components block by block.
  struct Level {
    int d, q_d, above, path;  // own effects, those of the ancestors, both
    std::size_t blocks = 0, first = 0;
    const std::int32_t *parent = nullptr, *root = nullptr;
    vd *u = nullptr, *derivatives = nullptr, *covariance = nullptr;
    std::vector<vd> R, V, raw;               // sums below: r zeta; V; w zeta zeta'
    std::vector<vd> trial, gradient, shift;  // of u; T u of the node and its ancestors
    std::vector<vd> X, J, Linv;
    std::vector<vd> solved, reduced, step;  // forward solution, message upwards, solution
    std::vector<vd> P, B;
    std::vector<vd> pw;       // distinct columns x parameters: what the rows know of P_k
    std::vector<vd> y;        // distinct columns x parameters: ds / dpsi_k, the node's own T u in s
    std::vector<vd> E;        // packed x parameters: dV / dpsi_k
    std::vector<vd> sigma;    // right side of v
    std::vector<vd> v, turn;  // v of the path; T v of the node and its ancestors
    std::vector<vd> Sz;       // sum (w3 h - w A v) zeta
    std::vector<vd> own_derivatives;
    std::vector<vd> cross;  // leaves: (w zeta | w3 zeta zeta') x columns

    Level(const NestedPoint& at, int level)
        : d(level),
          q_d(at.effects(level)),
          above(at.q() - at.first[level + 1]),
          path(at.q() - at.first[level]) {}
  };

  int q(const Level& level) const { return Q > 0 ? Q : level.q_d; }
  int zs() const { return Z > 0 ? Z : at_.zs(); }
  int ss() const { return zs() * (zs() + 1) / 2; }
  static constexpr int pair(int a, int b) {
    return a >= b ? a * (a + 1) / 2 + b : b * (b + 1) / 2 + a;
  }
  Level& leaf() { return levels_.front(); }
  bool is_top(const Level& level) const { return level.d + 1 == at_.levels(); }
  Level& parent(const Level& level) { return levels_[level.d + 1]; }

  // T of a level's own effects: distinct column c, effect a.
  double T(const Level& level, int c, int a) const {
    return at_.T[static_cast<std::size_t>(c) * at_.q() + at_.first[level.d] + a];
  }
  vd zeta(std::size_t t, int c) const { return data_.x[t * at_.columns + at_.zeta[c]]; }

  // theta_i as an element of its level's Lambda: the distinct column of its row; its column,
  // counted from effect `from` of the path.
  int theta_z(int i) const { return at_.effect_z[at_.theta_row[i]]; }
  int theta_effect(int i, const Level& from) const {
    return at_.theta_column[i] - at_.first[from.d];
  }

  // ---- fields and messages
  // -----------------------------------------------------------------------

  // out = components `from` .. `from + count - 1` of `components` at the nodes' parents.
  static void gather(const vd* field, int components, int from, int count,
                     const std::int32_t* index, vd* out) {
    auto* to = reinterpret_cast<double*>(out);
    for (int lane = 0; lane < kLanes; ++lane) {
      const double* at = lane_of(field, components, index[lane]) + from * kLanes;
      for (int c = 0; c < count; ++c) to[c * kLanes + lane] = at[c * kLanes];
    }
  }

  // Adds to the nodes' parents. Lanes without a node add zeros to the first one.
  static void scatter(const vd* values, int components, int from, int count,
                      const std::int32_t* index, vd* field) {
    const auto* of = reinterpret_cast<const double*>(values);
    for (int lane = 0; lane < kLanes; ++lane) {
      double* at = const_cast<double*>(lane_of(field, components, index[lane])) + from * kLanes;
      for (int c = 0; c < count; ++c) at[c * kLanes] += of[c * kLanes + lane];
    }
  }

  static const double* lane_of(const vd* field, int components, std::int32_t position) {
    const auto block = static_cast<std::size_t>(position) / kLanes;
    return reinterpret_cast<const double*>(field + block * components) + position % kLanes;
  }

  static vd* of(std::vector<vd>& field, int components, std::size_t block) {
    return field.data() + block * components;
  }
  const std::int32_t* parents(const Level& level, std::size_t b) const {
    return level.parent + b * kLanes;
  }
  const std::int32_t* roots(const Level& level, std::size_t b) const {
    return level.root + b * kLanes;
  }

  // Calls visit(level, block) from the leaves to the roots.
  template <class Visit>
  void upwards(const Visit& visit) {
    for (Level& level : levels_)
      for (std::size_t b = 0; b < level.blocks; ++b) visit(level, b);
  }

  void open(std::size_t slot) {
    first_tile_ = layout_.tile[slot];
    tiles_ = layout_.tile[slot + 1] - first_tile_;
    first_leaf_ = layout_.levels[0].block[slot];
    for (auto* array : {&eta0_, &r_, &w_, &w3_, &w4_}) resize(*array, tiles_);
    for (Level& level : levels_) open_level(level, slot);
    resize(leaf().cross, leaf().blocks * (zs() + ss()) * at_.columns);
    const std::size_t roots = levels_.back().blocks * kLanes;
    for (auto* array : {&length_, &norm_, &norm_there_, &decrement_}) array->assign(roots, 0.0);
    state_.assign(roots, kDone);
  }

  void open_level(Level& level, std::size_t slot) {
    const NestedLevel& layout = layout_.levels[level.d];
    NestedModes& modes = modes_[level.d];
    const int q_d = q(level);
    level.first = layout.block[slot];
    level.blocks = layout.block[slot + 1] - level.first;
    level.parent = layout.parent.data() + level.first * kLanes;
    level.root = layout.root.data() + level.first * kLanes;
    level.u = modes.u.data() + level.first * q_d;
    level.covariance = modes.covariance.data() + level.first * (q_d * (q_d + 1) / 2);
    const std::size_t n = level.blocks;
    for (auto* array :
         {&level.R, &level.shift, &level.reduced, &level.sigma, &level.turn, &level.Sz})
      resize(*array, n * zs());
    for (auto* array : {&level.V, &level.raw}) resize(*array, n * ss());
    for (auto* array : {&level.trial, &level.gradient, &level.step, &level.solved})
      resize(*array, n * q_d);
    resize(level.X, n * q_d * zs());
    resize(level.J, n * zs() * zs());
    resize(level.Linv, n * q_d * q_d);
    resize(level.P, n * level.path * level.path);
    resize(level.B, n * level.path * zs());
    resize(level.v, n * level.path);
    for (auto* array : {&level.pw, &level.y}) resize(*array, n * zs() * size_);
    resize(level.E, n * ss() * size_);
    if (modes.derivatives.empty()) {
      resize(level.own_derivatives, n * q_d * size_);
      level.derivatives = level.own_derivatives.data();
    } else {
      level.derivatives = modes.derivatives.data() + level.first * q_d * size_;
    }
  }

  static void resize(std::vector<vd>& array, std::size_t size) {
    if (array.size() < size) array.resize(size);
  }

  // What the nodes above the leaves receive from below.
  void clear_sums() {
    for (int d = 1; d < at_.levels(); ++d) {
      Level& level = levels_[d];
      for (auto* field :
           {&level.R, &level.V, &level.raw, &level.pw, &level.E, &level.sigma, &level.Sz})
        clear(*field);
    }
  }

  static void clear(std::vector<vd>& array) { std::fill(array.begin(), array.end(), vd{}); }

  // ---- rows
  // --------------------------------------------------------------------------------------

  // eta0 = X beta + o
  void linear_predictor() {
    for (std::size_t i = 0; i < tiles_; ++i) {
      const std::size_t t = first_tile_ + i;
      const vd* x = data_.x + t * at_.columns;
      vd eta = data_.offset ? data_.offset[t] : vd{};
      for (int k = 0; k < at_.p; ++k) eta += x[k] * at_.beta[k];
      eta0_[i] = eta;
    }
  }

  vd predictor(std::size_t t, const vd* shift) const {
    vd eta = eta0_[t - first_tile_];
    for (int c = 0; c < zs(); ++c) eta += zeta(t, c) * shift[c];
    return eta;
  }

  // Row sums of a block of leaves, one leaf per lane: pass(tile, tiles, in, out) adds to `out`.
  template <class Pass>
  void over_rows(std::size_t b, const vd* in, int n_in, vd* out, int n_out, const Pass& pass) {
    const LeafBlock& block = layout_.leaves[first_leaf_ + b];
    if (block.groups_in_lanes) {
      std::fill(out, out + n_out, vd{});
      pass(block.tile[0], block.tile[1] - block.tile[0], in, out);
      return;
    }
    vd one[kMaxZ * kMaxZ];
    std::fill(out, out + n_out, vd{});
    for (int lane = 0; lane < block.leaves; ++lane) {
      for (int i = 0; i < n_in; ++i) one[i] = splat(in[i][lane]);
      std::fill(part_.begin(), part_.begin() + n_out, vd{});
      pass(block.tile[lane], block.tile[lane + 1] - block.tile[lane], one, part_.data());
      for (int i = 0; i < n_out; ++i) out[i][lane] = sum(part_[i]);
    }
  }

  // Z'r and Z'WZ: out = R, V.
  void score_rows(std::size_t b) {
    Level& level = leaf();
    const auto pass = [this](std::size_t tile, std::size_t tiles, const vd* shift, vd* out) {
      vd r[kMaxZ] = {}, w[kMaxS] = {};
      for (std::size_t t = tile; t < tile + tiles; ++t) {
        const BinomialScore row = binomial_score(predictor(t, shift), data_.y[t], data_.n[t]);
        for (int c = 0; c < zs(); ++c) {
          r[c] += row.r * zeta(t, c);
          const vd wz = row.w * zeta(t, c);
          for (int e = 0; e <= c; ++e) w[pair(c, e)] += wz * zeta(t, e);
        }
      }
      for (int c = 0; c < zs(); ++c) out[c] += r[c];
      for (int c = 0; c < ss(); ++c) out[zs() + c] += w[c];
    };
    over_rows(b, of(level.shift, zs(), b), zs(), out_.data(), zs() + ss(), pass);
    std::copy_n(out_.data(), zs(), of(level.R, zs(), b));
    std::copy_n(out_.data() + zs(), ss(), of(level.V, ss(), b));
  }

  // ---- modes
  // -------------------------------------------------------------------------------------

  // u^ + sum_k u_k dpsi_k, from the derivatives of the last evaluation.
  void predict_modes() {
    for (Level& level : levels_) {
      if (modes_[level.d].derivatives.empty()) continue;
      for (std::size_t i = 0; i < level.blocks * q(level); ++i)
        for (int k = 0; k < size_; ++k)
          if (at_.change[k] != 0.0) level.u[i] += at_.change[k] * level.derivatives[i * size_ + k];
    }
  }

  // Newton's method for u^, damped tree by tree by |gradient| alone (as in group_unit.hpp); where
  // the decrement is small, one more step is taken and not checked.
  enum State : char { kDone, kPending, kAccepted };

  bool find_modes() {
    constexpr double kSmall = 1e-13;
    constexpr double kSufficient = 1e-4;
    for (std::size_t b = 0; b < levels_.back().blocks * kLanes; ++b)
      if (layout_.levels.back().node[levels_.back().first * kLanes + b] != kNoNode)
        state_[b] = kPending;
    score();
    norm_ = norm_there_;
    for (int iteration = 0; iteration < kMaxInner; ++iteration) {
      ++inner_iterations_;
      find_direction();
      bool pending = false;
      for (std::size_t r = 0; r < state_.size(); ++r) {
        if (state_[r] == kDone) {
          length_[r] = 0.0;
          continue;
        }
        length_[r] = 1.0;
        state_[r] = decrement_[r] <= kSmall ? kDone : kPending;
        pending = pending || state_[r] == kPending;
      }
      for (int halving = 0; pending; ++halving) {
        if (halving == 60) return false;
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

  // Moves to the trial modes; true when all trees are done.
  bool accept() {
    bool done = true;
    move();
    for (Level& level : levels_) std::copy_n(level.trial.data(), level.blocks * q(level), level.u);
    for (std::size_t r = 0; r < state_.size(); ++r) {
      if (state_[r] != kAccepted) continue;
      norm_[r] = norm_there_[r];
      state_[r] = kPending;
      done = false;
    }
    return done;
  }

  // trial = u + length step, and the shifts that go with it, from the roots to the leaves.
  void move() {
    for (int d = at_.levels() - 1; d >= 0; --d) {
      Level& level = levels_[d];
      for (std::size_t b = 0; b < level.blocks; ++b) {
        const vd length = by_root(length_, roots(level, b));
        vd* trial = of(level.trial, q(level), b);
        const vd* step = of(level.step, q(level), b);
        const vd* u = level.u + b * q(level);
        for (int a = 0; a < q(level); ++a)
          trial[a] = select(length == 0.0, u[a], u[a] + length * step[a]);
        pass_shift(level, b, trial, level.shift, &Level::shift);
      }
    }
  }

  // field = T own + the parent's.
  void pass_shift(Level& level, std::size_t b, const vd* own, std::vector<vd>& field,
                  std::vector<vd> Level::* member) {
    vd* out = of(field, zs(), b);
    if (is_top(level))
      std::fill(out, out + zs(), vd{});
    else
      gather((parent(level).*member).data(), zs(), 0, zs(), parents(level, b), out);
    for (int c = 0; c < zs(); ++c)
      for (int a = 0; a < q(level); ++a) out[c] += T(level, c, a) * own[a];
  }

  static vd by_root(const std::vector<double>& values, const std::int32_t* root) {
    vd out;
    for (int lane = 0; lane < kLanes; ++lane) out[lane] = values[root[lane]];
    return out;
  }
  static void add_by_root(vd x, const std::int32_t* root, std::vector<double>& values) {
    for (int lane = 0; lane < kLanes; ++lane) values[root[lane]] += x[lane];
  }

  // R and V at the trial modes of the trees that are pending; gradients and their norms.
  void score() {
    move();
    for (int d = 1; d < at_.levels(); ++d) clear(levels_[d].R);
    std::fill(norm_there_.begin(), norm_there_.end(), 0.0);
    for (std::size_t b = 0; b < leaf().blocks; ++b)
      if (is_pending(roots(leaf(), b))) score_rows(b);
    upwards([&](Level& level, std::size_t b) {
      const vd *R = of(level.R, zs(), b), *trial = of(level.trial, q(level), b);
      vd *gradient = of(level.gradient, q(level), b), norm{};
      for (int a = 0; a < q(level); ++a) {
        gradient[a] = -trial[a];
        for (int c = 0; c < zs(); ++c) gradient[a] += T(level, c, a) * R[c];
        norm += gradient[a] * gradient[a];
      }
      add_by_root(norm, roots(level, b), norm_there_);
      if (!is_top(level)) scatter(R, zs(), 0, zs(), parents(level, b), parent(level).R.data());
    });
  }

  bool is_pending(const std::int32_t* root) const {
    for (int lane = 0; lane < kLanes; ++lane)
      if (state_[root[lane]] == kPending) return true;
    return false;
  }

  // H^-1 gradient by elimination and substitution; decrements.
  void find_direction() {
    for (int d = 1; d < at_.levels(); ++d) {
      clear(levels_[d].V);
      clear(levels_[d].reduced);
    }
    clear(leaf().reduced);
    std::fill(decrement_.begin(), decrement_.end(), 0.0);
    upwards([&](Level& level, std::size_t b) { eliminate_gradient(level, b); });
    for (int d = at_.levels() - 1; d >= 0; --d)
      for (std::size_t b = 0; b < levels_[d].blocks; ++b) substitute(levels_[d], b);
  }

  struct Factor {
    SmallCholesky<kMaxQ, vd> H;
    vd X[kMaxQ * kMaxZ];  // q x zs
    vd J[kMaxZ * kMaxZ];
    vd V[kMaxS];  // V-
  };

  void factor(const Level& level, const vd* V, Factor& out) const {
    const int q_d = q(level);
    vd VT[kMaxZ * kMaxQ], H[kMaxQ * kMaxQ];
    for (int c = 0; c < zs(); ++c)
      for (int a = 0; a < q_d; ++a) {
        VT[c * kMaxQ + a] = vd{};
        for (int e = 0; e < zs(); ++e) VT[c * kMaxQ + a] += V[pair(c, e)] * T(level, e, a);
      }
    for (int a = 0; a < q_d; ++a)
      for (int g = 0; g <= a; ++g) {
        vd h = vd{} + (a == g ? 1.0 : 0.0);
        for (int c = 0; c < zs(); ++c) h += T(level, c, a) * VT[c * kMaxQ + g];
        H[a * kMaxQ + g] = h;
      }
    out.H.factor(H, q_d);
    for (int c = 0; c < zs(); ++c) {
      vd x[kMaxQ];
      for (int a = 0; a < q_d; ++a) x[a] = VT[c * kMaxQ + a];
      out.H.solve(x, q_d);
      for (int a = 0; a < q_d; ++a) out.X[a * zs() + c] = x[a];
    }
    shrink(level, V, VT, out);
  }

  // J and V-. With one column nothing need cancel: J = 1 / (1 + V TT').
  void shrink(const Level& level, const vd* V, const vd* VT, Factor& out) const {
    if (zs() == 1) {
      vd h = vd{} + 1.0;
      for (int a = 0; a < q(level); ++a) h += VT[a] * T(level, 0, a);
      out.J[0] = 1.0 / h;
      out.V[0] = V[0] * out.J[0];
      return;
    }
    for (int c = 0; c < zs(); ++c)
      for (int e = 0; e < zs(); ++e) {
        vd j = vd{} + (c == e ? 1.0 : 0.0);
        for (int a = 0; a < q(level); ++a) j -= T(level, c, a) * out.X[a * zs() + e];
        out.J[c * zs() + e] = j;
      }
    for (int c = 0; c < zs(); ++c)
      for (int e = 0; e <= c; ++e) {
        vd v = V[pair(c, e)];
        for (int a = 0; a < q(level); ++a) v -= VT[c * kMaxQ + a] * out.X[a * zs() + e];
        out.V[pair(c, e)] = v;
      }
  }

  void eliminate_gradient(Level& level, std::size_t b) {
    const int q_d = q(level);
    Factor f;
    factor(level, of(level.V, ss(), b), f);
    vd *n = of(level.solved, q_d, b), *reduced = of(level.reduced, zs(), b);
    const vd* gradient = of(level.gradient, q_d, b);
    for (int a = 0; a < q_d; ++a) {
      n[a] = gradient[a];
      for (int c = 0; c < zs(); ++c) n[a] -= T(level, c, a) * reduced[c];
    }
    for (int c = 0; c < zs(); ++c)
      for (int a = 0; a < q_d; ++a) reduced[c] += f.X[a * zs() + c] * n[a];
    f.H.solve(n, q_d);
    std::copy_n(f.X, q_d * zs(), of(level.X, q_d * zs(), b));
    if (is_top(level)) return;
    scatter(f.V, ss(), 0, ss(), parents(level, b), parent(level).V.data());
    scatter(reduced, zs(), 0, zs(), parents(level, b), parent(level).reduced.data());
  }

  // step = H^-1 n - X (T step of the ancestors)
  void substitute(Level& level, std::size_t b) {
    const int q_d = q(level);
    vd above[kMaxZ] = {}, decrement{};
    if (!is_top(level)) gather(parent(level).turn.data(), zs(), 0, zs(), parents(level, b), above);
    vd* step = of(level.step, q_d, b);
    const vd *solved = of(level.solved, q_d, b), *X = of(level.X, q_d * zs(), b);
    const vd* gradient = of(level.gradient, q_d, b);
    for (int a = 0; a < q_d; ++a) {
      step[a] = solved[a];
      for (int c = 0; c < zs(); ++c) step[a] -= X[a * zs() + c] * above[c];
      decrement += step[a] * gradient[a];
    }
    add_by_root(decrement, roots(level, b), decrement_);
    pass_shift(level, b, step, level.turn, &Level::turn);
  }

  // ---- at the modes: first pass upwards
  // ----------------------------------------------------------

  // r, w, w3, w4 of every row; value, R, and (w zeta | w3 zeta zeta')'[X, Z] of every leaf.
  void differentiate_rows(std::size_t b, NestedTotals& totals) {
    Level& level = leaf();
    const int height = zs() + ss(), columns = at_.columns;
    const auto pass = [&](std::size_t tile, std::size_t tiles, const vd* shift, vd* out) {
      for (std::size_t t0 = tile; t0 < tile + tiles; t0 += kChunkTiles) {
        const std::size_t count = std::min(kChunkTiles, tile + tiles - t0);
        for (std::size_t i = 0; i < count; ++i)
          differentiate_row(t0 + i, shift, out, &left_[i * height]);
        add_cross(left_.data(), height, data_.x + t0 * columns, columns, columns, count,
                  out + 1 + zs(), columns, [](vd x) { return x; });
      }
    };
    const int sums = 1 + zs() + height * columns;
    over_rows(b, of(level.shift, zs(), b), zs(), out_.data(), sums, pass);
    totals.value += out_[0];
    std::copy_n(out_.data() + 1, zs(), of(level.R, zs(), b));
    vd *cross = of(level.cross, height * columns, b), *pw = of(level.pw, zs() * size_, b);
    std::copy_n(out_.data() + 1 + zs(), height * columns, cross);
    for (int c = 0; c < zs(); ++c) {
      std::copy_n(cross + c * columns, at_.p, pw + c * size_);
      for (int e = 0; e <= c; ++e) {
        of(level.V, ss(), b)[pair(c, e)] = cross[c * columns + at_.zeta[e]];
        of(level.raw, ss(), b)[pair(c, e)] = cross[c * columns + at_.zeta[e]];
      }
    }
  }

  void differentiate_row(std::size_t t, const vd* shift, vd* out, vd* left) {
    const BinomialRow row = binomial_row(predictor(t, shift), data_.y[t], data_.n[t]);
    const std::size_t i = t - first_tile_;
    r_[i] = row.r;
    w_[i] = row.w;
    w3_[i] = row.w3;
    w4_[i] = row.w4;
    out[0] += row.value;
    for (int c = 0; c < zs(); ++c) {
      out[1 + c] += row.r * zeta(t, c);
      left[c] = row.w * zeta(t, c);
      const vd w3z = row.w3 * zeta(t, c);
      for (int e = 0; e <= c; ++e) left[zs() + pair(c, e)] = w3z * zeta(t, e);
    }
  }

  // Factors H; n_k = Z_k'r - A'W P_k eliminated, for beta and the thetas of this level and below
  // (a theta of an ancestor shifts all rows of the node: it is part of s). Hessian terms
  // -P'WP + N'H^-1 N, where N'H^-1 N is the sum over nodes of (L^-1 n)'(L^-1 n).
  void eliminate(Level& level, std::size_t b, NestedTotals& totals) {
    const int q_d = q(level), below = at_.below(level.d), own = at_.below(level.d + 1);
    const vd *V = of(level.V, ss(), b), *R = of(level.R, zs(), b), *u = level.u + b * q_d;
    vd* pw = of(level.pw, zs() * size_, b);
    Factor f;
    factor(level, V, f);
    f.H.inverse_factor(factor_inverse_, q_d);
    totals.value -= f.H.half_log_determinant(q_d);
    for (int a = 0; a < q_d; ++a) totals.value -= 0.5 * u[a] * u[a];
    for (int k = below; k < own; ++k) {
      const int z = theta_z(k - at_.p), e = theta_effect(k - at_.p, level);
      for (int c = 0; c < zs(); ++c) pw[c * size_ + k] = V[pair(c, z)] * u[e];
      totals.gradient[k] += R[z] * u[e];
    }
    for (int k = below; k < own; ++k) {
      const int i = k - at_.p;
      const vd* wz = pw + theta_z(i) * size_;
      const vd ub = u[theta_effect(i, level)];
      vd* pairs = &totals.pairs[static_cast<std::size_t>(i) * size_];
      for (int l = 0; l < below; ++l) pairs[l] -= ub * wz[l];
      for (int l = below; l < own; ++l) pairs[l] -= 0.5 * ub * wz[l];
    }
    solve_parameters(level, b, R, totals);
    vd* X = of(level.X, q_d * zs(), b);
    std::copy_n(f.X, q_d * zs(), X);
    std::copy_n(f.J, zs() * zs(), of(level.J, zs() * zs(), b));
    if (is_top(level)) return;
    for (int c = 0; c < zs(); ++c)
      for (int a = 0; a < q_d; ++a)
        for (int k = 0; k < own; ++k) pw[c * size_ + k] += X[a * zs() + c] * n_[a * size_ + k];
    Level& above = parent(level);
    const std::int32_t* index = parents(level, b);
    for (int c = 0; c < zs(); ++c)
      scatter(pw + c * size_, zs() * size_, c * size_, own, index, above.pw.data());
    scatter(f.V, ss(), 0, ss(), index, above.V.data());
    scatter(R, zs(), 0, zs(), index, above.R.data());
    scatter(of(level.raw, ss(), b), ss(), 0, ss(), index, above.raw.data());
  }

  void solve_parameters(Level& level, std::size_t b, const vd* R, NestedTotals& totals) {
    const int q_d = q(level), below = at_.below(level.d), own = at_.below(level.d + 1);
    const vd* pw = of(level.pw, zs() * size_, b);
    for (int a = 0; a < q_d; ++a) {
      vd* n = &n_[a * size_];
      std::fill(n, n + own, vd{});
      for (int c = 0; c < zs(); ++c)
        for (int k = 0; k < own; ++k) n[k] -= T(level, c, a) * pw[c * size_ + k];
    }
    for (int k = below; k < own; ++k)
      n_[theta_effect(k - at_.p, level) * size_ + k] += R[theta_z(k - at_.p)];
    vd* squares = new_squares(q_d, totals);
    vd* solved = level.derivatives + b * q_d * size_;
    std::fill(squares, squares + q_d * size_, vd{});
    std::fill(solved, solved + q_d * size_, vd{});
    vd* Linv = of(level.Linv, q_d * q_d, b);
    for (int a = 0; a < q_d; ++a) {
      weights_[n_squares_ - q_d + a] = vd{} + 1.0;
      for (int e = 0; e < q_d; ++e) Linv[a * q_d + e] = factor_inverse_[a * kMaxQ + e];
      for (int e = 0; e <= a; ++e)
        for (int k = 0; k < own; ++k)
          squares[a * size_ + k] += Linv[a * q_d + e] * n_[e * size_ + k];
    }
    for (int a = 0; a < q_d; ++a)
      for (int e = a; e < q_d; ++e)
        for (int k = 0; k < own; ++k)
          solved[a * size_ + k] += Linv[e * q_d + a] * squares[e * size_ + k];
  }

  // ---- first pass downwards
  // ----------------------------------------------------------------------

  // P, B; u_k and ds / dpsi_k; what Z_k H^-1 Z_l' adds to pairs of thetas; cov(b).
  void descend(Level& level, std::size_t b, NestedTotals& totals) {
    const int q_d = q(level);
    find_path(level, b);
    if (is_top(level))
      std::fill(gathered_.begin(), gathered_.end(), vd{});
    else
      gather(parent(level).y.data(), zs() * size_, 0, zs() * size_, parents(level, b),
             gathered_.data());
    const vd *X = of(level.X, q_d * zs(), b), *u = level.u + b * q_d;
    vd *du = level.derivatives + b * q_d * size_, *y = of(level.y, zs() * size_, b);
    std::copy_n(gathered_.data(), zs() * size_, y);
    for (int a = 0; a < q_d; ++a)
      for (int c = 0; c < zs(); ++c)
        for (int k = 0; k < size_; ++k)
          du[a * size_ + k] -= X[a * zs() + c] * gathered_[c * size_ + k];
    for (int c = 0; c < zs(); ++c)
      for (int a = 0; a < q_d; ++a)
        for (int k = 0; k < size_; ++k) y[c * size_ + k] += T(level, c, a) * du[a * size_ + k];
    for (int k = at_.below(level.d); k < at_.below(level.d + 1); ++k)
      y[theta_z(k - at_.p) * size_ + k] += u[theta_effect(k - at_.p, level)];
    add_covariances(level, b, totals);
  }

  void find_path(Level& level, std::size_t b) {
    const int q_d = q(level), above = level.above, path = level.path;
    const vd *X = of(level.X, q_d * zs(), b), *J = of(level.J, zs() * zs(), b);
    const vd* Linv = of(level.Linv, q_d * q_d, b);
    vd *P = of(level.P, path * path, b), *B = of(level.B, path * zs(), b);
    for (int i = 0; i < q_d; ++i) {
      for (int j = 0; j < path; ++j) P[i * path + j] = j <= i ? Linv[i * q_d + j] : vd{};
      for (int c = 0; c < zs(); ++c) {
        vd sum{};
        for (int a = 0; a <= i; ++a) sum += Linv[i * q_d + a] * T(level, c, a);
        B[i * zs() + c] = sum;
      }
    }
    if (above == 0) return;
    vd Pa[kMaxEffects * kMaxEffects], Ba[kMaxEffects * kMaxZ];
    gather(parent(level).P.data(), above * above, 0, above * above, parents(level, b), Pa);
    gather(parent(level).B.data(), above * zs(), 0, above * zs(), parents(level, b), Ba);
    for (int i = 0; i < above; ++i) {
      vd *row = P + (q_d + i) * path, *shift = B + (q_d + i) * zs();
      for (int a = 0; a < q_d; ++a) {
        row[a] = vd{};
        for (int c = 0; c < zs(); ++c) row[a] -= Ba[i * zs() + c] * X[a * zs() + c];
      }
      for (int j = 0; j < above; ++j) row[q_d + j] = Pa[i * above + j];
      for (int c = 0; c < zs(); ++c) {
        shift[c] = vd{};
        for (int e = 0; e < zs(); ++e) shift[c] += Ba[i * zs() + e] * J[c * zs() + e];
      }
    }
  }

  // With G = -H^-1 / 2: 2 sum w z_a z_a' G_bb' for theta_i = Lambda[a, b] of this level and
  // theta_l = Lambda[a', b'] of this level or an ancestor; Lambda H^-1 Lambda'.
  void add_covariances(Level& level, std::size_t b, NestedTotals& totals) {
    const int q_d = q(level), path = level.path;
    const vd *P = of(level.P, path * path, b), *raw = of(level.raw, ss(), b);
    vd H[kMaxQ * kMaxEffects];  // own effects x path
    for (int a = 0; a < q_d; ++a)
      for (int j = 0; j < path; ++j) {
        vd sum{};
        for (int i = a > j ? a : j; i < path; ++i) sum += P[i * path + a] * P[i * path + j];
        H[a * kMaxEffects + j] = sum;
      }
    for (int i = at_.theta_first[level.d]; i < at_.theta_first[level.d + 1]; ++i)
      for (int l = at_.theta_first[level.d]; l < at_.m(); ++l) {
        const double share = l < at_.theta_first[level.d + 1] ? 0.5 : 1.0;
        totals.pairs[static_cast<std::size_t>(i) * size_ + at_.p + l] -=
            share * raw[pair(theta_z(i), theta_z(l))] *
            H[theta_effect(i, level) * kMaxEffects + theta_effect(l, level)];
      }
    vd* out = level.covariance + b * (q_d * (q_d + 1) / 2);
    const auto Lambda = [&](int a, int c) {
      return at_.Lambda[static_cast<std::size_t>(at_.first[level.d] + a) * at_.q() +
                        at_.first[level.d] + c];
    };
    for (int a = 0; a < q_d; ++a)
      for (int c = 0; c <= a; ++c) {
        out[pair(a, c)] = vd{};
        for (int e = 0; e <= a; ++e)
          for (int g = 0; g <= c; ++g)
            out[pair(a, c)] += Lambda(a, e) * H[e * kMaxEffects + g] * Lambda(c, g);
      }
  }

  // ---- second pass upwards
  // -----------------------------------------------------------------------

  // With h = diag(A G A'), G = -H^-1 / 2: sum w3 h zeta; w4 becomes w4 h. E_k = sum w3 D_k zeta
  // zeta' with D_k = x_k + zeta'y_k.
  void differentiate_information(std::size_t b) {
    Level& level = leaf();
    const vd* B = of(level.B, level.path * zs(), b);
    vd K[kMaxS];
    for (int c = 0; c < zs(); ++c)
      for (int e = 0; e <= c; ++e) {
        vd sum{};
        for (int i = 0; i < level.path; ++i) sum += B[i * zs() + c] * B[i * zs() + e];
        K[pair(c, e)] = (c == e ? -0.5 : -1.0) * sum;
      }
    const auto pass = [this](std::size_t tile, std::size_t tiles, const vd* k, vd* out) {
      for (std::size_t t = tile; t < tile + tiles; ++t) {
        vd h{};
        for (int c = 0; c < zs(); ++c) {
          vd kz{};
          for (int e = 0; e <= c; ++e) kz += k[pair(c, e)] * zeta(t, e);
          h += kz * zeta(t, c);
        }
        w4_[t - first_tile_] *= h;
        const vd w3h = w3_[t - first_tile_] * h;
        for (int c = 0; c < zs(); ++c) out[c] += w3h * zeta(t, c);
      }
    };
    over_rows(b, K, ss(), of(level.sigma, zs(), b), zs(), pass);
    const int columns = at_.columns;
    const vd* cross = of(level.cross, (zs() + ss()) * columns, b) + zs() * columns;
    const vd* y = of(level.y, zs() * size_, b);
    std::copy_n(of(level.sigma, zs(), b), zs(), of(level.Sz, zs(), b));
    for (int s = 0; s < ss(); ++s) {
      vd* E = of(level.E, ss() * size_, b) + s * size_;
      std::copy_n(cross + s * columns, at_.p, E);
      std::fill(E + at_.p, E + size_, vd{});
      for (int c = 0; c < zs(); ++c) {
        const vd w3 = cross[s * columns + at_.zeta[c]];
        for (int k = 0; k < size_; ++k) E[k] += w3 * y[c * size_ + k];
      }
    }
  }

  // M_k = L^-1 H_k L^-T: rows and columns of the node's own effects against its path,
  //   B E_k C' + [theta_k = (a, b) of the path] P_b (CV)_a' + [of this level] (BV)_a (L^-1)_b',
  // C = L^-1 T'; gradient -tr(M_k) / 2, Hessian <M_k, M_l> / 2. dV-_k and J'sigma upwards.
  void differentiate_factor(Level& level, std::size_t b, NestedTotals& totals) {
    find_M(level, b, totals);
    const int q_d = q(level);
    const vd *Linv = of(level.Linv, q_d * q_d, b), *sigma = of(level.sigma, zs(), b);
    vd *v = of(level.v, level.path, b), half[kMaxQ];
    for (int a = 0; a < q_d; ++a) {
      half[a] = vd{};
      for (int e = 0; e <= a; ++e)
        for (int c = 0; c < zs(); ++c) half[a] += Linv[a * q_d + e] * (T(level, c, e) * sigma[c]);
    }
    for (int a = 0; a < q_d; ++a) {
      v[a] = vd{};
      for (int e = a; e < q_d; ++e) v[a] += Linv[e * q_d + a] * half[e];
    }
    if (!is_top(level)) pass_information(level, b);
  }

  void find_M(Level& level, std::size_t b, NestedTotals& totals) {
    const int q_d = q(level), path = level.path;
    const int ranks = q_d * (q_d + 1) / 2 + level.above * q_d;
    const vd *P = of(level.P, path * path, b), *B = of(level.B, path * zs(), b);
    const vd *E = of(level.E, ss() * size_, b), *V = of(level.V, ss(), b);
    vd BV[kMaxEffects * kMaxZ];
    for (int i = 0; i < path; ++i)
      for (int c = 0; c < zs(); ++c) {
        BV[i * zs() + c] = vd{};
        for (int e = 0; e < zs(); ++e) BV[i * zs() + c] += B[i * zs() + e] * V[pair(e, c)];
      }
    vd* M = new_squares(ranks, totals);
    vd* weight = &weights_[n_squares_ - ranks];
    for (int a = 0; a < q_d; ++a) {
      for (int c = 0; c < zs(); ++c) {  // E_k C', column a
        vd* ec = &effect_[c * size_];
        std::fill(ec, ec + size_, vd{});
        for (int e = 0; e < zs(); ++e)
          for (int k = 0; k < size_; ++k) ec[k] += E[pair(c, e) * size_ + k] * B[a * zs() + e];
      }
      for (int i = a; i < path; ++i, M += size_, ++weight) {
        std::fill(M, M + size_, vd{});
        for (int c = 0; c < zs(); ++c)
          for (int k = 0; k < size_; ++k) M[k] += B[i * zs() + c] * effect_[c * size_ + k];
        for (int k = at_.below(level.d); k < size_; ++k) {
          const int z = theta_z(k - at_.p), e = theta_effect(k - at_.p, level);
          M[k] += P[i * path + e] * BV[a * zs() + z];
          if (e < q_d) M[k] += BV[i * zs() + z] * P[a * path + e];
        }
        *weight = vd{} + (i == a ? 0.5 : 1.0);
        if (i == a)
          for (int k = 0; k < size_; ++k) totals.gradient[k] -= 0.5 * M[k];
      }
    }
  }

  // dV- = J'dV J - [theta_k = (a, b) of this level] V-(e_a T_b' + T_b e_a')V-, and J'sigma.
  void pass_information(Level& level, std::size_t b) {
    const vd *E = of(level.E, ss() * size_, b), *J = of(level.J, zs() * zs(), b);
    const vd *V = of(level.V, ss(), b), *sigma = of(level.sigma, zs(), b);
    vd reduced[kMaxZ * kMaxZ], up[kMaxZ];
    for (int c = 0; c < zs(); ++c) {
      up[c] = vd{};
      for (int e = 0; e < zs(); ++e) up[c] += J[e * zs() + c] * sigma[e];
      for (int g = 0; g < zs(); ++g) {
        reduced[c * zs() + g] = vd{};
        for (int e = 0; e < zs(); ++e) reduced[c * zs() + g] += V[pair(c, e)] * J[e * zs() + g];
      }
    }
    std::fill(passed_.begin(), passed_.end(), vd{});
    for (int g = 0; g < zs(); ++g) {
      for (int c = 0; c < zs(); ++c) {  // E_k J, column g
        vd* ej = &effect_[c * size_];
        std::fill(ej, ej + size_, vd{});
        for (int e = 0; e < zs(); ++e)
          for (int k = 0; k < size_; ++k) ej[k] += E[pair(c, e) * size_ + k] * J[e * zs() + g];
      }
      for (int f = g; f < zs(); ++f)
        for (int c = 0; c < zs(); ++c)
          for (int k = 0; k < size_; ++k)
            passed_[pair(f, g) * size_ + k] += J[c * zs() + f] * effect_[c * size_ + k];
    }
    for (int k = at_.below(level.d); k < at_.below(level.d + 1); ++k) {
      const int z = theta_z(k - at_.p), e = theta_effect(k - at_.p, level);
      vd VT[kMaxZ];
      for (int c = 0; c < zs(); ++c) {
        VT[c] = vd{};
        for (int g = 0; g < zs(); ++g) VT[c] += reduced[c * zs() + g] * T(level, g, e);
      }
      for (int c = 0; c < zs(); ++c)
        for (int g = 0; g <= c; ++g)
          passed_[pair(c, g) * size_ + k] -=
              reduced[c * zs() + z] * VT[g] + reduced[g * zs() + z] * VT[c];
    }
    const std::int32_t* index = parents(level, b);
    scatter(passed_.data(), ss() * size_, 0, ss() * size_, index, parent(level).E.data());
    scatter(up, zs(), 0, zs(), index, parent(level).sigma.data());
  }

  // ---- second pass downwards, and the end
  // --------------------------------------------------------

  // v = H^-1 A'(w3 h): the node's own part and its ancestors'.
  void pass_v(Level& level, std::size_t b) {
    const int q_d = q(level);
    vd* v = of(level.v, level.path, b);
    if (!is_top(level)) {
      vd turn[kMaxZ];
      gather(parent(level).turn.data(), zs(), 0, zs(), parents(level, b), turn);
      gather(parent(level).v.data(), level.above, 0, level.above, parents(level, b), v + q_d);
      const vd* X = of(level.X, q_d * zs(), b);
      for (int a = 0; a < q_d; ++a)
        for (int c = 0; c < zs(); ++c) v[a] -= X[a * zs() + c] * turn[c];
    }
    pass_shift(level, b, v, level.turn, &Level::turn);
  }

  // omega = w4 h - w3 A v; sum omega D_k D_l apart from X'Omega X; sums of w D_k and w3 D_k
  // against the effects of all thetas of the path.
  void finish_leaves(std::size_t b, NestedTotals& totals) {
    Level& level = leaf();
    const int columns = at_.columns, p = at_.p;
    const vd* omega_z = weigh_rows(b);  // (omega zeta)'[X, Z]
    const vd* y = of(level.y, zs() * size_, b);
    vd *left = new_cross(zs(), totals), *right = &cross_right_[(n_cross_ - zs()) * size_];
    std::copy_n(y, zs() * size_, left);
    for (int c = 0; c < zs(); ++c) {
      vd* g = right + c * size_;
      std::copy_n(omega_z + c * columns, p, g);
      std::fill(g + p, g + size_, vd{});
      for (int e = 0; e < zs(); ++e) {
        const vd half = 0.5 * omega_z[c * columns + at_.zeta[e]];
        for (int k = 0; k < size_; ++k) g[k] += half * y[e * size_ + k];
      }
    }
    add_path_pairs(b, totals);
    vd* Sz = of(level.Sz, zs(), b);
    const vd *raw = of(level.raw, ss(), b), *turn = of(level.turn, zs(), b);
    for (int c = 0; c < zs(); ++c)
      for (int e = 0; e < zs(); ++e) Sz[c] -= raw[pair(c, e)] * turn[e];
  }

  const vd* weigh_rows(std::size_t b) {
    Level& level = leaf();
    const int columns = at_.columns;
    const auto pass = [&](std::size_t tile, std::size_t tiles, const vd* turn, vd* out) {
      for (std::size_t t0 = tile; t0 < tile + tiles; t0 += kChunkTiles) {
        const std::size_t count = std::min(kChunkTiles, tile + tiles - t0);
        for (std::size_t i = 0; i < count; ++i) {
          const std::size_t t = t0 + i, at = t - first_tile_;
          vd av{};
          for (int c = 0; c < zs(); ++c) av += zeta(t, c) * turn[c];
          const vd omega = w4_[at] - w3_[at] * av;
          for (int c = 0; c < zs(); ++c) left_[i * zs() + c] = omega * zeta(t, c);
          w_[at] = omega - w_[at];
        }
        add_cross(left_.data(), zs(), data_.x + t0 * columns, columns, columns, count, out, columns,
                  [](vd x) { return x; });
      }
    };
    over_rows(b, of(level.turn, zs(), b), zs(), out_.data(), zs() * columns, pass);
    return out_.data();
  }

  // For theta_i = Lambda[a, b]: -v_b sum w D_k z_a + 2 sum_c (sum w3 D_k z_a zeta_c)(T G)_cb.
  void add_path_pairs(std::size_t b, NestedTotals& totals) {
    Level& level = leaf();
    const int path = level.path;
    const vd *P = of(level.P, path * path, b), *B = of(level.B, path * zs(), b);
    const vd *raw = of(level.raw, ss(), b), *y = of(level.y, zs() * size_, b);
    const vd *E = of(level.E, ss() * size_, b), *v = of(level.v, path, b);
    const vd* cross = of(level.cross, (zs() + ss()) * at_.columns, b);
    vd cov[kMaxZ * kMaxEffects];  // cov(s, u) = B'P
    for (int c = 0; c < zs(); ++c)
      for (int j = 0; j < path; ++j) {
        cov[c * path + j] = vd{};
        for (int i = j; i < path; ++i) cov[c * path + j] += B[i * zs() + c] * P[i * path + j];
      }
    for (int c = 0; c < zs(); ++c) {  // sum w D_k zeta
      vd* dw = &effect_[c * size_];
      std::copy_n(cross + c * at_.columns, at_.p, dw);
      std::fill(dw + at_.p, dw + size_, vd{});
      for (int e = 0; e < zs(); ++e)
        for (int k = 0; k < size_; ++k) dw[k] += raw[pair(c, e)] * y[e * size_ + k];
    }
    for (int i = 0; i < at_.m(); ++i) {
      const int z = theta_z(i), e = at_.theta_column[i];
      vd* pairs = &totals.pairs[static_cast<std::size_t>(i) * size_];
      for (int k = 0; k < size_; ++k) pairs[k] -= v[e] * effect_[z * size_ + k];
      for (int c = 0; c < zs(); ++c)
        for (int k = 0; k < size_; ++k) pairs[k] -= cov[c * path + e] * E[pair(z, c) * size_ + k];
    }
  }

  // For theta_i = Lambda[a, b] of the node: sum (w3 h - w A v) z_a times du_b / dpsi_k.
  void finish_nodes(Level& level, std::size_t b, NestedTotals& totals) {
    if (!is_top(level)) {
      scatter(of(level.Sz, zs(), b), zs(), 0, zs(), parents(level, b), parent(level).Sz.data());
    }
    const vd* Sz = of(level.Sz, zs(), b);
    const vd* du = level.derivatives + b * q(level) * size_;
    for (int i = at_.theta_first[level.d]; i < at_.theta_first[level.d + 1]; ++i) {
      vd* pairs = &totals.pairs[static_cast<std::size_t>(i) * size_];
      const vd* of_effect = du + theta_effect(i, level) * size_;
      for (int k = 0; k < size_; ++k) pairs[k] += Sz[theta_z(i)] * of_effect[k];
    }
  }

  // ---- sums of rank-one terms
  // --------------------------------------------------------------------

  // Room for `count` vectors of parameters whose weighted squares make part of the Hessian.
  vd* new_squares(int count, NestedTotals& totals) {
    flush_squares(totals, kRanks);
    resize(squares_, (n_squares_ + count) * size_);
    resize(weights_, n_squares_ + count);
    vd* out = &squares_[n_squares_ * size_];
    n_squares_ += count;
    return out;
  }

  void flush_squares(NestedTotals& totals, std::size_t least) {
    if (n_squares_ <= least) return;
    add_gram(squares_.data(), size_, size_, weights_.data(), n_squares_, totals.hessian.data(),
             size_);
    n_squares_ = 0;
  }

  // The same for products of two different vectors; returns the left ones.
  vd* new_cross(int count, NestedTotals& totals) {
    flush_cross(totals, kRanks);
    resize(cross_left_, (n_cross_ + count) * size_);
    resize(cross_right_, (n_cross_ + count) * size_);
    vd* out = &cross_left_[n_cross_ * size_];
    n_cross_ += count;
    return out;
  }

  void flush_cross(NestedTotals& totals, std::size_t least) {
    if (n_cross_ <= least) return;
    add_cross(cross_left_.data(), size_, cross_right_.data(), size_, size_, n_cross_,
              totals.cross.data(), size_, [](vd x) { return sum(x); });
    n_cross_ = 0;
  }

  // X'(Omega - W)X and X'r.
  void multiply_columns(NestedTotals& totals) {
    const auto stride = static_cast<std::size_t>(at_.columns);
    for (std::size_t t = 0; t < tiles_; t += kChunkTiles) {
      const std::size_t tiles = std::min(kChunkTiles, tiles_ - t);
      const vd* x = data_.x + (first_tile_ + t) * stride;
      add_gram(x, stride, at_.p, &w_[t], tiles, totals.gram.data(), at_.p);
      add_product(x, stride, at_.p, &r_[t], tiles, totals.product.data());
    }
  }

  const NestedPoint& at_;
  const NestedLayout& layout_;
  NestedTiles data_;
  std::vector<NestedModes>& modes_;
  int size_;
  std::vector<Level> levels_;
  std::size_t first_tile_ = 0, tiles_ = 0, first_leaf_ = 0;
  std::size_t inner_iterations_ = 0;
  std::vector<vd> eta0_, r_, w_, w3_, w4_;                      // per tile of the slot
  std::vector<double> length_, norm_, norm_there_, decrement_;  // per tree
  std::vector<State> state_;
  vd factor_inverse_[kMaxQ * kMaxQ];
  std::vector<vd> n_, gathered_, passed_, effect_, out_, part_, left_;
  std::vector<vd> squares_, weights_, cross_left_, cross_right_;
  std::size_t n_squares_ = 0, n_cross_ = 0;
};

}  // namespace multilogit

// The trees of one slot of a nested model: what is known of their nodes, how nodes talk to their
// parents, and sums over the rows of leaves (docs/mathematics.md, section 8).
//
// With T of nested_point.hpp, a node tells its parent what its rows know about the shift s of
// their predictors that its ancestors make (eta = ... + zeta's): the information V = sum w zeta
// zeta', and what is left of it when the node's own effects are eliminated,
//
//   H = I + T'VT = LL',   X = H^-1 T'V,   J = I - TX,   V- = VJ,
//
// so the work per node does not depend on depth. Downwards, u given s has mean -X s.
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
#include "nested_point.hpp"
#include "nested_rows.hpp"
#include "packed.hpp"
#include "simd.hpp"
#include "small_cholesky.hpp"

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

// What the levels above a forest give, as fields of the level above `top`; null: nothing is there.
struct Boundary {
  const vd* shift = nullptr;   // s
  const vd* y = nullptr;       // ds / dpsi_k
  const vd* weight = nullptr;  // a factor of everything that is added up
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

  // The nodes of one level in the present slot. A field holds, block by block, its components one
  // after the other, a vector register each. All fields but those that are `Kept` belong to the
  // blocks of the window, which are all blocks but where there are very many leaves.
  struct Level {
    int d, q_d, above, path;            // own effects, those of the ancestors in the forest, both
    std::size_t blocks = 0, first = 0;  // of the window
    std::size_t all_blocks = 0, all_first = 0;
    const std::int32_t *parent = nullptr, *all_parents = nullptr;
    const std::int32_t* root = nullptr;
    std::vector<std::int32_t> all_roots;  // position in level `top`
    vd *u = nullptr, *all_u = nullptr;
    vd* derivatives = nullptr;      // q_d x parameters: du / dpsi_k
    vd* all_derivatives = nullptr;  // null: of the window alone
    std::vector<vd> own_u, own_derivatives;
    Kept V;                        // sum below
    std::vector<vd> R, raw;        // sums below: r zeta; w zeta zeta'
    Kept gradient, step;           // of u
    std::vector<vd> trial, shift;  // u; T u of the node and its ancestors
    std::vector<vd> X, J, Linv;
    std::vector<vd> solved, reduced;  // forward solution, message upwards
    std::vector<vd> P, B;
    std::vector<vd> pw;       // distinct columns x parameters: sum w zeta P_k, reduced
    std::vector<vd> y;        // distinct columns x parameters: d shift / dpsi_k
    std::vector<vd> E;        // packed x parameters: dV / dpsi_k
    Kept sigma;               // right side of v
    std::vector<vd> v, turn;  // v of the path; T v of the node and its ancestors
    std::vector<vd> Sz;       // sum (w3 h - w A v) zeta
    std::vector<vd> weight;   // of the node's tree: factor of its sums
    std::vector<vd> spread;   // quadrature: N, packed, of the node's root
    std::vector<vd> cross;    // leaves: (w zeta | w3 zeta zeta') x width

    Level(const NestedPoint& at, int level, int top)
        : d(level),
          q_d(at.effects(level)),
          above(at.first[top + 1] - at.first[level + 1]),
          path(at.first[top + 1] - at.first[level]) {}
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
  double T(const Level& level, int c, int a) const {
    return at_.T[static_cast<std::size_t>(c) * at_.q() + at_.first[level.d] + a];
  }

  // theta_i as an element of its level's Lambda: the distinct column of its row; its column,
  // counted from the first effect of `from`.
  int theta_z(int i) const { return at_.effect_z[at_.theta_row[i]]; }
  int theta_effect(int i, const Level& from) const {
    return at_.theta_column[i] - at_.first[from.d];
  }

  // ---- fields and messages ---------------------------------------------------------------------

  static vd* of(std::vector<vd>& field, int components, std::size_t block) {
    return field.data() + block * components;
  }
  static vd* of(Kept& field, int components, std::size_t block) {
    return field.here + block * components;
  }
  const std::int32_t* parents(const Level& level, std::size_t b) const {
    return level.parent + b * kLanes;
  }
  const std::int32_t* roots(const Level& level, std::size_t b) const {
    return level.root + b * kLanes;
  }

  // out = components `from` .. `from + count - 1` of `components` at the nodes of `index`.
  static void gather(const vd* field, int components, int from, int count,
                     const std::int32_t* index, vd* out) {
    auto* to = reinterpret_cast<double*>(out);
    for (int lane = 0; lane < kLanes; ++lane) {
      const double* at = lane_of(field, components, index[lane]) + from * kLanes;
      for (int c = 0; c < count; ++c) to[c * kLanes + lane] = at[c * kLanes];
    }
  }

  // Adds to the nodes of `index`. Lanes without a node add zeros to the first one.
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

  // `count` components of a field of the level above: of this forest, or of its boundary.
  void gather_above(const Level& level, std::size_t b, std::vector<vd> Level::* member,
                    const vd* boundary, int count, vd* out) {
    const vd* field = is_top(level) ? boundary : (parent(level).*member).data();
    if (field == nullptr)
      std::fill(out, out + count, vd{});
    else
      gather(field, count, 0, count, parents(level, b), out);
  }

  // field = T own + what the level above has there.
  void pass_shift(Level& level, std::size_t b, const vd* own, std::vector<vd> Level::* member,
                  const vd* boundary) {
    vd* out = of(level.*member, zs(), b);
    gather_above(level, b, member, boundary, zs(), out);
    for (int c = 0; c < zs(); ++c)
      for (int a = 0; a < q(level); ++a) out[c] += T(level, c, a) * own[a];
  }

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
  static void clear(std::vector<vd>& array) { std::fill(array.begin(), array.end(), vd{}); }
  static void clear(Kept& array) { clear(array.all); }

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
    for (int d = top_; d >= 0; --d)
      for (std::size_t i = 0; i < levels_[d].all_roots.size(); ++i)
        levels_[d].all_roots[i] = d == top_ ? static_cast<std::int32_t>(i)
                                            : levels_[d + 1].all_roots[levels_[d].all_parents[i]];
  }

  // Fields of a block of leaves without those that are kept.
  std::size_t leaf_registers() {
    const std::size_t q_d = q(leaf()), path = leaf().path, zs = this->zs(), size = size_;
    return 5 * zs + ss() + 2 * q_d + 2 + q_d * zs + zs * zs + q_d * q_d + path * path +
           path * (zs + 1) + zs * size + (zs + ss()) * at_.width() + q_d * size;
  }

  void open_level(Level& level) {
    const NestedLevel& layout = layout_.levels[level.d];
    const int q_d = q(level);
    const bool is_leaf = level.d == 0;
    level.all_parents = layout.parent.empty() ? nullptr : &layout.parent[level.all_first * kLanes];
    level.all_roots.resize(level.all_blocks * kLanes);
    resize(level.V.all, level.all_blocks * ss());
    resize(level.sigma.all, level.all_blocks * zs());
    for (auto* field : {&level.gradient, &level.step}) resize(field->all, level.all_blocks * q_d);
    const std::size_t n = is_leaf ? window_ : level.all_blocks;
    for (auto* field : {&level.R, &level.shift, &level.reduced, &level.turn, &level.Sz})
      resize(*field, n * zs());
    resize(level.raw, n * ss());
    for (auto* field : {&level.trial, &level.solved}) resize(*field, n * q_d);
    level.weight.assign(n, vd{} + 1.0);
    resize(level.X, n * q_d * zs());
    resize(level.J, n * zs() * zs());
    resize(level.Linv, n * q_d * q_d);
    resize(level.P, n * level.path * level.path);
    resize(level.B, n * level.path * zs());
    resize(level.v, n * level.path);
    resize(level.y, n * zs() * size_);
    if (is_leaf) {
      resize(level.cross, n * (zs() + ss()) * at_.width());
    } else {
      resize(level.pw, n * zs() * size_);
      resize(level.E, n * ss() * size_);
    }
    look_at(level, 0, n);
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
    level.root = level.all_roots.data() + from * kLanes;
    level.V.here = level.V.all.data() + from * ss();
    level.sigma.here = level.sigma.all.data() + from * zs();
    level.gradient.here = level.gradient.all.data() + from * q_d;
    level.step.here = level.step.all.data() + from * q_d;
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

  // ---- elimination -----------------------------------------------------------------------------

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
        for (int e = 0; e < zs(); ++e) VT[c * kMaxQ + a] += V[packed(c, e)] * T(level, e, a);
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
        vd v = V[packed(c, e)];
        for (int a = 0; a < q(level); ++a) v -= VT[c * kMaxQ + a] * out.X[a * zs() + e];
        out.V[packed(c, e)] = v;
      }
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

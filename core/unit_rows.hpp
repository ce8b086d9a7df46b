// What a unit of groups is made of: the point of the evaluation, the tiles of its rows, and what
// all kinds of response do with them.
//
// A unit is as many small groups as there are lanes, side by side (lane j of every number belongs
// to group j), or one group whose rows fill the lanes: there a sum over rows adds up the lanes, and
// all lanes of the group's numbers are equal. The same code serves both.
//
// A row's linear predictor has C components, the logits (binomial response: C = 1), and column k of
// the tiles enters it in C ways: e_c x_k, c < C. These C times `columns` vectors are its
// regressors; the first p are those of beta, logit by logit, and every random effect has one of
// them.
#pragma once

#include <cstddef>
#include <cstring>
#include <vector>

#include "gram.hpp"
#include "packed.hpp"
#include "products.hpp"
#include "simd.hpp"
#include "sum_of_logs.hpp"

namespace multilogit {

// What all units share during one evaluation: the point psi = (beta, theta) and the shapes.
struct Point {
  int logits = 1;              // C
  int x_columns = 0;           // columns of X
  int columns = 0;             // columns of a tile: X, then those of Z that are not in X
  int p = 0;                   // fixed effects: C for every column of X
  int q = 0;                   // random effects per group
  std::vector<int> z_column;   // q: the tile's column of effect a
  std::vector<int> z_logit;    // q: the logit of effect a
  std::vector<int> z;          // q: the regressor of effect a
  std::vector<double> beta;    // p
  std::vector<double> Lambda;  // q x q, row-major, lower triangle
  std::vector<int> theta_row;  // m: theta_k is Lambda[theta_row[k], theta_column[k]]
  std::vector<int> theta_column;
  std::vector<double> nodes;        // K^q x q: nodes of the standard normal; empty: Laplace
  std::vector<double> log_weights;  // K^q
  std::vector<double> change;       // p + m: psi minus the psi of the stored mode derivatives

  int m() const { return static_cast<int>(theta_row.size()); }
  int size() const { return p + m(); }
  int regressors() const { return logits * columns; }
  int regressor(int logit, int column) const {
    return column < x_columns ? logit * x_columns + column
                              : p + logit * (columns - x_columns) + column - x_columns;
  }
};

// The rows of a unit.
struct RowTiles {
  const vd* x;       // tiles x columns
  const vd* y;       // tiles x C: successes, or counts of the categories but the baseline
  const vd* n;       // trials
  const vd* offset;  // null when there is none
  std::size_t tiles;
  bool groups_in_lanes;
  bool single_trials;  // every n is 0 or 1
};

// Weights of the global products X'diag(omega - w)X, one for every pair of logits, and of X'r, one
// for every logit, waiting for enough tiles.
struct Flat {
  std::vector<std::vector<vd>> weight, r;
  const vd* x = nullptr;        // first waiting tile
  std::size_t waiting = 0;      // number of waiting tiles
  std::vector<double> gram;     // pairs of logits (packed) x columns of X squared, upper triangles
  std::vector<double> product;  // logits x columns of X

  explicit Flat(const Point& at)
      : weight(packed_size(at.logits)),
        r(at.logits),
        gram(weight.size() * at.x_columns * at.x_columns),
        product(at.p) {}

  // Makes room for so many more tiles, the first of which is at `tile`.
  void expect(const vd* tile, std::size_t tiles) {
    if (waiting == 0) x = tile;
    if (r[0].size() >= waiting + tiles) return;
    for (auto* arrays : {&weight, &r})
      for (auto& array : *arrays) array.resize(waiting + tiles);
  }

  void arrived(const Point& at, std::size_t tiles) {
    waiting += tiles;
    if (waiting >= kChunkTiles) flush(at);
  }

  void flush(const Point& at) {
    const auto stride = static_cast<std::size_t>(at.columns);
    const auto px = static_cast<std::size_t>(at.x_columns);
    for (std::size_t t = 0; t < waiting; t += kChunkTiles) {
      const std::size_t tiles = std::min(kChunkTiles, waiting - t);
      const vd* chunk = x + t * stride;
      for (std::size_t j = 0; j < weight.size(); ++j)
        add_gram(chunk, stride, px, &weight[j][t], tiles, &gram[j * px * px], px);
      for (std::size_t j = 0; j < r.size(); ++j)
        add_product(chunk, stride, px, &r[j][t], tiles, &product[j * px]);
    }
    waiting = 0;
  }
};

// Whether there are units for the commonest numbers of effects, known to the compiler: they are
// faster and take longer to compile.
#ifdef MULTILOGIT_ANY_SIZE
constexpr bool kSizedUnits = false;
#else
constexpr bool kSizedUnits = true;
#endif

// Most random effects per group, and most logits of a model with random effects.
constexpr int kMaxEffects = 16;
constexpr int kMaxLogits = 16;

// What the rows of all responses have: tiles, and q effects in them (Q = 0: any number).
template <int Q>
class UnitRows {
 public:
  explicit UnitRows(const Point& at) : at_(at) {}
  bool groups_in_lanes() const { return rows_.groups_in_lanes; }

 protected:
  static constexpr int kMaxQ = Q > 0 ? Q : kMaxEffects;
  static constexpr int kMaxS = packed_size(kMaxQ);

  int q() const { return Q > 0 ? Q : at_.q; }
  int s() const { return packed_size(q()); }
  const vd* x(std::size_t t) const { return rows_.x + t * at_.columns; }
  vd z(std::size_t t, int a) const { return x(t)[at_.z_column[a]]; }

  // Room for a chunk of tiles x `height` weights; it never shrinks, so that nothing is cleared.
  vd* room(int height) {
    const std::size_t needed = kChunkTiles * static_cast<std::size_t>(height);
    if (left_.size() < needed) left_.resize(needed);
    return left_.data();
  }

  // Products of `height` weights with the columns; Height: the same, known to the compiler, or 0.
  // The first of them are those with tile 0.
  template <int Height>
  void add_products(const vd* weights, int height, std::size_t t0, std::size_t tiles,
                    std::vector<vd>& sums) const {
    const auto columns = static_cast<std::size_t>(at_.columns);
    if constexpr (Height > 0) {
      multilogit::multiply_columns<Height>(weights, x(t0), columns, columns, tiles, t0 > 0,
                                           sums.data());
    } else {
      if (t0 == 0) std::fill(sums.begin(), sums.end(), vd{});
      add_cross(weights, height, x(t0), columns, columns, tiles, sums.data(), columns);
    }
  }
  void start_products(int height, std::vector<vd>& sums) const {
    const std::size_t size = static_cast<std::size_t>(height) * at_.columns;
    if (sums.size() != size) sums.resize(size);
  }

  // A group's sum over its rows: they are side by side, or one after the other in a lane.
  vd over_rows(vd x) const { return rows_.groups_in_lanes ? x : splat(sum(x)); }
  vd largest_of_rows(vd x) const { return rows_.groups_in_lanes ? x : splat(largest(x)); }
  void over_rows(std::vector<vd>& sums) const {
    if (rows_.groups_in_lanes) return;
    for (vd& x : sums) x = splat(sum(x));
  }

  // n_t log(1 + x)
  template <class Log1p>
  void add_log(std::size_t t, vd x, const Log1p& log1p, SumOfLogs& logs) const {
    logs.add(rows_.n[t], x, rows_.single_trials, log1p);
  }

  void finish_sums(const vd* rz, const vd* wzz, vd* Rz, vd* Wzz) const {
    for (int a = 0; a < q(); ++a) Rz[a] = this->over_rows(rz[a]);
    for (int c = 0; c < s(); ++c) Wzz[c] = this->over_rows(wzz[c]);
  }

  const Point& at_;
  RowTiles rows_{};

 private:
  std::vector<vd> left_;
};

}  // namespace multilogit

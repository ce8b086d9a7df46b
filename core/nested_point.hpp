// What all trees of a nested model share during one evaluation.
//
//   eta_i = x_i'beta + o_i + sum_d z_id' Lambda_d u_(node of i at level d)
//
// Level 0 holds the leaves, the last level the roots. The effects of all levels, leaves first,
// make up the path of a row: q of them. Many of their columns of Z are the same one (the
// intercept, at every level), so all row sums are over the distinct columns zeta of Z, and
// T (distinct columns x path) takes Lambda's place: eta = X beta + o + zeta'T u.
//
// With several logits, a row's eta has one component for each, column k of the tiles enters it in
// C ways, e_c x_k with c < C, and zeta holds distinct pairs of a column and a logit. Sums over rows
// of something times e_c x_k, for all c and k, are vectors of `width` numbers, logit by logit.
#pragma once

#include <cstddef>
#include <vector>

#include "simd.hpp"

namespace multilogit {

// Most random effects of a row, those of all levels together.
constexpr int kMaxPath = 32;

// Nodes of the standard normal in the dimension of a level's effects, and log weights whose
// exponentials add up to 1. One after the other they are near each other.
struct NodeRule {
  std::vector<double> nodes;  // count x effects
  std::vector<double> log_weights;

  int count() const { return static_cast<int>(log_weights.size()); }
};

struct NestedPoint {
  bool categorical = false;     // the response: categories, or successes
  int logits = 1;               // C; binomial response: 1
  int x_columns = 0;            // columns of X, the first of a tile
  int columns = 0;              // columns of a tile: X, then those of Z that are not in X
  int p = 0;                    // fixed effects: one for every logit and column of X, in this order
  std::vector<int> zeta;        // the tile's columns that are zeta
  std::vector<int> zeta_logit;  // and the logit that each belongs to
  std::vector<int> effect_z;    // path effect a has column zeta[effect_z[a]]
  std::vector<int> first;       // effects first[d] .. first[d + 1] - 1 of the path are of level d
  std::vector<int> theta_row;   // theta_i is Lambda[theta_row[i], theta_column[i]]
  std::vector<int> theta_column;
  std::vector<int> theta_first;  // theta_first[d] .. theta_first[d + 1] - 1 are of level d
  std::vector<double> beta;      // p
  std::vector<double> Lambda;    // q x q, row-major
  std::vector<double> T;         // distinct columns x q, row-major
  std::vector<NodeRule> nodes;   // by level; empty: Laplace
  std::vector<double> change;    // p + m: psi minus the psi of the stored mode derivatives

  int levels() const { return static_cast<int>(first.size()) - 1; }
  int width() const { return logits * columns; }
  // Where zeta c stands in a vector of `width` numbers.
  int regressor(int c) const { return zeta_logit[c] * columns + zeta[c]; }
  int q() const { return first.empty() ? 0 : first.back(); }
  int zs() const { return static_cast<int>(zeta.size()); }
  int m() const { return static_cast<int>(theta_row.size()); }
  int size() const { return p + m(); }
  int effects(int d) const { return first[d + 1] - first[d]; }
  // Parameters 0 .. below(d) - 1 are beta and the thetas of levels below d.
  int below(int d) const { return p + theta_first[d]; }
};

// Modes and what goes with them, kept between evaluations: for every block of nodes the
// components one after the other, a vector register each.
struct NestedModes {
  std::vector<vd> u;            // q_d per block
  std::vector<vd> derivatives;  // q_d (p + m) per block, or empty where that would be large
  std::vector<vd> covariance;   // q_d (q_d + 1) / 2 per block: of b = Lambda u
};

}  // namespace multilogit

// How far Laplace's approximation is off: the next term of the expansion of the integral
// (Shun & McCullagh 1995; Raudenbush, Yang & Yosef 2000), with h_ij = a_i'H^-1 a_j,
//
//   -1/8 sum_i w4_i h_ii^2 + 1/8 g'H^-1 g + 1/12 sum_ij w3_i w3_j h_ij^3,   g = A'(w3 h)
//
// In the last sum rows that have no level in common are left out, and of h_ij of two rows of a
// level what other levels contribute: all of it is second to what is kept.
#include <limits>

#include "crossed.hpp"
#include "crossed_lanes.hpp"
#include "small_cholesky.hpp"

namespace multilogit {

// At psi, where the modes are found first; not a number where they are not.
double CrossedData::correction(const double* psi, std::size_t threads) {
  double value;
  const bool settled = settle(psi, threads, value);
  last_psi_.clear();  // u_k belong to another point
  if (!settled) return std::numeric_limits<double>::quiet_NaN();
  invert(threads);
  double fourth = 0.0, third = 0.0;
  std::vector<double> g(layout_.variables());
  for (std::size_t i = 0; i < layout_.rows; ++i) {
    h_[i] = weigh_form(i);
    fourth += w4_[i] * h_[i] * h_[i];
    third += w3_[i] * w3_[i] * h_[i] * h_[i] * h_[i];
    for (int f = 0; f < layout_.factors; ++f)
      for (int e = 0; e < layout_.effects[f]; ++e)
        g[variable(i)[f] + e] += a_[i * q_ + first(f) + e] * w3_[i] * h_[i];
  }
  std::vector<double> v = g;
  solve(v.data(), 1, threads);
  double squares = 0.0;
  for (std::size_t j = 0; j < g.size(); ++j) squares += g[j] * v[j];
  for (std::size_t group = 0; group < layout_.groups; ++group) {
    const std::size_t q_E = layout_.effects[0], from = layout_.group_rows[group];
    std::vector<std::int32_t> rows(layout_.group_rows[group + 1] - from);
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::int32_t>(from + i);
    third +=
        level_third(0, &cov_E_[group * q_E * q_E], q_E, rows.data(), rows.data() + rows.size());
  }
  for (std::size_t c = 0; c < layout_.blocks(); ++c)
    third += level_third(layout_.block_factor[c], &cov_R_[layout_.block_position[c] * widest_],
                         widest_, layout_.block_rows.begin(c), layout_.block_rows.end(c));
  return -fourth / 8.0 + squares / 8.0 + third / 12.0;
}

// sum w3_i w3_j (a_i'C a_j)^3 over pairs of different rows of one level of factor f, C its block of
// H^-1. With C = LL' and b = L'a the sum over all pairs is the square of sum w3 b x b x b.
double CrossedData::level_third(int f, const double* C, std::size_t stride,
                                const std::int32_t* from, const std::int32_t* to) const {
  const int q = layout_.effects[f];
  double block[kMaxRowEffects * kMaxRowEffects], b[kMaxRowEffects];
  for (int e = 0; e < q; ++e) std::copy_n(C + e * stride, q, block + e * kMaxRowEffects);
  SmallCholesky<kMaxRowEffects, double> root;
  root.factor(block, q);
  std::vector<double> moments(static_cast<std::size_t>(q) * q * q);
  double same = 0.0;
  for (; from != to; ++from) {
    const auto i = static_cast<std::size_t>(*from);
    double h = 0.0;
    for (int d = 0; d < q; ++d) {
      b[d] = 0.0;
      for (int e = d; e < q; ++e)
        b[d] += root.L[e * kMaxRowEffects + d] * a_[i * q_ + first(f) + e];
      h += b[d] * b[d];
    }
    same += w3_[i] * w3_[i] * h * h * h;
    double* out = moments.data();
    for (int c = 0; c < q; ++c)
      for (int d = 0; d < q; ++d)
        for (int e = 0; e < q; ++e) *out++ += w3_[i] * b[c] * b[d] * b[e];
  }
  double sum = -same;
  for (const double moment : moments) sum += moment * moment;
  return sum;
}

}  // namespace multilogit

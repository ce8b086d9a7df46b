// How far Laplace's approximation is off: the next term of the expansion of the integral
// (Shun & McCullagh 1995; Raudenbush, Yang & Yosef 2000), with h_ij = a_i'H^-1 a_j,
//
//   -1/8 sum_i w4_i h_ii^2 + 1/8 g'H^-1 g + 1/12 sum_ij w3_i w3_j h_ij^3,   g = A'(w3 h),
//
// for categorical responses with cumulants in place of products with w3 and w4.
// In the last sum rows that have no level in common are left out, and of h_ij of two rows of a
// level what other levels contribute: all of it is second to what is kept.
#include <cmath>
#include <limits>

#include "crossed.hpp"
#include "crossed_rows.hpp"

namespace multilogit {

namespace {

// LL' = a packed matrix, L n x n; columns of pivots that rounding left of zero are zero.
void lower_root(int n, const double* packed_matrix, double* L) {
  std::fill_n(L, n * n, 0.0);
  for (int j = 0; j < n; ++j) {
    double pivot = packed_matrix[packed(j, j)];
    for (int k = 0; k < j; ++k) pivot -= L[j * n + k] * L[j * n + k];
    if (!(pivot > 1e-14 * packed_matrix[packed(j, j)])) continue;
    L[j * n + j] = std::sqrt(pivot);
    for (int i = j + 1; i < n; ++i) {
      double sum = packed_matrix[packed(i, j)];
      for (int k = 0; k < j; ++k) sum -= L[i * n + k] * L[j * n + k];
      L[i * n + j] = sum / L[j * n + j];
    }
  }
}

}  // namespace

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
    double covariance[kMaxRowEffects * kMaxRowEffects];
    row_covariance(i, covariance);
    const RowInverse<AnySizes> row = form_row(i, covariance);
    const double* A = effects_of(i);
    fourth += fourth_of_form(i, row);
    third += third_squared(i, row.V);
    for (int c = 0; c < C_; ++c)
      for (int f = 0; f < layout_.factors; ++f)
        for (int e = 0; e < layout_.effects[f]; ++e)
          g[variable(i)[f] + e] += A[c * q_ + first(f) + e] * row.t[c];
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

// kappa4(V, V): w4 h^2.
double CrossedData::fourth_of_form(std::size_t i, const RowInverse<AnySizes>& row) const {
  const double nothing[kMaxRowLogits] = {};
  double omega1[kMaxRowLogits], M[kMaxLogitPairs], sum = 0.0;
  curvature(i, row, nothing, omega1, M);
  for (int c = 0; c < C_; ++c)
    for (int d = 0; d < C_; ++d)
      sum -= 2.0 * (M[packed(c, d)] + weight(i, c, d)) * row.V[packed(c, d)];
  return sum;
}

// The sum of kappa3_abc kappa3_def V_ad V_be V_cf: w3^2 h^3.
double CrossedData::third_squared(std::size_t i, const double* V) const {
  double pairs[kMaxLogitPairs];
  double root[kMaxRowLogits * kMaxRowLogits], cube[kMaxRowLogits * kMaxRowLogits * kMaxRowLogits];
  if (!categorical_) return w3_[i] * w3_[i] * V[0] * V[0] * V[0];
  std::copy_n(V, packed_size(C_), pairs);
  lower_root(C_, pairs, root);
  std::fill_n(cube, C_ * C_ * C_, 0.0);
  add_cube(i, root, C_, cube);
  double sum = 0.0;
  for (int j = 0; j < C_ * C_ * C_; ++j) sum += cube[j] * cube[j];
  return sum;
}

// out_cde += kappa3(B_c, B_d, B_e) for the q columns of B, C x q.
void CrossedData::add_cube(std::size_t i, const double* B, int q, double* out) const {
  double pi[kMaxRowLogits], s[kMaxRowLogits], K[kMaxLogitPairs], KB[kMaxRowLogits];
  if (!categorical_) {
    for (int c = 0; c < q; ++c)
      for (int d = 0; d < q; ++d)
        for (int e = 0; e < q; ++e) *out++ += w3_[i] * B[c] * B[d] * B[e];
    return;
  }
  detail::load_row(C_, &pi_[i], padded_, pi);
  for (int c = 0; c < q; ++c) {
    for (int j = 0; j < C_; ++j) {
      s[j] = 0.0;
      for (int l = 0; l < C_; ++l) s[j] += weight(i, j, l) * B[l * q + c];
    }
    third_of_direction(C_, pi, s, K);
    for (int d = 0; d < q; ++d) {
      for (int j = 0; j < C_; ++j) {
        KB[j] = 0.0;
        for (int l = 0; l < C_; ++l) KB[j] += K[packed(j, l)] * B[l * q + d];
      }
      for (int e = 0; e < q; ++e, ++out)
        for (int j = 0; j < C_; ++j) *out += KB[j] * B[j * q + e];
    }
  }
}

// The last sum over pairs of different rows of one level of factor f, `covariance` its block of
// H^-1. With its root L and B = A L the sum over all pairs is the square of sum kappa3(B, B, B).
double CrossedData::level_third(int f, const double* covariance, std::size_t stride,
                                const std::int32_t* from, const std::int32_t* to) const {
  const int q = layout_.effects[f];
  double block[kMaxRowEffects * (kMaxRowEffects + 1) / 2], root[kMaxRowEffects * kMaxRowEffects];
  double B[kMaxRowLogits * kMaxRowEffects], V[kMaxLogitPairs], same = 0.0;
  for (int d = 0; d < q; ++d)
    for (int e = 0; e <= d; ++e) block[packed(d, e)] = covariance[d * stride + e];
  lower_root(q, block, root);
  std::vector<double> cube(static_cast<std::size_t>(q) * q * q);
  for (; from != to; ++from) {
    const auto i = static_cast<std::size_t>(*from);
    for (int c = 0; c < C_; ++c)
      for (int d = 0; d < q; ++d) {
        double sum = 0.0;
        for (int e = d; e < q; ++e) sum += effects_of(i)[c * q_ + first(f) + e] * root[e * q + d];
        B[c * q + d] = sum;
      }
    for (int c = 0; c < C_; ++c)
      for (int d = 0; d <= c; ++d) {
        double sum = 0.0;
        for (int e = 0; e < q; ++e) sum += B[c * q + e] * B[d * q + e];
        V[packed(c, d)] = sum;
      }
    same += third_squared(i, V);
    add_cube(i, B, q, cube.data());
  }
  double sum = -same;
  for (const double element : cube) sum += element * element;
  return sum;
}

}  // namespace multilogit

// Derivatives of the crossed model's l(psi) at the modes: everything but the trace of H^-1 H_k H^-1
// H_l.
#include "crossed_derivatives.hpp"

#include <algorithm>

#include "crossed_lanes.hpp"
#include "crossed_rows.hpp"

namespace multilogit {

namespace {

// sum_j a[j stride] x[index[j]], in four sums that do not wait for each other.
double gathered_dot(const double* a, std::size_t stride, const double* x, const std::int32_t* index,
                    std::size_t count) {
  double sums[4] = {};
  std::size_t j = 0;
  for (; j + 4 <= count; j += 4)
    for (std::size_t c = 0; c < 4; ++c) sums[c] += a[(j + c) * stride] * x[index[j + c]];
  for (; j < count; ++j) sums[0] += a[j * stride] * x[index[j]];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

// Rows whose products are formed together.
constexpr std::size_t kBatch = 64;

// out_kl += sum_i left_ik right_il over rows i of `vectors` registers; some lines at a time.
void add_products(const vd* left, const vd* right, std::size_t rows, std::size_t vectors, vd* out) {
  const double* l = doubles(left);
  for (std::size_t k = 0; k < vectors * kLanes; k += kLanes)
    for (std::size_t v = 0; v < vectors; ++v) {
      vd sums[kLanes] = {};
      for (std::size_t i = 0; i < rows; ++i)
        for (int j = 0; j < kLanes; ++j)
          sums[j] += l[i * vectors * kLanes + k + j] * right[i * vectors + v];
      for (int j = 0; j < kLanes; ++j) out[(k + j) * vectors + v] += sums[j];
    }
}

}  // namespace

// r, W and what the derivatives of W need, of every row; the sum of l_i.
double CrossedData::differentiate_rows(std::size_t threads) {
  std::vector<double> sums(row_ranges_.count());
  for_each_range(row_ranges_, threads, [&](std::size_t, std::size_t range, std::size_t t) {
    double eta[kMaxRowLogits * kLanes];
    scalar_effects() ? predict_tile<Scalars>(t, u_, eta) : predict_tile<AnySizes>(t, u_, eta);
    sums[range] += differentiate_tile(t, eta);
  });
  double total = 0.0;
  for (const double part : sums) total += part;
  return total;
}

// The elements of H^-1 that meet in a row.
void CrossedData::invert(std::size_t threads) {
  remainder_->invert(threads);
  if (plan_.filled) multiply_filled(K_.data(), 1, -1.0, G_.data(), 1, threads);
  const int q_E = layout_.effects[0];
  for_each_slot(stripe_ranges_.count(), threads, [&](std::size_t, std::size_t range) {
    std::vector<double> work(layout_.remainder);
    for (std::size_t t = stripe_ranges_.first[range]; t < stripe_ranges_.first[range + 1]; ++t)
      invert_stripe(t, work.data());
  });
  for_each_range(group_ranges_, threads, [&](std::size_t, std::size_t, std::size_t g) {
    double* out = &cov_E_[g * q_E * q_E];
    std::copy_n(&Hinv_[g * q_E * q_E], q_E * q_E, out);
    for (std::int64_t s = layout_.group_slots[g]; s < layout_.group_slots[g + 1]; ++s)
      for (int e = 0; e < q_E; ++e)
        for (int d = 0; d < q_E; ++d) out[e * q_E + d] -= K_[s * q_E + e] * G_[s * q_E + d];
  });
}

// What the columns of a stripe of S^-1 give: (H^-1)_gR = -K_g S^-1, and the blocks of S^-1 itself.
void CrossedData::invert_stripe(std::size_t stripe, double* work) {
  const std::size_t q_E = layout_.effects[0], begin = begin_of(stripe);
  const std::size_t ld = remainder_->leading_dimension();
  const double* columns = remainder_->inverse_stripe(stripe, work);
  const std::int32_t* position = layout_.slot_position.data();
  for (const auto* slot = layout_.stripe_slots.begin(stripe);
       !plan_.filled && slot != layout_.stripe_slots.end(stripe); ++slot) {
    const std::int32_t g = layout_.slot_group[*slot];
    const std::size_t here = *slot, from = layout_.group_slots[g], to = layout_.group_slots[g + 1];
    const double* column = columns + (position[here] - begin) * ld;
    for (std::size_t e = 0; e < q_E; ++e)
      G_[here * q_E + e] =
          -gathered_dot(&K_[from * q_E + e], q_E, column, position + from, to - from);
  }
  for (std::size_t k = begin; k < end_of(stripe); ++k) keep_inverse(k, columns + (k - begin) * ld);
  remainder_->release(stripe, work);
}

// Of column k of S^-1 what is within its level, and what meets it in a row.
void CrossedData::keep_inverse(std::size_t k, const double* column) {
  const std::int32_t c = layout_.block[k];
  const int f = layout_.block_factor[c], b = layout_.effect(static_cast<std::int32_t>(k));
  std::copy_n(column + layout_.block_position[c], layout_.effects[f], &cov_R_[k * widest_]);
  if (pairs_ == 0) return;
  for (const auto* i = layout_.block_rows.begin(c); i != layout_.block_rows.end(c); ++i)
    for (int e = f + 1; e < layout_.factors; ++e)
      for (int d = 0; d < layout_.effects[e]; ++d)
        cov_RR_[static_cast<std::size_t>(*i) * pairs_ + pair_[b * q_ + first(e) + d]] =
            column[variable(*i)[e] - layout_.eliminated_effects + d];
}

// What rows add to the right-hand sides
//
//   N_k = Z_k'r - A'W P_k   and, in the last lane,   A't;
//
// then U = H^-1 N. Of pairs of thetas tr(W Z_k H^-1 Z_l'), of each theta tr(H^-1 A'W Z_k).
void CrossedData::differentiate_modes(Derivatives& out, std::size_t threads) {
  const std::size_t ranges = group_ranges_.count(), n_E = layout_.eliminated_effects;
  std::vector<Derivatives> sums(ranges, Derivatives(m(), vectors_));
  LevelSums<vd> sides(ranges, layout_.remainder * vectors_);
  LevelSums<double> Rz(ranges, layout_.remainder);
  std::fill(U_.begin(), U_.end(), vd{});
  std::fill(Rz_.begin(), Rz_.end(), 0.0);
  with_sizes(vectors_, [&]<class S, int V>() {
    for_each_slot(ranges, threads, [&](std::size_t, std::size_t range) {
      make_sides<S, V>(range, sums[range], sides.of(range), Rz.of(range));
    });
  });
  for (const Derivatives& part : sums) out.add(part);
  sides.add_to(U_.data() + n_E * vectors_);
  Rz.add_to(Rz_.data() + n_E);
  for_each_level([&](std::size_t variable, int f) {
    for (int k = 0; k < m(); ++k)
      if (factor_of(k) == f)
        doubles(U_)[(variable + theta_column_[k] - first(f)) * vectors_ * kLanes + k] +=
            Rz_[variable + theta_row_[k] - first(f)];
  });
  solve(doubles(U_), vectors_ * kLanes, threads);
}

template <class S, int kVectors>
void CrossedData::make_sides(std::size_t range, Derivatives& to, vd* sides, double* Rz) {
  std::vector<vd> work(2 * C_ * vectors_);
  for (std::size_t i = first_row(range); i < first_row(range + 1); ++i) {
    const RowInverse<S> row = weigh_row<S>(i, to);
    add_side<S, kVectors>(i, row.t, work.data(), sides);
    add_by_z<S>(i, &r_[i], padded_, Rz_.data(), Rz);
  }
}

// What H^-1 says of row i; adds what thetas have of their own.
template <class S>
MULTILOGIT_INLINE RowInverse<S> CrossedData::weigh_row(std::size_t i, Derivatives& to) const {
  const int q = row_effects<S>();
  double covariance[S::most_effects * S::most_effects], WAH[S::most_logits * S::most_effects];
  row_covariance<S>(i, covariance);
  const RowInverse<S> row = form_row<S>(i, covariance);
  weigh<S>(i, row.AH, WAH);
  const double* z = &z_[i * q];
  for (int k = 0; k < thetas<S>(); ++k) {
    const int a = theta_row_[k], b = theta_column_[k];
    const double za = z[z_index_[a]];
    to.trace[k] += za * WAH[logit<S>(a) * q + b];
    for (int l = 0; l < thetas<S>(); ++l) {
      const int c = theta_row_[l], d = theta_column_[l];
      to.hessian_at(k, l) -=
          za * weight<S>(i, logit<S>(a), logit<S>(c)) * z[z_index_[c]] * covariance[b * q + d];
    }
  }
  return row;
}

// Row i's share in -A'W P, and in A't in the last lane: A'(t e' - W P).
template <class S, int kVectors>
MULTILOGIT_INLINE void CrossedData::add_side(std::size_t i, const double* t, vd* work, vd* sides) {
  const int C = S::C ? S::C : C_, q = row_effects<S>();
  const std::size_t vectors = kVectors ? kVectors : vectors_;
  const double* A = effects_of<S>(i);
  vd *P = work, *R = work + C * vectors;
  predictor<S, kVectors>(i, vectors, P);
  for (int c = 0; c < C; ++c) {
    for (std::size_t v = 0; v < vectors; ++v) {
      vd sum{};
      for (int d = 0; d < C; ++d) sum -= weight<S>(i, c, d) * P[d * vectors + v];
      R[c * vectors + v] = sum;
    }
    R[c * vectors + vectors - 1] += t[c] * unit_[m()];
  }
  for (int f = 0; f < factors<S>(); ++f) {
    const std::size_t j = variable<S>(i)[f];
    vd* side = f == 0 ? &U_[j * vectors] : sides + (j - layout_.eliminated_effects) * vectors;
    for (int e = first<S>(f); e < first<S>(f) + effects<S>(f); ++e, side += vectors)
      for (int c = 0; c < C; ++c)
        for (std::size_t v = 0; v < vectors; ++v) side[v] += A[c * q + e] * R[c * vectors + v];
  }
}

// Adds z_e x_c, of each effect e in its logit c, to the sums of its level: of the eliminated
// factor's effects `own`, of the others `rest`. Logits of x are `stride` apart.
template <class S>
MULTILOGIT_INLINE void CrossedData::add_by_z(std::size_t i, const double* x, std::size_t stride,
                                             double* own, double* rest) const {
  const double* z = &z_[i * row_effects<S>()];
  for (int f = 0; f < factors<S>(); ++f) {
    const std::size_t j = variable<S>(i)[f];
    double* sums = f == 0 ? own + j : rest + (j - layout_.eliminated_effects);
    for (int e = 0; e < effects<S>(f); ++e) {
      const int effect = first<S>(f) + e;
      sums[e] += x[logit<S>(effect) * stride] * z[z_index_[effect]];
    }
  }
}

// Everything that is a sum over rows of products of D_k = P_k + A u_k.
void CrossedData::multiply_rows(Derivatives& out, std::size_t threads) {
  const std::size_t ranges = group_ranges_.count(), n_E = layout_.eliminated_effects;
  std::vector<Derivatives> sums(ranges, Derivatives(m(), vectors_));
  LevelSums<double> Sz(ranges, layout_.remainder);
  std::fill(Sz_.begin(), Sz_.end(), 0.0);
  with_sizes(vectors_, [&]<class S, int V>() {
    for_each_slot(ranges, threads, [&](std::size_t, std::size_t range) {
      multiply_range<S, V>(range, sums[range], Sz.of(range));
    });
  });
  for (const Derivatives& part : sums) out.add(part);
  Sz.add_to(Sz_.data() + n_E);
}

template <class S, int kVectors>
void CrossedData::multiply_range(std::size_t range, Derivatives& to, double* Sz) {
  const std::size_t C = S::C ? S::C : C_, vectors = kVectors ? kVectors : vectors_;
  const std::size_t rows = std::max<std::size_t>(1, kBatch / C), end = first_row(range + 1);
  std::vector<vd> D(rows * C * vectors), left(rows * C * vectors);
  double omega1[kMaxRowLogits];
  for (std::size_t from = first_row(range); from < end; from += rows) {
    const std::size_t count = std::min(rows, end - from);
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t at = i * C * vectors;
      multiply_row<S, kVectors>(from + i, &D[at], &left[at], omega1, to.gradient.data());
      add_by_z<S>(from + i, omega1, 1, Sz_.data(), Sz);
    }
    add_products(left.data(), D.data(), count * C, vectors, to.hessian.data());
  }
}

// D of row i; `left` such that left'D is what the row adds to the Hessian; omega1 = t - W A v; and
// what the row adds to the gradient.
template <class S, int kVectors>
MULTILOGIT_INLINE void CrossedData::multiply_row(std::size_t i, vd* D, vd* left, double* omega1,
                                                 vd* gradient) const {
  const int C = S::C ? S::C : C_, q = row_effects<S>();
  const std::size_t vectors = kVectors ? kVectors : vectors_;
  const double *A = effects_of<S>(i), *z = &z_[i * q];
  double covariance[S::most_effects * S::most_effects];
  double v[S::most_effects], Av[S::most_logits] = {};
  double M[packed_size(S::most_logits)];                    // -W - Omega / 2
  double K[S::most_effects * packed_size(S::most_logits)];  // kappa3(., ., a_b H^-1)
  row_covariance<S>(i, covariance);
  const RowInverse<S> row = form_row<S>(i, covariance);
  for (int f = 0; f < factors<S>(); ++f)
    for (int e = 0; e < effects<S>(f); ++e)
      v[first<S>(f) + e] = doubles(&U_[(variable<S>(i)[f] + e) * vectors])[size()];
  for (int c = 0; c < C; ++c)
    for (int b = 0; b < q; ++b) Av[c] += A[c * q + b] * v[b];
  curvature(i, row, Av, omega1, M);
  third_of_effects<S>(i, row.AH, K);
  predictor<S, kVectors>(i, vectors, D);
  for (int c = 0; c < C; ++c)
    for (std::size_t j = 0; j < vectors; ++j) gradient[j] += residual(i, c) * D[c * vectors + j];
  add_modes<S>(i, vectors, D);
  for (int c = 0; c < C; ++c)
    for (std::size_t j = 0; j < vectors; ++j) {
      gradient[j] -= 0.5 * row.t[c] * D[c * vectors + j];
      vd sum{};
      for (int l = 0; l < C; ++l) sum += M[packed(c, l)] * D[l * vectors + j];
      left[c * vectors + j] = sum;
    }
  for (int k = 0; k < thetas<S>(); ++k) {
    const int a = theta_row_[k], b = theta_column_[k];
    const std::size_t j = kVectors == 1 ? 0 : k / kLanes;
    for (int c = 0; c < C; ++c)
      left[c * vectors + j] -=
          (z[z_index_[a]] * (2.0 * K[b * packed_size(C) + packed(logit<S>(a), c)] -
                             weight<S>(i, logit<S>(a), c) * v[b])) *
          unit_[k];
  }
}

// Y'U + U'Y - U'U with Y_k = sum (r - omega1 / 2) z_a in the place of theta_k = Lambda[a, b].
void CrossedData::add_levels(Derivatives& out) const {
  std::vector<vd> left(kBatch * vectors_);
  for_each_level([&](std::size_t variable, int f) {
    const std::size_t count = layout_.effects[f];
    for (std::size_t j = 0; j < count * vectors_; ++j) left[j] = -U_[variable * vectors_ + j];
    for (int k = 0; k < m(); ++k)
      if (factor_of(k) == f) {
        const std::size_t row = variable + theta_row_[k] - first(f);
        left[(theta_column_[k] - first(f)) * vectors_ + k / kLanes] +=
            (2.0 * Rz_[row] - Sz_[row]) * unit_[k];
      }
    add_products(left.data(), &U_[variable * vectors_], count, vectors_, out.hessian.data());
  });
}

}  // namespace multilogit

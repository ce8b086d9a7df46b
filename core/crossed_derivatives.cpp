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

}  // namespace

// r, W and what the derivatives of W need, of every row; the sum of l_i.
double CrossedData::differentiate_rows(std::size_t threads) {
  std::vector<double> sums(row_ranges_.count());
  for_each_range(row_ranges_, threads, [&](std::size_t, std::size_t range, std::size_t t) {
    double eta[kMaxRowLogits * kLanes];
    predict_tile(t, u_, eta);
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
  for_each_slot(position_ranges_.count(), threads, [&](std::size_t, std::size_t range) {
    std::vector<double> work(layout_.remainder);
    for (std::size_t k = position_ranges_.first[range]; k < position_ranges_.first[range + 1]; ++k)
      invert_column(k, work.data());
  });
  for_each_range(group_ranges_, threads, [&](std::size_t, std::size_t, std::size_t g) {
    double* out = &cov_E_[g * q_E * q_E];
    std::copy_n(&Hinv_[g * q_E * q_E], q_E * q_E, out);
    for (std::int64_t s = layout_.group_slots[g]; s < layout_.group_slots[g + 1]; ++s)
      for (int e = 0; e < q_E; ++e)
        for (int d = 0; d < q_E; ++d) out[e * q_E + d] -= K_[s * q_E + e] * G_[s * q_E + d];
  });
}

// What column k of S^-1 gives: (H^-1)_gR = -K_g S^-1, and the blocks of S^-1 itself.
void CrossedData::invert_column(std::size_t k, double* work) {
  const int q_E = layout_.effects[0], b = layout_.effect(static_cast<std::int32_t>(k));
  const std::size_t n_E = layout_.eliminated_effects;
  const double* column = remainder_->inverse_column(k, work);
  for (const auto* slot = layout_.position_slots.begin(k);
       !plan_.filled && slot != layout_.position_slots.end(k); ++slot) {
    const std::int32_t g = layout_.slot_group[*slot];
    const std::size_t from = layout_.group_slots[g], to = layout_.group_slots[g + 1];
    for (int e = 0; e < q_E; ++e)
      G_[static_cast<std::size_t>(*slot) * q_E + e] =
          -gathered_dot(&K_[from * q_E + e], q_E, column, &layout_.slot_position[from], to - from);
  }
  const std::int32_t c = layout_.block[k];
  const int f = layout_.block_factor[c];
  std::copy_n(column + layout_.block_position[c], layout_.effects[f], &cov_R_[k * widest_]);
  if (pairs_ > 0)
    for (const auto* i = layout_.block_rows.begin(c); i != layout_.block_rows.end(c); ++i)
      for (int e = f + 1; e < layout_.factors; ++e)
        for (int d = 0; d < layout_.effects[e]; ++d)
          cov_RR_[static_cast<std::size_t>(*i) * pairs_ + pair_[b * q_ + first(e) + d]] =
              column[variable(*i)[e] - n_E + d];
  remainder_->release(k, work);
}

// H^-1 between the effects of row i, q x q.
void CrossedData::row_covariance(std::size_t i, double* covariance) const {
  const int q_E = layout_.effects[0], others = layout_.factors - 1;
  const std::int32_t* variable = this->variable(i);
  for (int e = 0; e < q_E; ++e)
    std::copy_n(&cov_E_[(static_cast<std::size_t>(variable[0]) + e) * q_E], q_E,
                covariance + e * q_);
  for (int f = 1; f <= others; ++f) {
    const auto slot = static_cast<std::size_t>(layout_.row_slot[i * others + f - 1]);
    const std::size_t position = variable[f] - layout_.eliminated_effects;
    for (int b = 0; b < layout_.effects[f]; ++b) {
      const int row = first(f) + b;
      for (int e = 0; e < q_E; ++e)
        covariance[row * q_ + e] = covariance[e * q_ + row] = G_[(slot + b) * q_E + e];
      for (int d = 0; d < layout_.effects[f]; ++d)
        covariance[row * q_ + first(f) + d] = cov_R_[(position + b) * widest_ + d];
      for (int d = first(f + 1); d < q_; ++d)
        covariance[row * q_ + d] = covariance[d * q_ + row] =
            cov_RR_[i * pairs_ + pair_[row * q_ + d]];
    }
  }
}

// Row by row: S = A H^-1, V = SA', t, P_k, and what they add to the right-hand sides
//
//   N_k = Z_k'r - A'W P_k   and, in the last lane,   A't;
//
// then U = H^-1 N. Of pairs of thetas tr(W Z_k H^-1 Z_l'), of each theta tr(H^-1 A'W Z_k).
void CrossedData::differentiate_modes(Derivatives& out, std::size_t threads) {
  const std::size_t ranges = group_ranges_.count(), n_E = layout_.eliminated_effects;
  std::vector<Derivatives> sums(ranges, Derivatives(size(), m(), vectors_));
  LevelSums<vd> sides(ranges, layout_.remainder * vectors_);
  LevelSums<double> Rz(ranges, layout_.remainder);
  std::fill(U_.begin(), U_.end(), vd{});
  std::fill(Rz_.begin(), Rz_.end(), 0.0);
  for_each_slot(ranges, threads, [&](std::size_t, std::size_t range) {
    double WA[kMaxRowLogits * kMaxRowEffects];
    for (std::size_t i = first_row(range); i < first_row(range + 1); ++i) {
      if (C_ == 1)
        weigh_row<1>(i, sums[range]);
      else
        weigh_row<0>(i, sums[range]);
      fill_predictor(i);
      weigh(i, effects_of(i), WA);
      for (int f = 0; f < layout_.factors; ++f) {
        const std::size_t variable = this->variable(i)[f];
        vd* side =
            f == 0 ? &U_[variable * vectors_] : sides.of(range) + (variable - n_E) * vectors_;
        double* rz = f == 0 ? &Rz_[variable] : Rz.of(range) + (variable - n_E);
        add_right_hand_side(i, f, WA, side);
        for (int e = first(f); e < first(f + 1); ++e, ++rz)
          *rz += residual(i, logit(e)) * z_[i * q_ + z_index_[e]];
      }
    }
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

template <int kC>
void CrossedData::weigh_row(std::size_t i, Derivatives& to) {
  double covariance[kMaxRowEffects * kMaxRowEffects], WS[kMaxRowLogits * kMaxRowEffects];
  row_covariance(i, covariance);
  form_row<kC>(i, covariance);
  weigh(i, &s_[i * C_ * q_], WS);
  const double* z = &z_[i * q_];
  for (int k = 0; k < m(); ++k) {
    const int a = theta_row_[k], b = theta_column_[k];
    const double za = z[z_index_[a]];
    to.trace[k] += za * WS[logit<kC>(a) * q_ + b];
    for (int l = 0; l < m(); ++l) {
      const int c = theta_row_[l], d = theta_column_[l];
      to.hessian_at(k, l) -=
          za * weight<kC>(i, logit<kC>(a), logit<kC>(c)) * z[z_index_[c]] * covariance[b * q_ + d];
    }
  }
}

// P_k = z_a u_b in the logit of a for theta_k = Lambda[a, b]; those of beta are there.
void CrossedData::fill_predictor(std::size_t i) {
  double* P = doubles(P_) + i * C_ * vectors_ * kLanes;
  for (int k = 0; k < m(); ++k) {
    const int f = factor_of(k), a = theta_row_[k];
    for (int c = 0; C_ > 1 && c < C_; ++c) P[c * vectors_ * kLanes + k] = 0.0;
    P[logit(a) * vectors_ * kLanes + k] =
        z_[i * q_ + z_index_[a]] * u_[variable(i)[f] + theta_column_[k] - first(f)];
  }
}

// Row i's share in -A'W P_k, and in A't in the last lane, of the effects of factor f.
void CrossedData::add_right_hand_side(std::size_t i, int f, const double* WA, vd* out) const {
  const double *A = effects_of(i), *t = &t_[i * C_];
  for (int e = first(f); e < first(f + 1); ++e, out += vectors_)
    for (int c = 0; c < C_; ++c) {
      const vd* P = &P_[(i * C_ + c) * vectors_];
      for (std::size_t v = 0; v < vectors_; ++v) out[v] -= WA[c * q_ + e] * P[v];
      reinterpret_cast<double*>(out)[size()] += A[c * q_ + e] * t[c];
    }
}

// Everything that is a sum over rows of products of D_k = P_k + A u_k, and what the trace needs of
// D_k.
void CrossedData::multiply_rows(Derivatives& out, std::size_t threads) {
  const std::size_t kept = trace_vectors();
  const std::size_t ranges = group_ranges_.count(), n_E = layout_.eliminated_effects;
  std::vector<Derivatives> sums(ranges, Derivatives(size(), m(), vectors_));
  LevelSums<double> Sz(ranges, layout_.remainder);
  std::fill(Sz_.begin(), Sz_.end(), 0.0);
  slope_.resize(layout_.rows * C_ * kept);
  for_each_slot(ranges, threads, [&](std::size_t, std::size_t range) {
    std::vector<vd> D(C_ * vectors_);
    double omega1[kMaxRowLogits];
    for (std::size_t i = first_row(range); i < first_row(range + 1); ++i) {
      if (C_ == 1)
        multiply_row<1>(i, D.data(), omega1, sums[range]);
      else
        multiply_row<0>(i, D.data(), omega1, sums[range]);
      for (std::size_t v = 0; v < kept; ++v)
        keep_slope(i, &D[v], vectors_, &slope_[i * C_ * kept + v], kept);
      for (int f = 0; f < layout_.factors; ++f) {
        const std::size_t variable = this->variable(i)[f];
        double* sz = f == 0 ? &Sz_[variable] : Sz.of(range) + (variable - n_E);
        for (int e = first(f); e < first(f + 1); ++e, ++sz)
          *sz += omega1[logit(e)] * z_[i * q_ + z_index_[e]];
      }
    }
  });
  for (const Derivatives& part : sums) out.add(part);
  Sz.add_to(Sz_.data() + n_E);
}

// D of row i, omega1 = t - W A v, and what the row adds to gradient and Hessian.
template <int kC>
void CrossedData::multiply_row(std::size_t i, vd* D, double* omega1, Derivatives& to) const {
  const int C = kC ? kC : C_, size = this->size(), m = this->m();
  const vd* P = &P_[i * C * vectors_];
  const double *A = effects_of(i), *z = &z_[i * q_], *t = &t_[i * C], *d = doubles(D);
  const std::size_t lanes = vectors_ * kLanes;
  double v[kMaxRowEffects], Av[kMaxRowLogits];
  double M[packed_size(kMaxRowLogits)];                   // -W - Omega / 2
  double K[kMaxRowEffects * packed_size(kMaxRowLogits)];  // kappa3(., ., s_b)
  std::copy_n(P, C * vectors_, D);
  for (int f = 0; f < layout_.factors; ++f)
    for (int e = 0; e < layout_.effects[f]; ++e) {
      const vd* u = &U_[(variable(i)[f] + e) * vectors_];
      for (int c = 0; c < C; ++c)
        for (std::size_t j = 0; j < vectors_; ++j)
          D[c * vectors_ + j] += A[c * q_ + first(f) + e] * u[j];
      v[first(f) + e] = doubles(u)[size];
    }
  for (int c = 0; c < C; ++c) Av[c] = d[c * lanes + size];
  curvature(i, Av, omega1, M);
  third_of_effects(i, &s_[i * C * q_], K);
  for (int c = 0; c < C; ++c)
    for (std::size_t j = 0; j < vectors_; ++j)
      to.gradient[j] += residual(i, c) * P[c * vectors_ + j] - 0.5 * t[c] * D[c * vectors_ + j];
  for (int k = 0; k < size; ++k) {
    vd* row = &to.hessian[k * vectors_];
    for (int c = 0; c < C; ++c) {
      double left = 0.0;
      for (int l = 0; l < C; ++l) left += M[packed(c, l)] * d[l * lanes + k];
      if (k < m) {
        const int a = theta_row_[k], b = theta_column_[k];
        left -= z[z_index_[a]] * (2.0 * K[b * packed_size(C) + packed(logit<kC>(a), c)] -
                                  weight<kC>(i, logit<kC>(a), c) * v[b]);
      }
      for (std::size_t j = 0; j < vectors_; ++j) row[j] += left * D[c * vectors_ + j];
    }
  }
}

// Y'U + U'Y - U'U with Y_k = sum (r - omega1 / 2) z_a in the place of theta_k = Lambda[a, b].
void CrossedData::add_levels(Derivatives& out) const {
  for_each_level([&](std::size_t variable, int f) {
    for (int e = 0; e < layout_.effects[f]; ++e) {
      const double* u = doubles(&U_[(variable + e) * vectors_]);
      for (int k = 0; k < size(); ++k) {
        double left = -u[k];
        if (k < m() && theta_column_[k] == first(f) + e) {
          const std::size_t row = variable + theta_row_[k] - first(f);
          left += 2.0 * (Rz_[row] - 0.5 * Sz_[row]);
        }
        for (std::size_t c = 0; c < vectors_; ++c)
          out.hessian[k * vectors_ + c] += left * U_[(variable + e) * vectors_ + c];
      }
    }
  });
}

}  // namespace multilogit

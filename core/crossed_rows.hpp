// What a row's response says: all of the crossed model that depends on its kind.
#pragma once

#include <algorithm>
#include <cstring>

#include "binomial.hpp"
#include "categorical.hpp"
#include "crossed.hpp"
#include "crossed_lanes.hpp"

namespace multilogit {

namespace detail {

// The C numbers of a tile of rows, or of one row, in arrays that are `stride` apart for each.
inline void load_tile(int count, const double* from, std::size_t stride, vd* to) {
  for (int j = 0; j < count; ++j) to[j] = load(from + j * stride);
}
inline void store_tile(int count, const vd* from, double* to, std::size_t stride) {
  for (int j = 0; j < count; ++j) std::memcpy(to + j * stride, &from[j], sizeof from[j]);
}
inline void load_row(int count, const double* from, std::size_t stride, double* to) {
  for (int j = 0; j < count; ++j) to[j] = from[j * stride];
}

}  // namespace detail

constexpr int kMaxLogitPairs = packed_size(kMaxRowLogits);

// eta of a tile of rows, C x kLanes.
template <class S>
void CrossedData::predict_tile(std::size_t t, const std::vector<double>& u, double* eta) const {
  const int C = S::C ? S::C : C_;
  const std::size_t i0 = t * kLanes, end = std::min(i0 + kLanes, layout_.rows);
  for (int c = 0; c < C; ++c) {
    for (std::size_t i = i0; i < end; ++i) {
      const double* a = effects_of<S>(i) + c * row_effects<S>();
      const std::int32_t* variable = this->variable<S>(i);
      double sum = eta0_[c * padded_ + i];
      for (int f = 0; f < factors<S>(); ++f)
        for (int e = 0; e < effects<S>(f); ++e) sum += a[first<S>(f) + e] * u[variable[f] + e];
      eta[c * kLanes + i - i0] = sum;
    }
    std::fill(eta + c * kLanes + end - i0, eta + (c + 1) * kLanes, 0.0);
  }
}

// r and W.
inline void CrossedData::score_tile(std::size_t t, const double* eta) {
  const std::size_t i0 = t * kLanes;
  if (!categorical_) {
    const BinomialScore row = binomial_score(load(eta), load(&y_[i0]), load(&n_[i0]));
    std::memcpy(&r_[i0], &row.r, sizeof row.r);
    std::memcpy(&w_[i0], &row.w, sizeof row.w);
    return;
  }
  vd at[kMaxRowLogits], y[kMaxRowLogits], pi[kMaxRowLogits], r[kMaxRowLogits], w[kMaxLogitPairs];
  detail::load_tile(C_, eta, kLanes, at);
  detail::load_tile(C_, &y_[i0], padded_, y);
  categorical_score(C_, at, y, load(&n_[i0]), pi, r, w);
  detail::store_tile(C_, r, &r_[i0], padded_);
  detail::store_tile(packed_size(C_), w, &w_[i0], padded_);
}

// The same, and what the derivatives of W need; returns the sum of l_i.
inline double CrossedData::differentiate_tile(std::size_t t, const double* eta) {
  const std::size_t i0 = t * kLanes;
  if (!categorical_) {
    const BinomialRow row = binomial_row(load(eta), load(&y_[i0]), load(&n_[i0]));
    std::memcpy(&r_[i0], &row.r, sizeof row.r);
    std::memcpy(&w_[i0], &row.w, sizeof row.w);
    std::memcpy(&w3_[i0], &row.w3, sizeof row.w3);
    std::memcpy(&w4_[i0], &row.w4, sizeof row.w4);
    return sum(row.value);
  }
  vd at[kMaxRowLogits], y[kMaxRowLogits], pi[kMaxRowLogits], r[kMaxRowLogits], w[kMaxLogitPairs];
  detail::load_tile(C_, eta, kLanes, at);
  detail::load_tile(C_, &y_[i0], padded_, y);
  const vd value = categorical_row(C_, at, y, load(&n_[i0]), pi, r, w);
  detail::store_tile(C_, pi, &pi_[i0], padded_);
  detail::store_tile(C_, r, &r_[i0], padded_);
  detail::store_tile(packed_size(C_), w, &w_[i0], padded_);
  return sum(value);
}

// W A of row i, C x q.
template <class S>
MULTILOGIT_INLINE void CrossedData::weigh(std::size_t i, const double* A, double* WA) const {
  if (S::C == 1 || C_ == 1) {
    for (int b = 0; b < row_effects<S>(); ++b) WA[b] = w_[i] * A[b];
    return;
  }
  for (int c = 0; c < C_; ++c)
    for (int b = 0; b < q_; ++b) {
      double sum = 0.0;
      for (int d = 0; d < C_; ++d) sum += weight(i, c, d) * A[d * q_ + b];
      WA[c * q_ + b] = sum;
    }
}

// t = kappa3(., V): w3 h.
template <class S>
MULTILOGIT_INLINE void CrossedData::third_of_form(std::size_t i, const double* V, double* t) const {
  if (S::binomial || !categorical_) {
    *t = w3_[i] * *V;
    return;
  }
  double pi[kMaxRowLogits], w[kMaxLogitPairs], Vpi[kMaxRowLogits];
  detail::load_row(C_, &pi_[i], padded_, pi);
  detail::load_row(packed_size(C_), &w_[i], padded_, w);
  multilogit::third_of_form(C_, pi, w, V, Vpi, t);
}

// kappa3(., ., s_b), packed, for the columns of s, C x q: w3 s_b.
template <class S>
MULTILOGIT_INLINE void CrossedData::third_of_effects(std::size_t i, const double* s,
                                                     double* out) const {
  if (S::binomial || !categorical_) {
    for (int b = 0; b < row_effects<S>(); ++b) out[b] = w3_[i] * s[b];
    return;
  }
  double pi[kMaxRowLogits], Ws[kMaxRowLogits];
  detail::load_row(C_, &pi_[i], padded_, pi);
  for (int b = 0; b < q_; ++b) {
    for (int c = 0; c < C_; ++c) {
      Ws[c] = 0.0;
      for (int d = 0; d < C_; ++d) Ws[c] += weight(i, c, d) * s[d * q_ + b];
    }
    third_of_direction(C_, pi, Ws, out + b * packed_size(C_));
  }
}

// omega1 = t - W A v and -W - Omega / 2, Omega = kappa4(., ., V) - kappa3(., ., A v):
// w3 h - w A v and -w - (w4 h - w3 A v) / 2.
template <class S>
MULTILOGIT_INLINE void CrossedData::curvature(std::size_t i, const RowInverse<S>& row,
                                              const double* Av, double* omega1, double* out) const {
  const double *V = row.V, *t = row.t;
  if (S::binomial || !categorical_) {
    *omega1 = *t - w_[i] * *Av;
    *out = -w_[i] - 0.5 * (w4_[i] * *V - w3_[i] * *Av);
    return;
  }
  double pi[kMaxRowLogits], w[kMaxLogitPairs], Vpi[kMaxRowLogits], WAv[kMaxRowLogits];
  detail::load_row(C_, &pi_[i], padded_, pi);
  detail::load_row(packed_size(C_), &w_[i], padded_, w);
  multiply_packed(C_, V, pi, Vpi);
  multiply_packed(C_, w, Av, WAv);
  for (int c = 0; c < C_; ++c) omega1[c] = t[c] - WAv[c];
  omega(C_, pi, w, V, Vpi, omega1, out);
  for (int j = 0; j < packed_size(C_); ++j) out[j] = -w[j] - 0.5 * out[j];
}

// kappa3(., ., D), packed: w3 D. Logits of D are `stride` registers apart.
template <class S, class R>
MULTILOGIT_INLINE void CrossedData::third_of_directions(std::size_t i, const R* D,
                                                        std::size_t stride, R* out) const {
  if (S::binomial || !categorical_) {
    *out = w3_[i] * *D;
    return;
  }
  double pi[kMaxRowLogits];
  R s[kMaxRowLogits];
  detail::load_row(C_, &pi_[i], padded_, pi);
  for (int c = 0; c < C_; ++c) {
    s[c] = R{};
    for (int d = 0; d < C_; ++d) s[c] += weight(i, c, d) * D[d * stride];
  }
  third_of_direction(C_, pi, s, out);
}

// H^-1 between the effects of row i, q x q.
template <class S>
MULTILOGIT_INLINE void CrossedData::row_covariance(std::size_t i, double* covariance) const {
  const int q_E = effects<S>(0), others = factors<S>() - 1, q = row_effects<S>();
  const std::int32_t* variable = this->variable<S>(i);
  for (int e = 0; e < q_E; ++e)
    for (int d = 0; d < q_E; ++d)
      covariance[e * q + d] = cov_E_[(static_cast<std::size_t>(variable[0]) + e) * q_E + d];
  for (int f = 1; f <= others; ++f) {
    const auto slot = static_cast<std::size_t>(layout_.row_slot[i * others + f - 1]);
    const std::size_t position = variable[f] - layout_.eliminated_effects;
    for (int b = 0; b < effects<S>(f); ++b) {
      const int row = first<S>(f) + b;
      for (int e = 0; e < q_E; ++e)
        covariance[row * q + e] = covariance[e * q + row] = G_[(slot + b) * q_E + e];
      for (int d = 0; d < effects<S>(f); ++d)
        covariance[row * q + first<S>(f) + d] = cov_R_[(position + b) * widest_ + d];
      for (int d = first<S>(f + 1); d < q; ++d)
        covariance[row * q + d] = covariance[d * q + row] =
            cov_RR_[i * pairs_ + pair_[row * q + d]];
    }
  }
}
// What H^-1 says of a row.
template <class S>
MULTILOGIT_INLINE RowInverse<S> CrossedData::form_row(std::size_t i,
                                                      const double* covariance) const {
  const int C = S::C ? S::C : C_, q = row_effects<S>();
  const double* A = effects_of<S>(i);
  RowInverse<S> row;
  double *AH = row.AH, *V = row.V;
  for (int c = 0; c < C; ++c) {
    for (int b = 0; b < q; ++b) {
      double sum = 0.0;
      for (int e = 0; e < q; ++e) sum += covariance[b * q + e] * A[c * q + e];
      AH[c * q + b] = sum;
    }
    for (int d = 0; d <= c; ++d) {
      double sum = 0.0;
      for (int b = 0; b < q; ++b) sum += AH[c * q + b] * A[d * q + b];
      V[packed(c, d)] = sum;
    }
  }
  third_of_form<S>(i, V, row.t);
  return row;
}

// P of row i, C x `vectors`: x of beta, and z_a u_b in the logit of a for theta_k = Lambda[a, b].
template <class S, int kVectors, class R>
MULTILOGIT_INLINE void CrossedData::predictor(std::size_t i, std::size_t vectors, R* P) const {
  constexpr std::size_t lanes = sizeof(R) / sizeof(double);
  const int C = S::C ? S::C : C_, q = row_effects<S>();
  for (int c = 0; c < C; ++c)
    for (std::size_t v = 0; v < vectors; ++v)
      P[c * vectors + v] = load<R>(x_of(i) - m() - c * x_columns_ + v * lanes) *
                           load<R>(doubles(&x_mask_[c * vectors_]) + v * lanes);
  for (int k = 0; k < thetas<S>(); ++k) {
    const int f = factor_of(k), a = theta_row_[k];
    const double u = u_[variable<S>(i)[f] + theta_column_[k] - first<S>(f)];
    const std::size_t v = kVectors == 1 ? 0 : k / lanes;
    P[logit<S>(a) * vectors + v] += (z_[i * q + z_index_[a]] * u) * load<R>(doubles(&unit_[k]));
  }
}

// From P to D = P + A U.
template <class S, class R>
MULTILOGIT_INLINE void CrossedData::add_modes(std::size_t i, std::size_t vectors, R* D) const {
  constexpr std::size_t lanes = sizeof(R) / sizeof(double);
  const int C = S::C ? S::C : C_, q = row_effects<S>();
  const double* A = effects_of<S>(i);
  for (int f = 0; f < factors<S>(); ++f)
    for (int e = 0; e < effects<S>(f); ++e) {
      const double* u = doubles(&U_[(variable<S>(i)[f] + e) * vectors_]);
      for (int c = 0; c < C; ++c)
        for (std::size_t v = 0; v < vectors; ++v)
          D[c * vectors + v] += A[c * q + first<S>(f) + e] * load<R>(u + v * lanes);
    }
}

}  // namespace multilogit

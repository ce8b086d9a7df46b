#include "crossed.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "binomial.hpp"
#include "parallel.hpp"
#include "small_cholesky.hpp"

namespace multilogit {

namespace {

constexpr int kMaxInner = 100;

vd load(const double* from, std::size_t count = kLanes) {
  vd out{};
  std::memcpy(&out, from, count * sizeof(double));
  return out;
}

double* doubles(std::vector<vd>& lanes) { return reinterpret_cast<double*>(lanes.data()); }
const double* doubles(const vd* lanes) { return reinterpret_cast<const double*>(lanes); }

// About `wanted` ranges of items with this cumulative work; at least one.
template <class Cumulative>
Ranges equal_ranges(std::size_t items, std::size_t wanted, const Cumulative& work_before) {
  Ranges ranges;
  const double total = static_cast<double>(work_before(items));
  for (std::size_t i = 1; i < items; ++i)
    if (static_cast<double>(work_before(i)) * static_cast<double>(wanted) >=
        total * static_cast<double>(ranges.first.size()))
      ranges.first.push_back(i);
  ranges.first.push_back(items);
  return ranges;
}

template <class Work>
void for_each_range(const Ranges& ranges, std::size_t threads, const Work& work) {
  for_each_slot(ranges.count(), threads, [&](std::size_t worker, std::size_t s) {
    for (std::size_t i = ranges.first[s]; i < ranges.first[s + 1]; ++i) work(worker, s, i);
  });
}

}  // namespace

// ---- data
// ----------------------------------------------------------------------------------------

CrossedData::CrossedData(const std::vector<const double*>& x, const std::vector<const double*>& z,
                         const double* y, const double* n, const double* offset,
                         const std::vector<FactorCodes>& factors, std::size_t rows)
    : layout_(factors, rows),
      p_(static_cast<int>(x.size())),
      q_(static_cast<int>(z.size())),
      tiles_((rows + kLanes - 1) / kLanes) {
  const std::size_t padded = tiles_ * kLanes;
  x_.resize(rows * p_);
  z_.resize(rows * q_);
  for (std::size_t i = 0; i < rows; ++i) {
    for (int k = 0; k < p_; ++k) x_[i * p_ + k] = x[k][layout_.order[i]];
    for (int a = 0; a < q_; ++a) z_[i * q_ + a] = z[a][layout_.order[i]];
  }
  for (auto* array : {&y_, &n_, &eta0_, &r_, &w_, &w3_, &w4_, &h_}) array->resize(padded);
  if (offset) {
    offset_.resize(rows);
    for (std::size_t i = 0; i < rows; ++i) offset_[i] = offset[layout_.order[i]];
  }
  set_response(y, n);

  std::vector<int> first(factors.size() + 1);  // of the caller's effects
  for (std::size_t f = 0; f < factors.size(); ++f) first[f + 1] = first[f] + factors[f].effects;
  own_effect_.resize(q_);
  for (int f = 0; f < layout_.factors; ++f)
    for (int e = 0; e < layout_.effects[f]; ++e)
      own_effect_[first[layout_.factor[f]] + e] = layout_.first_effect[f] + e;

  const auto ranges = [](std::size_t work) { return std::clamp<std::size_t>(work / 4096, 1, 64); };
  row_ranges_ = equal_ranges(tiles_, ranges(rows), [](std::size_t i) { return i; });
  group_ranges_ = equal_ranges(layout_.groups, ranges(rows),
                               [&](std::size_t g) { return layout_.group_rows[g]; });
  position_ranges_ = equal_ranges(layout_.remainder, ranges(layout_.slots()),
                                  [&](std::size_t k) { return layout_.position_slots.first[k]; });

  const int q_E = layout_.effects[0];
  a_.resize(rows * q_);
  s_.resize(rows * q_);
  Hinv_.resize(layout_.groups * q_E * q_E);
  cov_E_.resize(Hinv_.size());
  log_pivots_.resize(layout_.groups);
  for (auto* array : {&H_R_, &K_, &G_}) array->resize(layout_.slots() * q_E);
  for (auto* array : {&u_, &gradient_, &trial_, &Rz_, &Sz_}) array->resize(layout_.variables());
  pair_.assign(static_cast<std::size_t>(q_) * q_, -1);
  for (int f = 1; f < layout_.factors; ++f) {
    widest_ = std::max<std::size_t>(widest_, layout_.effects[f]);
    for (int e = f + 1; e < layout_.factors; ++e)
      for (int b = this->first(f); b < this->first(f + 1); ++b)
        for (int c = this->first(e); c < this->first(e + 1); ++c)
          pair_[b * q_ + c] = pair_[c * q_ + b] = pairs_++;
  }
  cov_R_.resize(layout_.remainder * widest_);
  cov_RR_.resize(rows * pairs_);
  remainder_ = dense_remainder(layout_.remainder);
}

void CrossedData::set_response(const double* y, const double* n) {
  for (std::size_t i = 0; i < layout_.rows; ++i) {
    y_[i] = y[layout_.order[i]];
    n_[i] = n[layout_.order[i]];
  }
}

void CrossedData::set_structure(const std::vector<int>& z, const std::vector<int>& row,
                                const std::vector<int>& column) {
  z_index_.resize(q_);
  for (int a = 0; a < q_; ++a) z_index_[own_effect_[a]] = z[a];
  theta_row_.clear();
  theta_column_.clear();
  for (std::size_t k = 0; k < row.size(); ++k) {
    theta_row_.push_back(own_effect_[row[k]]);
    theta_column_.push_back(own_effect_[column[k]]);
  }
  vectors_ = (size() + 1 + kLanes - 1) / kLanes;
  P_.assign(layout_.rows * vectors_, vd{});
  for (std::size_t i = 0; i < layout_.rows; ++i)
    std::copy_n(&x_[i * p_], p_, doubles(P_) + i * vectors_ * kLanes + m());
  U_.assign(layout_.variables() * vectors_, vd{});
  std::fill(u_.begin(), u_.end(), 0.0);
  last_psi_.clear();
}

void CrossedData::turn(const std::vector<int>& z, const double* turn) {
  for (int a = 0; a < q_; ++a) z_index_[own_effect_[a]] = z[a];
  std::vector<int> callers(q_);
  for (int a = 0; a < q_; ++a) callers[own_effect_[a]] = a;
  std::vector<double> old;
  std::size_t variable = 0;
  const auto turn_level = [&](int f) {
    const int q = layout_.effects[f], *own = &callers[first(f)];
    old.assign(u_.begin() + variable, u_.begin() + variable + q);
    for (int a = 0; a < q; ++a) {
      u_[variable + a] = 0.0;
      for (int b = 0; b < q; ++b) u_[variable + a] += turn[own[a] * q_ + own[b]] * old[b];
    }
    variable += q;
  };
  for (std::size_t g = 0; g < layout_.groups; ++g) turn_level(0);
  for (std::size_t c = 0; c < layout_.blocks(); ++c) turn_level(layout_.block_factor[c]);
  last_psi_.clear();
}

void CrossedData::get_modes(int f, double* u, double* covariance) const {
  const int own = static_cast<int>(std::find(layout_.factor.begin(), layout_.factor.end(), f) -
                                   layout_.factor.begin());
  const int q = layout_.effects[own];
  const double* L = &Lambda_[first(own) * q_ + first(own)];
  std::vector<double> half(q * q);
  const auto copy_level = [&](std::size_t level, const double* modes, const double* inverse,
                              std::size_t stride) {
    std::copy_n(modes, q, u + level * q);
    double* out = covariance + level * q * q;
    for (int a = 0; a < q; ++a)
      for (int b = 0; b < q; ++b) {
        half[a * q + b] = 0.0;
        for (int c = 0; c <= a; ++c) half[a * q + b] += L[a * q_ + c] * inverse[c * stride + b];
      }
    for (int a = 0; a < q; ++a)
      for (int b = 0; b < q; ++b) {
        out[a * q + b] = 0.0;
        for (int c = 0; c <= b; ++c) out[a * q + b] += half[a * q + c] * L[b * q_ + c];
      }
  };
  if (own == 0) {
    for (std::size_t g = 0; g < layout_.groups; ++g)
      copy_level(g, &u_[g * q], &cov_E_[g * q * q], q);
    return;
  }
  for (std::size_t c = 0; c < layout_.blocks(); ++c)
    if (layout_.block_factor[c] == own)
      copy_level(layout_.block_level[c],
                 &u_[layout_.eliminated_effects + layout_.block_position[c]],
                 &cov_R_[layout_.block_position[c] * widest_], widest_);
}

void CrossedData::moments(const double* beta, int f, double* score, double* information) {
  const int own = static_cast<int>(std::find(layout_.factor.begin(), layout_.factor.end(), f) -
                                   layout_.factor.begin());
  const int q = layout_.effects[own];
  std::vector<int> column(q);  // of z_, in the caller's order of the effects
  for (int a = 0; a < q_; ++a)
    if (own_effect_[a] >= first(own) && own_effect_[a] < first(own + 1))
      column[own_effect_[a] - first(own)] = z_index_[own_effect_[a]];
  prepare_rows(beta);
  std::fill_n(score, layout_.levels[own] * q, 0.0);
  std::fill_n(information, layout_.levels[own] * q * q, 0.0);
  last_psi_.clear();
  for (std::size_t t = 0; t < tiles_; ++t) {
    const std::size_t i0 = t * kLanes;
    const BinomialScore row = binomial_score(load(&eta0_[i0]), load(&y_[i0]), load(&n_[i0]));
    for (std::size_t i = i0; i < std::min(i0 + kLanes, layout_.rows); ++i) {
      const std::size_t variable = this->variable(i)[own];
      const std::size_t level =
          own == 0 ? variable / q
                   : layout_.block_level[layout_.block[variable - layout_.eliminated_effects]];
      const double* z = &z_[i * q_];
      for (int a = 0; a < q; ++a) {
        score[level * q + a] += row.r[i - i0] * z[column[a]];
        for (int b = 0; b < q; ++b)
          information[(level * q + a) * q + b] += row.w[i - i0] * z[column[a]] * z[column[b]];
      }
    }
  }
}

// ---- the point
// -----------------------------------------------------------------------------------

void CrossedData::move_to(const double* psi) {
  predict_modes(psi);
  last_psi_.assign(psi, psi + size());
  Lambda_.assign(static_cast<std::size_t>(q_) * q_, 0.0);
  for (int k = 0; k < m(); ++k) Lambda_[theta_row_[k] * q_ + theta_column_[k]] = psi[p_ + k];
  prepare_rows(psi);
  for (std::size_t i = 0; i < layout_.rows; ++i) {
    const double* z = &z_[i * q_];
    double* a = &a_[i * q_];
    for (int f = 0; f < layout_.factors; ++f)
      for (int b = first(f); b < first(f + 1); ++b) {
        a[b] = 0.0;
        for (int c = b; c < first(f + 1); ++c) a[b] += Lambda_[c * q_ + b] * z[z_index_[c]];
      }
  }
}

// eta0 = X beta + o
void CrossedData::prepare_rows(const double* beta) {
  for (std::size_t i = 0; i < layout_.rows; ++i) {
    double eta = offset_.empty() ? 0.0 : offset_[i];
    for (int k = 0; k < p_; ++k) eta += x_[i * p_ + k] * beta[k];
    eta0_[i] = eta;
  }
}

// u + sum_k u_k dpsi_k
void CrossedData::predict_modes(const double* psi) {
  if (last_psi_.empty()) return;
  std::vector<double> change(vectors_ * kLanes);
  for (int k = 0; k < m(); ++k) change[k] = psi[p_ + k] - last_psi_[p_ + k];
  for (int k = 0; k < p_; ++k) change[m() + k] = psi[k] - last_psi_[k];
  for (std::size_t j = 0; j < u_.size(); ++j) {
    vd sums{};
    for (std::size_t v = 0; v < vectors_; ++v)
      sums += U_[j * vectors_ + v] * load(&change[v * kLanes]);
    u_[j] += sum(sums);
  }
}

// ---- modes
// ---------------------------------------------------------------------------------------

// r and w of every row at u, and the gradient A'r - u.
void CrossedData::score(const std::vector<double>& u, std::size_t threads) {
  for_each_range(row_ranges_, threads, [&](std::size_t, std::size_t, std::size_t t) {
    const std::size_t i0 = t * kLanes;
    double eta[kLanes] = {};
    for (std::size_t i = i0; i < std::min(i0 + kLanes, layout_.rows); ++i) {
      const double* a = &a_[i * q_];
      const std::int32_t* variable = this->variable(i);
      double sum = eta0_[i];
      for (int f = 0; f < layout_.factors; ++f)
        for (int e = 0; e < layout_.effects[f]; ++e) sum += a[first(f) + e] * u[variable[f] + e];
      eta[i - i0] = sum;
    }
    const BinomialScore row = binomial_score(load(eta), load(&y_[i0]), load(&n_[i0]));
    std::memcpy(&r_[i0], &row.r, sizeof row.r);
    std::memcpy(&w_[i0], &row.w, sizeof row.w);
  });
  const int q_E = layout_.effects[0];
  for_each_range(group_ranges_, threads, [&](std::size_t, std::size_t, std::size_t g) {
    double* out = &gradient_[g * q_E];
    for (int e = 0; e < q_E; ++e) out[e] = -u[g * q_E + e];
    for (std::int64_t i = layout_.group_rows[g]; i < layout_.group_rows[g + 1]; ++i)
      for (int e = 0; e < q_E; ++e) out[e] += r_[i] * a_[i * q_ + e];
  });
  for_each_range(position_ranges_, threads, [&](std::size_t, std::size_t, std::size_t k) {
    const int b = layout_.effect(static_cast<std::int32_t>(k));
    double sum = -u[layout_.eliminated_effects + k];
    const std::int32_t c = layout_.block[k];
    for (const auto* i = layout_.block_rows.begin(c); i != layout_.block_rows.end(c); ++i)
      sum += r_[*i] * a_[static_cast<std::size_t>(*i) * q_ + b];
    gradient_[layout_.eliminated_effects + k] = sum;
  });
}

// H_gg^-1, H_gR and K_g = H_gg^-1 H_gR at the present weights.
void CrossedData::factor_group(std::size_t g) {
  const int q_E = layout_.effects[0], others = layout_.factors - 1;
  double H[kMaxRowEffects * kMaxRowEffects] = {};
  for (int e = 0; e < q_E; ++e) H[e * kMaxRowEffects + e] = 1.0;
  const std::int64_t first_slot = layout_.group_slots[g], end_slot = layout_.group_slots[g + 1];
  std::fill(H_R_.begin() + first_slot * q_E, H_R_.begin() + end_slot * q_E, 0.0);
  for (std::int64_t i = layout_.group_rows[g]; i < layout_.group_rows[g + 1]; ++i) {
    const double* a = &a_[i * q_];
    for (int e = 0; e < q_E; ++e) {
      const double wa = w_[i] * a[e];
      for (int d = 0; d <= e; ++d) H[e * kMaxRowEffects + d] += wa * a[d];
      for (int f = 0; f < others; ++f) {
        double* out = &H_R_[static_cast<std::size_t>(layout_.row_slot[i * others + f]) * q_E + e];
        for (int b = 0; b < layout_.effects[f + 1]; ++b) out[b * q_E] += wa * a[first(f + 1) + b];
      }
    }
  }
  SmallCholesky<kMaxRowEffects, double> L;
  L.factor(H, q_E);
  log_pivots_[g] = 0.0;
  for (int e = 0; e < q_E; ++e) log_pivots_[g] += std::log(L.L[e * kMaxRowEffects + e]);
  double* inverse = &Hinv_[g * q_E * q_E];
  for (int e = 0; e < q_E; ++e) {
    double column[kMaxRowEffects] = {};
    column[e] = 1.0;
    L.solve(column, q_E);
    std::copy_n(column, q_E, inverse + e * q_E);
  }
  for (std::int64_t s = first_slot; s < end_slot; ++s) {
    std::copy_n(&H_R_[s * q_E], q_E, &K_[s * q_E]);
    L.solve(&K_[s * q_E], q_E);
  }
}

// Rows >= k of column k of S.
void CrossedData::remainder_column(std::size_t k, double* column) const {
  const int q_E = layout_.effects[0], b = layout_.effect(static_cast<std::int32_t>(k));
  const auto n_E = static_cast<std::int64_t>(layout_.eliminated_effects);
  const auto from = static_cast<std::int64_t>(k);
  column[k] += 1.0;
  const std::int32_t c = layout_.block[k];
  for (const auto* row = layout_.block_rows.begin(c); row != layout_.block_rows.end(c); ++row) {
    const auto i = static_cast<std::size_t>(*row);
    const double* a = &a_[i * q_];
    const double wa = w_[i] * a[b];
    for (int f = 1; f < layout_.factors; ++f) {
      const std::int64_t position = variable(i)[f] - n_E;
      for (int e = 0; e < layout_.effects[f]; ++e)
        if (position + e >= from) column[position + e] += wa * a[first(f) + e];
    }
  }
  for (const auto* slot = layout_.position_slots.begin(k); slot != layout_.position_slots.end(k);
       ++slot) {
    const std::int64_t end = layout_.group_slots[layout_.slot_group[*slot] + 1];
    const double* K = &K_[static_cast<std::size_t>(*slot) * q_E];
    for (std::int64_t s = *slot; s < end; ++s) {
      double sum = 0.0;
      for (int e = 0; e < q_E; ++e) sum += H_R_[s * q_E + e] * K[e];
      column[layout_.slot_position[s]] -= sum;
    }
  }
}

bool CrossedData::factor(std::size_t threads) {
  for_each_range(group_ranges_, threads,
                 [&](std::size_t, std::size_t, std::size_t g) { factor_group(g); });
  for (const double pivot : log_pivots_)
    if (!std::isfinite(pivot)) return false;
  return remainder_->factor([this](std::size_t k, double* column) { remainder_column(k, column); },
                            threads);
}

double CrossedData::half_log_determinant() const {
  double sum = remainder_->half_log_determinant();
  for (const double pivot : log_pivots_) sum += pivot;
  return sum;
}

// x <- H^-1 x for the variables x width matrix x, row-major.
void CrossedData::solve(double* x, std::size_t width, std::size_t threads) const {
  const std::size_t q_E = layout_.effects[0];
  double* x_R = x + layout_.eliminated_effects * width;
  for_each_range(position_ranges_, threads, [&](std::size_t, std::size_t, std::size_t k) {
    for (const auto* slot = layout_.position_slots.begin(k); slot != layout_.position_slots.end(k);
         ++slot) {
      const auto s = static_cast<std::size_t>(*slot);
      for (std::size_t e = 0; e < q_E; ++e) {
        const double* from = x + (layout_.slot_group[s] * q_E + e) * width;
        for (std::size_t c = 0; c < width; ++c) x_R[k * width + c] -= K_[s * q_E + e] * from[c];
      }
    }
  });
  remainder_->solve(x_R, width, threads);
  for_each_slot(group_ranges_.count(), threads, [&](std::size_t, std::size_t range) {
    std::vector<double> out(q_E * width);
    for (std::size_t g = group_ranges_.first[range]; g < group_ranges_.first[range + 1]; ++g) {
      double* x_g = x + g * q_E * width;
      std::fill(out.begin(), out.end(), 0.0);
      for (std::size_t e = 0; e < q_E; ++e)
        for (std::size_t d = 0; d < q_E; ++d)
          for (std::size_t c = 0; c < width; ++c)
            out[e * width + c] += Hinv_[(g * q_E + e) * q_E + d] * x_g[d * width + c];
      for (std::int64_t s = layout_.group_slots[g]; s < layout_.group_slots[g + 1]; ++s) {
        const double* from = x_R + layout_.slot_position[s] * width;
        for (std::size_t e = 0; e < q_E; ++e)
          for (std::size_t c = 0; c < width; ++c) out[e * width + c] -= K_[s * q_E + e] * from[c];
      }
      std::copy(out.begin(), out.end(), x_g);
    }
  });
}

// Newton's method for u^, damped by |gradient| alone, as in group_unit.hpp: along the Newton
// direction |gradient|^2 falls at rate 2. When the decrement is small, one more step is taken and
// not checked: it squares an error that enters l at first order.
bool CrossedData::find_modes(std::size_t threads) {
  constexpr double kSmall = 1e-13;
  constexpr double kSufficient = 1e-4;
  const auto dot = [](const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0.0;
    for (std::size_t j = 0; j < a.size(); ++j) sum += a[j] * b[j];
    return sum;
  };
  std::vector<double> step;
  score(u_, threads);
  for (int iteration = 0; iteration < kMaxInner; ++iteration) {
    ++inner_iterations_;
    if (!factor(threads)) return false;
    step = gradient_;
    solve(step.data(), 1, threads);
    const double norm = dot(gradient_, gradient_), decrement = dot(gradient_, step);
    if (decrement <= kSmall) {
      for (std::size_t j = 0; j < u_.size(); ++j) u_[j] += step[j];
      return true;
    }
    double length = 1.0;
    for (int halving = 0;; ++halving) {
      for (std::size_t j = 0; j < u_.size(); ++j) trial_[j] = u_[j] + length * step[j];
      score(trial_, threads);
      if (dot(gradient_, gradient_) <= (1.0 - 2.0 * kSufficient * length) * norm) break;
      if (halving == 60) return false;
      length *= 0.5;
    }
    u_.swap(trial_);
  }
  return false;
}

// ---- at the modes
// --------------------------------------------------------------------------------

// r, w, w3, w4 of every row; the sum of l_i.
double CrossedData::differentiate_rows(std::size_t threads) {
  std::vector<double> sums(row_ranges_.count());
  for_each_range(row_ranges_, threads, [&](std::size_t, std::size_t range, std::size_t t) {
    const std::size_t i0 = t * kLanes;
    double eta[kLanes] = {};
    for (std::size_t i = i0; i < std::min(i0 + kLanes, layout_.rows); ++i) {
      const double* a = &a_[i * q_];
      const std::int32_t* variable = this->variable(i);
      double sum = eta0_[i];
      for (int f = 0; f < layout_.factors; ++f)
        for (int e = 0; e < layout_.effects[f]; ++e) sum += a[first(f) + e] * u_[variable[f] + e];
      eta[i - i0] = sum;
    }
    const BinomialRow row = binomial_row(load(eta), load(&y_[i0]), load(&n_[i0]));
    std::memcpy(&r_[i0], &row.r, sizeof row.r);
    std::memcpy(&w_[i0], &row.w, sizeof row.w);
    std::memcpy(&w3_[i0], &row.w3, sizeof row.w3);
    std::memcpy(&w4_[i0], &row.w4, sizeof row.w4);
    sums[range] += sum(row.value);
  });
  double total = 0.0;
  for (const double part : sums) total += part;
  return total;
}

// The elements of H^-1 that meet in a row.
void CrossedData::invert(std::size_t threads) {
  remainder_->invert(threads);
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
  for (const auto* slot = layout_.position_slots.begin(k); slot != layout_.position_slots.end(k);
       ++slot) {
    const std::int32_t g = layout_.slot_group[*slot];
    double sums[kMaxRowEffects] = {};
    for (std::int64_t s = layout_.group_slots[g]; s < layout_.group_slots[g + 1]; ++s)
      for (int e = 0; e < q_E; ++e) sums[e] += K_[s * q_E + e] * column[layout_.slot_position[s]];
    for (int e = 0; e < q_E; ++e) G_[static_cast<std::size_t>(*slot) * q_E + e] = -sums[e];
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

// Sums over the rows; parameters theta first, then beta.
struct CrossedData::Derivatives {
  std::vector<double> gradient;  // vectors x lanes
  std::vector<double> hessian;   // (p + m) x vectors x lanes: its symmetric part is meant
  std::vector<double> trace;     // m: tr(H^-1 A'W Z_k)
  bool exact = false;

  Derivatives(int size, int m, std::size_t vectors)
      : gradient(vectors * kLanes), hessian(size * vectors * kLanes), trace(m) {}

  void add(const Derivatives& other) {
    for (std::size_t i = 0; i < gradient.size(); ++i) gradient[i] += other.gradient[i];
    for (std::size_t i = 0; i < hessian.size(); ++i) hessian[i] += other.hessian[i];
    for (std::size_t i = 0; i < trace.size(); ++i) trace[i] += other.trace[i];
  }
};

// s = H^-1 a and h = a's of every row; of pairs of thetas sum w diag(Z_k H^-1 Z_l'), of each theta
// tr(H^-1 A'W Z_k).
void CrossedData::weigh_rows(Derivatives& out, std::size_t threads) {
  const std::size_t lanes = vectors_ * kLanes;
  std::vector<Derivatives> sums(group_ranges_.count(), Derivatives(size(), m(), vectors_));
  for_each_slot(group_ranges_.count(), threads, [&](std::size_t, std::size_t range) {
    Derivatives& to = sums[range];
    double covariance[kMaxRowEffects * kMaxRowEffects];
    const std::int64_t end = layout_.group_rows[group_ranges_.first[range + 1]];
    for (std::int64_t i = layout_.group_rows[group_ranges_.first[range]]; i < end; ++i) {
      row_covariance(i, covariance);
      const double *a = &a_[i * q_], *z = &z_[i * q_];
      double* s = &s_[i * q_];
      double h = 0.0;
      for (int b = 0; b < q_; ++b) {
        s[b] = 0.0;
        for (int c = 0; c < q_; ++c) s[b] += covariance[b * q_ + c] * a[c];
        h += a[b] * s[b];
      }
      h_[i] = h;
      for (int k = 0; k < m(); ++k) {
        const double wz = w_[i] * z[z_index_[theta_row_[k]]];
        to.trace[k] += wz * s[theta_column_[k]];
        const double* row = &covariance[theta_column_[k] * q_];
        for (int l = 0; l < m(); ++l)
          to.hessian[k * lanes + l] -= wz * z[z_index_[theta_row_[l]]] * row[theta_column_[l]];
      }
    }
  });
  for (const Derivatives& part : sums) out.add(part);
}

// P_k = z_a u_b for theta_k = Lambda[a, b]; those of beta are there.
void CrossedData::fill_predictors(std::size_t threads) {
  const std::size_t lanes = vectors_ * kLanes;
  std::vector<int> factor_of(m());
  for (int k = 0; k < m(); ++k)
    while (theta_column_[k] >= first(factor_of[k] + 1)) ++factor_of[k];
  for_each_range(row_ranges_, threads, [&](std::size_t, std::size_t, std::size_t t) {
    for (std::size_t i = t * kLanes; i < std::min((t + 1) * kLanes, layout_.rows); ++i)
      for (int k = 0; k < m(); ++k) {
        const int f = factor_of[k];
        doubles(P_)[i * lanes + k] =
            z_[i * q_ + z_index_[theta_row_[k]]] * u_[variable(i)[f] + theta_column_[k] - first(f)];
      }
  });
}

// Row i's share in -A'W P_k, and in A'(w3 h) in the last lane, of the effects of factor f.
void CrossedData::add_right_hand_side(std::size_t i, int f, vd* out) const {
  for (int e = 0; e < layout_.effects[f]; ++e, out += vectors_) {
    const double a = a_[i * q_ + first(f) + e], wa = w_[i] * a;
    for (std::size_t v = 0; v < vectors_; ++v) out[v] -= wa * P_[i * vectors_ + v];
    reinterpret_cast<double*>(out)[size()] += a * w3_[i] * h_[i];
  }
}

// U = H^-1 N, N_k = Z_k'r - A'W P_k, and v = H^-1 A'(w3 h).
void CrossedData::right_hand_sides(std::size_t threads) {
  std::fill(U_.begin(), U_.end(), vd{});
  std::fill(Rz_.begin(), Rz_.end(), 0.0);
  const auto add_row = [&](std::size_t i, int f) {
    const std::size_t variable = this->variable(i)[f];
    add_right_hand_side(i, f, &U_[variable * vectors_]);
    for (int e = 0; e < layout_.effects[f]; ++e)
      Rz_[variable + e] += r_[i] * z_[i * q_ + z_index_[first(f) + e]];
  };
  for_each_range(group_ranges_, threads, [&](std::size_t, std::size_t, std::size_t g) {
    for (std::int64_t i = layout_.group_rows[g]; i < layout_.group_rows[g + 1]; ++i) add_row(i, 0);
  });
  for (std::size_t c = 0; c < layout_.blocks(); ++c)
    for (const auto* i = layout_.block_rows.begin(c); i != layout_.block_rows.end(c); ++i)
      add_row(*i, layout_.block_factor[c]);
  const auto add_level = [&](std::size_t variable, int f) {
    for (int k = 0; k < m(); ++k)
      if (theta_column_[k] >= first(f) && theta_column_[k] < first(f + 1))
        doubles(U_)[(variable + theta_column_[k] - first(f)) * vectors_ * kLanes + k] +=
            Rz_[variable + theta_row_[k] - first(f)];
  };
  for (std::size_t g = 0; g < layout_.groups; ++g) add_level(g * layout_.effects[0], 0);
  for (std::size_t c = 0; c < layout_.blocks(); ++c)
    add_level(layout_.eliminated_effects + layout_.block_position[c], layout_.block_factor[c]);
  solve(doubles(U_), vectors_ * kLanes, threads);
}

// Everything that is a sum over rows of products of D_k = P_k + A u_k; w3 D_k for the trace.
void CrossedData::multiply_rows(Derivatives& out, std::size_t threads) {
  const std::size_t lanes = vectors_ * kLanes;
  std::vector<Derivatives> sums(row_ranges_.count(), Derivatives(size(), m(), vectors_));
  std::vector<double>& omega1 = h_;  // from here on w3 h - w A v
  w3D_.resize(layout_.rows * vectors_);
  for_each_slot(row_ranges_.count(), threads, [&](std::size_t, std::size_t range) {
    Derivatives& to = sums[range];
    std::vector<vd> D(vectors_);
    const auto* d = reinterpret_cast<const double*>(D.data());
    const std::size_t end = std::min(layout_.rows, row_ranges_.first[range + 1] * kLanes);
    for (std::size_t i = row_ranges_.first[range] * kLanes; i < end; ++i) {
      std::copy_n(&P_[i * vectors_], vectors_, D.begin());
      const double *a = &a_[i * q_], *z = &z_[i * q_], *s = &s_[i * q_];
      double v[kMaxRowEffects];
      for (int f = 0; f < layout_.factors; ++f)
        for (int e = 0; e < layout_.effects[f]; ++e) {
          const vd* u = &U_[(variable(i)[f] + e) * vectors_];
          for (std::size_t c = 0; c < vectors_; ++c) D[c] += a[first(f) + e] * u[c];
          v[first(f) + e] = doubles(u)[size()];
        }
      const double av = d[size()], w = w_[i], w3 = w3_[i], h = h_[i];
      const double weight = -w - 0.5 * (w4_[i] * h - w3 * av);
      omega1[i] = w3 * h - w * av;
      for (std::size_t c = 0; c < lanes; ++c)
        to.gradient[c] += r_[i] * doubles(&P_[i * vectors_])[c] - 0.5 * w3 * h * d[c];
      for (int k = 0; k < size(); ++k) {
        double left = weight * d[k];
        if (k < m()) {
          const int b = theta_column_[k];
          left -= z[z_index_[theta_row_[k]]] * (2.0 * w3 * s[b] - w * v[b]);
        }
        double* row = &to.hessian[k * lanes];
        for (std::size_t c = 0; c < lanes; ++c) row[c] += left * d[c];
      }
      for (std::size_t c = 0; c < vectors_; ++c) w3D_[i * vectors_ + c] = w3 * D[c];
    }
  });
  for (const Derivatives& part : sums) out.add(part);
}

// Y'U + U'Y - U'U with Y_k = sum (r - omega1 / 2) z_a in the place of theta_k = Lambda[a, b].
void CrossedData::add_levels(Derivatives& out) const {
  const std::size_t lanes = vectors_ * kLanes;
  const auto add_level = [&](std::size_t variable, int f) {
    for (int e = 0; e < layout_.effects[f]; ++e) {
      const double* u = doubles(&U_[(variable + e) * vectors_]);
      for (int k = 0; k < size(); ++k) {
        double left = -u[k];
        if (k < m() && theta_column_[k] == first(f) + e) {
          const std::size_t row = variable + theta_row_[k] - first(f);
          left += 2.0 * (Rz_[row] - 0.5 * Sz_[row]);
        }
        for (std::size_t c = 0; c < lanes; ++c) out.hessian[k * lanes + c] += left * u[c];
      }
    }
  };
  for (std::size_t g = 0; g < layout_.groups; ++g) add_level(g * layout_.effects[0], 0);
  for (std::size_t c = 0; c < layout_.blocks(); ++c)
    add_level(layout_.eliminated_effects + layout_.block_position[c], layout_.block_factor[c]);
}

// ---- the trace of H^-1 H_k H^-1 H_l
// --------------------------------------------------------------

// V_b = w3 D a_b / 2 + w dalpha_b, so that row i's part in H_k is V a' + a V'.
void CrossedData::direction_row(std::size_t i, std::size_t vectors, vd* out) const {
  for (int b = 0; b < q_; ++b)
    for (std::size_t v = 0; v < vectors; ++v)
      out[b * vectors + v] = 0.5 * a_[i * q_ + b] * w3D_[i * vectors_ + v];
  for (int k = 0; k < m(); ++k)
    reinterpret_cast<double*>(out + theta_column_[k] * vectors)[k] +=
        w_[i] * z_[i * q_ + z_index_[theta_row_[k]]];
}

// dH_gg, N_g = dH_gR - dH_gg K_g and X_g = dH_gR - dH_gg K_g / 2;
// sums_kl += tr(H_gg^-1 dH_gg,k H_gg^-1 dH_gg,l).
void CrossedData::differentiate_group(std::size_t g, std::size_t vectors,
                                      std::vector<double>& sums) {
  const std::size_t q_E = layout_.effects[0], lanes = vectors * kLanes;
  const int others = layout_.factors - 1;
  std::vector<vd> V(q_ * vectors), H(q_E * q_E * vectors), A(q_E * q_E * vectors);
  const std::size_t first_slot = layout_.group_slots[g], end_slot = layout_.group_slots[g + 1];
  std::fill(X_.begin() + first_slot * q_E * vectors, X_.begin() + end_slot * q_E * vectors, vd{});
  for (std::int64_t i = layout_.group_rows[g]; i < layout_.group_rows[g + 1]; ++i) {
    direction_row(i, vectors, V.data());
    const double* a = &a_[i * q_];
    for (std::size_t e = 0; e < q_E; ++e)
      for (std::size_t v = 0; v < vectors; ++v) {
        const vd Ve = V[e * vectors + v];
        for (std::size_t d = 0; d < q_E; ++d)
          H[(e * q_E + d) * vectors + v] += Ve * a[d] + V[d * vectors + v] * a[e];
        for (int f = 0; f < others; ++f) {
          const std::size_t slot = layout_.row_slot[i * others + f];
          for (int b = 0; b < layout_.effects[f + 1]; ++b) {
            const int c = first(f + 1) + b;
            X_[((slot + b) * q_E + e) * vectors + v] += Ve * a[c] + V[c * vectors + v] * a[e];
          }
        }
      }
  }
  for (std::size_t s = first_slot; s < end_slot; ++s)
    for (std::size_t e = 0; e < q_E; ++e)
      for (std::size_t v = 0; v < vectors; ++v) {
        vd HK{};
        for (std::size_t d = 0; d < q_E; ++d)
          HK += H[(e * q_E + d) * vectors + v] * K_[s * q_E + d];
        const std::size_t at = (s * q_E + e) * vectors + v;
        N_[at] = X_[at] - HK;
        X_[at] -= 0.5 * HK;
      }
  for (std::size_t e = 0; e < q_E; ++e)
    for (std::size_t d = 0; d < q_E; ++d)
      for (std::size_t c = 0; c < q_E; ++c)
        for (std::size_t v = 0; v < vectors; ++v)
          A[(e * q_E + d) * vectors + v] +=
              Hinv_[(g * q_E + e) * q_E + c] * H[(c * q_E + d) * vectors + v];
  for (std::size_t e = 0; e < q_E; ++e)
    for (std::size_t d = 0; d < q_E; ++d) {
      const double *left = doubles(&A[(e * q_E + d) * vectors]),
                   *right = doubles(&A[(d * q_E + e) * vectors]);
      for (std::size_t k = 0; k < lanes; ++k)
        for (std::size_t l = 0; l < lanes; ++l) sums[k * lanes + l] += left[k] * right[l];
    }
}

// Rows from .. to - 1 of column k of E = dH_RR - sum_g (K_g'X_g + X_g'K_g).
void CrossedData::direction_column(std::size_t k, std::size_t from, std::size_t to,
                                   std::size_t vectors, vd* column) const {
  const std::size_t q_E = layout_.effects[0], n_E = layout_.eliminated_effects;
  const int own = layout_.effect(static_cast<std::int32_t>(k));
  std::vector<vd> V(q_ * vectors);
  const std::int32_t c = layout_.block[k];
  for (const auto* row = layout_.block_rows.begin(c); row != layout_.block_rows.end(c); ++row) {
    const auto i = static_cast<std::size_t>(*row);
    direction_row(i, vectors, V.data());
    const double* a = &a_[i * q_];
    for (int f = 1; f < layout_.factors; ++f)
      for (int e = 0; e < layout_.effects[f]; ++e) {
        const std::size_t position = variable(i)[f] - n_E + e;
        if (position < from || position >= to) continue;
        const int b = first(f) + e;
        for (std::size_t v = 0; v < vectors; ++v)
          column[position * vectors + v] +=
              V[own * vectors + v] * a[b] + V[b * vectors + v] * a[own];
      }
  }
  for (const auto* slot = layout_.position_slots.begin(k); slot != layout_.position_slots.end(k);
       ++slot) {
    const std::int32_t g = layout_.slot_group[*slot];
    const auto at = static_cast<std::size_t>(*slot);
    for (std::size_t s = layout_.group_slots[g]; s < std::size_t(layout_.group_slots[g + 1]); ++s) {
      const auto position = static_cast<std::size_t>(layout_.slot_position[s]);
      if (position < from) continue;
      if (position >= to) break;
      for (std::size_t e = 0; e < q_E; ++e)
        for (std::size_t v = 0; v < vectors; ++v)
          column[position * vectors + v] -= K_[s * q_E + e] * X_[(at * q_E + e) * vectors + v] +
                                            X_[(s * q_E + e) * vectors + v] * K_[at * q_E + e];
    }
  }
}

// Whether the trace of all pairs costs little beside the passes over the rows.
bool CrossedData::trace_is_cheap() const {
  return remainder_->work() * size() < 2e2 * static_cast<double>(layout_.rows) + 1e6;
}

// hessian += tr(H^-1 H_k H^-1 H_l) / 2 = (sum_g tr(H_gg^-1 dH_gg,k H_gg^-1 dH_gg,l)
//   + 2 sum_g tr(H_gg^-1 N_k,g S^-1 N_l,g') + tr(S^-1 E_k S^-1 E_l)) / 2
void CrossedData::add_trace(Derivatives& out, bool full, std::size_t threads) {
  out.exact = full || trace_is_cheap();
  const std::size_t count = out.exact ? size() : m();
  const std::size_t vectors = (count + kLanes - 1) / kLanes, lanes = vectors * kLanes;
  const std::size_t q_E = layout_.effects[0];
  X_.resize(layout_.slots() * q_E * vectors);
  N_.resize(layout_.slots() * q_E * vectors);
  std::vector<std::vector<double>> sums(group_ranges_.count() + position_ranges_.count(),
                                        std::vector<double>(lanes * lanes));
  for_each_range(group_ranges_, threads, [&](std::size_t, std::size_t range, std::size_t g) {
    differentiate_group(g, vectors, sums[range]);
  });
  for_each_slot(position_ranges_.count(), threads, [&](std::size_t, std::size_t range) {
    std::vector<double> work(layout_.remainder);
    std::vector<vd> right(q_E * vectors), left(q_E * vectors);
    std::vector<double>& to = sums[group_ranges_.count() + range];
    for (std::size_t k = position_ranges_.first[range]; k < position_ranges_.first[range + 1];
         ++k) {
      const double* column = remainder_->inverse_column(k, work.data());
      for (const auto* slot = layout_.position_slots.begin(k);
           slot != layout_.position_slots.end(k); ++slot) {
        const std::size_t g = layout_.slot_group[*slot];
        std::fill(right.begin(), right.end(), vd{});
        std::fill(left.begin(), left.end(), vd{});
        for (std::int64_t s = layout_.group_slots[g]; s < layout_.group_slots[g + 1]; ++s)
          for (std::size_t j = 0; j < q_E * vectors; ++j)
            right[j] += column[layout_.slot_position[s]] * N_[s * q_E * vectors + j];
        for (std::size_t e = 0; e < q_E; ++e)
          for (std::size_t d = 0; d < q_E; ++d)
            for (std::size_t v = 0; v < vectors; ++v)
              left[e * vectors + v] +=
                  Hinv_[(g * q_E + e) * q_E + d] * N_[(*slot * q_E + d) * vectors + v];
        for (std::size_t e = 0; e < q_E; ++e) {
          const double *l = doubles(&left[e * vectors]), *r = doubles(&right[e * vectors]);
          for (std::size_t i = 0; i < lanes; ++i)
            for (std::size_t j = 0; j < lanes; ++j) to[i * lanes + j] += 2.0 * l[i] * r[j];
        }
      }
      remainder_->release(k, work.data());
    }
  });
  std::vector<double> traces(count * count);
  if (layout_.remainder > 0) {
    const DirectionSource source{[&](std::size_t k, std::size_t from, std::size_t to, vd* column) {
                                   direction_column(k, from, to, vectors, column);
                                 },
                                 vectors, count};
    remainder_->traces(source, traces.data(), threads);
  }
  const std::size_t stride = vectors_ * kLanes;
  for (std::size_t k = 0; k < count; ++k)
    for (std::size_t l = 0; l < count; ++l) {
      double total = traces[k * count + l];
      for (const auto& part : sums) total += part[k * lanes + l];
      out.hessian[k * stride + l] += 0.5 * total;
    }
}

// ---- all together
// --------------------------------------------------------------------------------

CrossedData::Result CrossedData::evaluate(const double* psi, bool full, std::size_t threads) {
  inner_iterations_ = 0;
  move_to(psi);
  Result result;
  result.modes_found = find_modes(threads);
  double value = 0.0;
  if (result.modes_found) {
    value = differentiate_rows(threads);
    for (const double u : u_) value -= 0.5 * u * u;
    result.modes_found = factor(threads);
  }
  if (!result.modes_found) {  // start afresh next time
    std::fill(u_.begin(), u_.end(), 0.0);
    last_psi_.clear();
    result.gradient.resize(size());
    result.hessian.resize(static_cast<std::size_t>(size()) * size());
    result.inner_iterations = inner_iterations_;
    return result;
  }
  invert(threads);
  Derivatives derivatives(size(), m(), vectors_);
  weigh_rows(derivatives, threads);
  fill_predictors(threads);
  right_hand_sides(threads);
  multiply_rows(derivatives, threads);
  std::fill(Sz_.begin(), Sz_.end(), 0.0);
  for (std::size_t i = 0; i < layout_.rows; ++i)
    for (int f = 0; f < layout_.factors; ++f)
      for (int e = 0; e < layout_.effects[f]; ++e)
        Sz_[variable(i)[f] + e] += h_[i] * z_[i * q_ + z_index_[first(f) + e]];
  add_levels(derivatives);
  add_trace(derivatives, full, threads);
  return finish(derivatives, value - half_log_determinant());
}

// From theta, beta in lanes to beta, theta.
CrossedData::Result CrossedData::finish(const Derivatives& derivatives, double value) const {
  Result result;
  result.value = value;
  result.exact = derivatives.exact;
  result.inner_iterations = inner_iterations_;
  const int size = this->size(), lanes = static_cast<int>(vectors_) * kLanes;
  result.gradient.resize(size);
  result.hessian.resize(static_cast<std::size_t>(size) * size);
  const auto own = [&](int k) { return k < p_ ? m() + k : k - p_; };
  for (int k = 0; k < size; ++k) {
    result.gradient[k] = derivatives.gradient[own(k)] - (k < p_ ? 0.0 : derivatives.trace[k - p_]);
    for (int l = 0; l < size; ++l)
      result.hessian[k * size + l] = 0.5 * (derivatives.hessian[own(k) * lanes + own(l)] +
                                            derivatives.hessian[own(l) * lanes + own(k)]);
  }
  return result;
}

}  // namespace multilogit

#include "crossed.hpp"

#include <algorithm>
#include <cmath>

#include "crossed_derivatives.hpp"
#include "crossed_lanes.hpp"
#include "crossed_rows.hpp"

namespace multilogit {

namespace {

// Effects of a remainder whose traces cost next to nothing.
constexpr std::size_t kFewEffects = 100;
// Distances, in standard errors, within which traces are as good as the same, and from which the
// next step leads next to the maximum.
constexpr double kSame = 0.05;
constexpr double kNear = 1.0;

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

}  // namespace

// ---- data -------------------------------------------------------------------------------------

CrossedData::CrossedData(const CrossedColumns& data, const std::vector<FactorCodes>& factors,
                         std::size_t rows, double memory, Keep keep)
    : layout_(factors, rows),
      categorical_(data.categorical),
      C_(static_cast<int>(data.counts.size())),
      x_columns_(static_cast<int>(data.x.size())),
      p_(C_ * x_columns_),
      q_(static_cast<int>(data.z.size())),
      tiles_((rows + kLanes - 1) / kLanes),
      padded_(tiles_ * kLanes),
      logit_(data.logit) {
  plan_ = plan_crossed(layout_, x_columns_, C_, memory, keep);
  x_room_ = static_cast<std::size_t>(q_) * (q_ + 1) / 2 + p_;
  x_.resize(2 * x_room_ + rows * x_columns_ + kLanes);
  z_.resize(rows * q_);
  for (std::size_t i = 0; i < rows; ++i) {
    for (int k = 0; k < x_columns_; ++k)
      x_[x_room_ + i * x_columns_ + k] = data.x[k][layout_.order[i]];
    for (int a = 0; a < q_; ++a) z_[i * q_ + a] = data.z[a][layout_.order[i]];
  }
  n_.resize(padded_);
  for (auto* array : {&y_, &eta0_, &r_}) array->resize(C_ * padded_);
  w_.resize(packed_size(C_) * padded_);
  if (categorical_) {
    pi_.resize(C_ * padded_);
  } else {
    w3_.resize(padded_);
    w4_.resize(padded_);
  }
  if (data.offset) {
    offset_.resize(rows);
    for (std::size_t i = 0; i < rows; ++i) offset_[i] = data.offset[layout_.order[i]];
  }
  set_response(data.counts, data.trials);

  std::vector<int> first(factors.size() + 1);  // of the caller's effects
  for (std::size_t f = 0; f < factors.size(); ++f) first[f + 1] = first[f] + factors[f].effects;
  own_effect_.resize(q_);
  for (int f = 0; f < layout_.factors; ++f)
    for (int e = 0; e < layout_.effects[f]; ++e)
      own_effect_[first[layout_.factor[f]] + e] = layout_.first_effect[f] + e;

  const auto ranges = [](std::size_t work) { return std::clamp<std::size_t>(work / 4096, 1, 64); };
  const std::size_t apart = std::clamp<std::size_t>(rows / (layout_.remainder + 4096), 1, 8);
  row_ranges_ = equal_ranges(tiles_, ranges(rows), [](std::size_t i) { return i; });
  group_ranges_ =
      equal_ranges(layout_.groups, apart, [&](std::size_t g) { return layout_.group_rows[g]; });
  stripe_ranges_ = equal_ranges(layout_.stripes(), ranges(layout_.slots()),
                                [&](std::size_t t) { return layout_.stripe_slots.first[t]; });
}

// What is large, once it is sure to fit.
void CrossedData::allocate() {
  const int q_E = layout_.effects[0];
  a_.resize(layout_.rows * C_ * q_);
  Hinv_.resize(layout_.groups * q_E * q_E);
  cov_E_.resize(Hinv_.size());
  log_pivots_.resize(layout_.groups);
  for (auto* array : {&H_R_, &K_, &G_}) array->resize(layout_.slots() * q_E);
  for (auto* array : {&u_, &gradient_, &trial_, &Rz_, &Sz_}) array->resize(layout_.variables());
  pair_.assign(static_cast<std::size_t>(q_) * q_, -1);
  for (int f = 1; f < layout_.factors; ++f) {
    widest_ = std::max<std::size_t>(widest_, layout_.effects[f]);
    for (int e = f + 1; e < layout_.factors; ++e)
      for (int b = first(f); b < first(f + 1); ++b)
        for (int c = first(e); c < first(e + 1); ++c)
          pair_[b * q_ + c] = pair_[c * q_ + b] = pairs_++;
  }
  cov_R_.resize(layout_.remainder * widest_);
  H_levels_.resize(layout_.remainder * widest_);
  cov_RR_.resize(layout_.rows * pairs_);
  remainder_ = plan_.sparse ? sparse_remainder(std::move(plan_.pattern))
                            : dense_remainder(layout_.remainder, layout_.stripe);
}

void CrossedData::set_response(const std::vector<const double*>& counts, const double* trials) {
  known_psi_.clear();
  for (std::size_t i = 0; i < layout_.rows; ++i) {
    for (int c = 0; c < C_; ++c) y_[c * padded_ + i] = counts[c][layout_.order[i]];
    n_[i] = trials[layout_.order[i]];
  }
}

void CrossedData::set_structure(const std::vector<int>& z, const std::vector<int>& row,
                                const std::vector<int>& column) {
  if (!remainder_) allocate();
  z_index_.resize(q_);
  for (int a = 0; a < q_; ++a) z_index_[own_effect_[a]] = z[a];
  theta_row_.clear();
  theta_column_.clear();
  theta_factor_.clear();
  for (std::size_t k = 0; k < row.size(); ++k) {
    theta_row_.push_back(own_effect_[row[k]]);
    theta_column_.push_back(own_effect_[column[k]]);
    theta_factor_.push_back(0);
    while (theta_column_.back() >= first(theta_factor_.back() + 1)) ++theta_factor_.back();
  }
  vectors_ = (size() + 1 + kLanes - 1) / kLanes;
  x_mask_.assign(C_ * vectors_, vd{});
  for (int c = 0; c < C_; ++c)
    std::fill_n(doubles(x_mask_) + c * vectors_ * kLanes + m() + c * x_columns_, x_columns_, 1.0);
  unit_.assign(m() + 1, vd{});
  for (int k = 0; k < m(); ++k) unit_[k][k % kLanes] = 1.0;
  unit_[m()][size() % kLanes] = 1.0;
  U_.assign(layout_.variables() * vectors_, vd{});
  std::fill(u_.begin(), u_.end(), 0.0);
  last_psi_.clear();
  known_psi_.clear();
  factored_ = false;
}

void CrossedData::turn(const std::vector<int>& z, const double* turn) {
  for (int a = 0; a < q_; ++a) z_index_[own_effect_[a]] = z[a];
  std::vector<int> callers(q_);
  for (int a = 0; a < q_; ++a) callers[own_effect_[a]] = a;
  std::vector<double> old;
  for_each_level([&](std::size_t variable, int f) {
    const int q = layout_.effects[f], *own = &callers[first(f)];
    old.assign(u_.begin() + variable, u_.begin() + variable + q);
    for (int a = 0; a < q; ++a) {
      u_[variable + a] = 0.0;
      for (int b = 0; b < q; ++b) u_[variable + a] += turn[own[a] * q_ + own[b]] * old[b];
    }
  });
  last_psi_.clear();
  known_psi_.clear();
  factored_ = false;
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
  known_psi_.clear();
  for (std::size_t t = 0; t < tiles_; ++t) {
    double eta[kMaxRowLogits * kLanes];
    for (int c = 0; c < C_; ++c)
      std::copy_n(&eta0_[c * padded_ + t * kLanes], kLanes, eta + c * kLanes);
    score_tile(t, eta);
  }
  for (std::size_t i = 0; i < layout_.rows; ++i) {
    const std::size_t variable = this->variable(i)[own];
    const std::size_t level =
        own == 0 ? variable / q
                 : layout_.block_level[layout_.block[variable - layout_.eliminated_effects]];
    const double* z = &z_[i * q_];
    for (int a = 0; a < q; ++a) {
      const int c = logit_[column[a]];
      score[level * q + a] += residual(i, c) * z[column[a]];
      for (int b = 0; b < q; ++b)
        information[(level * q + a) * q + b] +=
            weight(i, c, logit_[column[b]]) * z[column[a]] * z[column[b]];
    }
  }
}

// ---- the point --------------------------------------------------------------------------------

void CrossedData::move_to(const double* psi) {
  predict_modes(psi);
  last_psi_.assign(psi, psi + size());
  Lambda_.assign(static_cast<std::size_t>(q_) * q_, 0.0);
  for (int k = 0; k < m(); ++k) Lambda_[theta_row_[k] * q_ + theta_column_[k]] = psi[p_ + k];
  prepare_rows(psi);
  with_sizes(0, [&]<class S, int>() {
    for (std::size_t i = 0; i < layout_.rows; ++i) form_effects<S>(i);
  });
}

// A = Z Lambda of row i.
template <class S>
void CrossedData::form_effects(std::size_t i) {
  const int C = S::C ? S::C : C_, q = row_effects<S>();
  const double* z = &z_[i * q];
  double* A = &a_[i * C * q];
  std::fill_n(A, C * q, 0.0);
  for (int f = 0; f < factors<S>(); ++f)
    for (int b = first<S>(f); b < first<S>(f + 1); ++b)
      for (int e = b; e < first<S>(f + 1); ++e)
        A[logit<S>(e) * q + b] += Lambda_[e * q + b] * z[z_index_[e]];
}

// eta0 = X beta + o
void CrossedData::prepare_rows(const double* beta) {
  for (int c = 0; c < C_; ++c, beta += x_columns_)
    for (std::size_t i = 0; i < layout_.rows; ++i) {
      const double* x = x_of(i);
      double eta = offset_.empty() ? 0.0 : offset_[i];
      for (int k = 0; k < x_columns_; ++k) eta += x[k] * beta[k];
      eta0_[c * padded_ + i] = eta;
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

// ---- all together -----------------------------------------------------------------------------

// The modes at psi, f(u^), and H there; false, and all forgotten, where there are none.
bool CrossedData::settle(const double* psi, std::size_t threads, double& value) {
  inner_iterations_ = 0;
  known_psi_.clear();
  move_to(psi);
  if (find_modes(threads)) {
    value = differentiate_rows(threads);
    double squares = 0.0;  // apart: each subtraction from so large a value would be rounded
    for (const double u : u_) squares += u * u;
    value -= 0.5 * squares;
    if (std::isfinite(value) && factor(threads)) return true;
  }
  std::fill(u_.begin(), u_.end(), 0.0);
  last_psi_.clear();
  factored_ = false;
  return false;
}

CrossedData::Result CrossedData::evaluate(const double* psi, bool full, std::size_t threads) {
  if (full && std::equal(known_psi_.begin(), known_psi_.end(), psi, psi + size())) {
    if (!known_.exact) complete(threads);
    return known_;
  }
  const Traces wanted = choose_traces(psi, full);
  known_ = Result();
  double value = 0.0;
  known_.modes_found = settle(psi, threads, value);
  if (!known_.modes_found) {
    known_.gradient.resize(size());
    known_.hessian.resize(static_cast<std::size_t>(size()) * size());
    known_.inner_iterations = inner_iterations_;
    return known_;
  }
  invert(threads);
  Derivatives derivatives(m(), vectors_);
  differentiate_modes(derivatives, threads);
  derivatives.exact = wanted == Traces::all;
  multiply_rows(derivatives, threads);
  add_levels(derivatives);
  if (wanted != Traces::earlier) {
    traces_ = make_traces(derivatives.exact, threads);
    traced_psi_.assign(psi, psi + size());
  }
  for (int k = 0; k < size(); ++k)
    for (int l = 0; l < size(); ++l)
      derivatives.hessian_at(k, l) += 0.5 * traces_[static_cast<std::size_t>(k) * size() + l];
  known_ = finish(derivatives, value - half_log_determinant());
  known_psi_.assign(psi, psi + size());
  return known_;
}

// Steps need the traces of pairs of thetas. Next to a maximum those of all pairs save the last
// steps, and from there on they hardly change.
CrossedData::Traces CrossedData::choose_traces(const double* psi, bool full) const {
  if (full || layout_.remainder <= kFewEffects) return Traces::all;
  if (distance(psi, traced_psi_) < kSame) return Traces::earlier;
  if (plan_.sparse) return Traces::all;  // those of thetas alone cost as much
  return trace_is_cheap() && distance(psi, known_psi_) < kNear ? Traces::all : Traces::of_thetas;
}

// From psi to another point, in standard errors by the last Hessian; infinite where there is none.
double CrossedData::distance(const double* psi, const std::vector<double>& from) const {
  if (from.empty() || known_psi_.empty()) return INFINITY;
  double square = 0.0;
  for (int k = 0; k < size(); ++k)
    for (int l = 0; l < size(); ++l)
      square -= (psi[k] - from[k]) * known_.hessian[k * size() + l] * (psi[l] - from[l]);
  return square >= 0.0 ? std::sqrt(square) : INFINITY;
}

// The traces of all pairs at the last point, in the place of those that its Hessian has.
void CrossedData::complete(std::size_t threads) {
  const std::size_t count = size();
  const std::vector<double> before = std::move(traces_);
  traces_ = make_traces(true, threads);
  traced_psi_ = known_psi_;
  for (int k = 0; k < size(); ++k)
    for (int l = 0; l < size(); ++l) {
      const std::size_t at = lane_of(k) * count + lane_of(l);
      known_.hessian[k * count + l] += 0.25 * (traces_[at] - before[at]);
      known_.hessian[l * count + k] += 0.25 * (traces_[at] - before[at]);
    }
  known_.exact = true;
}

// From theta, beta in lanes to beta, theta.
CrossedData::Result CrossedData::finish(const Derivatives& derivatives, double value) const {
  Result result;
  result.value = value;
  result.exact = derivatives.exact;
  result.inner_iterations = inner_iterations_;
  const int size = this->size();
  result.gradient.resize(size);
  result.hessian.resize(static_cast<std::size_t>(size) * size);
  for (int k = 0; k < size; ++k) {
    result.gradient[k] = doubles(derivatives.gradient.data())[lane_of(k)] -
                         (k < p_ ? 0.0 : derivatives.trace[k - p_]);
    for (int l = 0; l < size; ++l)
      result.hessian[k * size + l] = 0.5 * (derivatives.hessian_at(lane_of(k), lane_of(l)) +
                                            derivatives.hessian_at(lane_of(l), lane_of(k)));
  }
  return result;
}

}  // namespace multilogit

// The conditional modes of a crossed model, and the blocks of H.
#include <algorithm>
#include <cmath>

#include "crossed.hpp"
#include "crossed_lanes.hpp"
#include "crossed_rows.hpp"
#include "small_cholesky.hpp"

namespace multilogit {

namespace {

constexpr int kMaxInner = 100;
constexpr int kMaxHalvings = 60;
constexpr double kSufficient = 1e-4;
constexpr double kSmall = 1e-13;  // squared decrement: the step after it ends near 1e-13
constexpr double kFast = 0.03;
constexpr double kInvisible = 1e-21;  // so that after a step that is divided by 30 it is 1e-24
// What one multiply-add of slots costs in those of the dense remainder, and the least cost per row
// of an H that is used again.
constexpr double kPair = 50.0;
constexpr double kReuse = 500.0;

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0.0;
  for (std::size_t j = 0; j < a.size(); ++j) sum += a[j] * b[j];
  return sum;
}

}  // namespace

// r and W of every row at u, and the gradient A'r - u.
void CrossedData::score(const std::vector<double>& u, std::size_t threads) {
  for (std::size_t j = 0; j < u.size(); ++j) gradient_[j] = -u[j];
  LevelSums<double> rest(group_ranges_.count(), layout_.remainder);
  with_sizes(1, [&]<class S, int>() {
    for_each_range(row_ranges_, threads, [&](std::size_t, std::size_t, std::size_t t) {
      double eta[kMaxRowLogits * kLanes];
      predict_tile<S>(t, u, eta);
      score_tile(t, eta);
    });
    for_each_range(group_ranges_, threads, [&](std::size_t, std::size_t range, std::size_t g) {
      add_scores<S>(g, rest.of(range));
    });
  });
  rest.add_to(gradient_.data() + layout_.eliminated_effects);
}

// A'r of the rows of group g.
template <class S>
void CrossedData::add_scores(std::size_t g, double* rest) {
  const int C = S::C ? S::C : C_, q = row_effects<S>(), q_E = effects<S>(0);
  double own[S::effects ? S::effects : kMaxRowEffects] = {};
  for (std::int64_t i = layout_.group_rows[g]; i < layout_.group_rows[g + 1]; ++i) {
    const std::int32_t* variable = this->variable<S>(i);
    for (int c = 0; c < C; ++c) {
      const double* a = effects_of<S>(i) + c * q;
      const double r = residual(i, c);
      for (int e = 0; e < q_E; ++e) own[e] += r * a[e];
      for (int f = 1; f < factors<S>(); ++f)
        for (int e = 0; e < effects<S>(f); ++e)
          rest[variable[f] - layout_.eliminated_effects + e] += r * a[first<S>(f) + e];
    }
  }
  for (int e = 0; e < q_E; ++e) gradient_[g * q_E + e] += own[e];
}

// H_gg^-1, H_gR and K_g = H_gg^-1 H_gR at the present weights; adds to the diagonal blocks of H_RR.
template <class S>
void CrossedData::factor_group(std::size_t g, double* H_levels) {
  constexpr int most = S::effects ? S::effects : kMaxRowEffects;
  const int q_E = effects<S>(0), others = factors<S>() - 1, q = row_effects<S>();
  const int C = S::C ? S::C : C_;
  double H[most * most] = {};
  for (int e = 0; e < q_E; ++e) H[e * most + e] = 1.0;
  const std::int64_t first_slot = layout_.group_slots[g], end_slot = layout_.group_slots[g + 1];
  std::fill(H_R_.begin() + first_slot * q_E, H_R_.begin() + end_slot * q_E, 0.0);
  double WA[kMaxRowLogits * kMaxRowEffects];
  for (std::int64_t i = layout_.group_rows[g]; i < layout_.group_rows[g + 1]; ++i) {
    weigh<S>(i, effects_of<S>(i), WA);
    for (int l = 0; l < C; ++l) {
      const double *a = effects_of<S>(i) + l * q, *wa = WA + l * q;
      for (int e = 0; e < q_E; ++e) {
        for (int d = 0; d <= e; ++d) H[e * most + d] += wa[e] * a[d];
        for (int f = 0; f < others; ++f) {
          double* out = &H_R_[static_cast<std::size_t>(layout_.row_slot[i * others + f]) * q_E + e];
          for (int b = 0; b < effects<S>(f + 1); ++b)
            out[b * q_E] += wa[e] * a[first<S>(f + 1) + b];
        }
      }
      for (int f = 1; f <= others; ++f) {
        double* out = H_levels + (variable<S>(i)[f] - layout_.eliminated_effects) * widest_;
        for (int b = first<S>(f); b < first<S>(f + 1); ++b, out += widest_)
          for (int c = first<S>(f); c < first<S>(f + 1); ++c) out[c - first<S>(f)] += wa[b] * a[c];
      }
    }
  }
  SmallCholesky<most, double> L;
  L.factor(H, q_E);
  log_pivots_[g] = 0.0;
  for (int e = 0; e < q_E; ++e) log_pivots_[g] += std::log(L.L[e * most + e]);
  double* inverse = &Hinv_[g * q_E * q_E];
  for (int e = 0; e < q_E; ++e) {
    double column[most] = {};
    column[e] = 1.0;
    L.solve(column, q_E);
    std::copy_n(column, q_E, inverse + e * q_E);
  }
  for (std::int64_t s = first_slot; s < end_slot; ++s) {
    std::copy_n(&H_R_[s * q_E], q_E, &K_[s * q_E]);
    L.solve(&K_[s * q_E], q_E);
  }
}

// Rows >= k of the columns k of a stripe of S.
void CrossedData::remainder_stripe(std::size_t stripe, double* columns, std::size_t ld) const {
  const int q_E = layout_.effects[0];
  const std::size_t begin = begin_of(stripe);
  for (std::size_t k = begin; k < end_of(stripe); ++k) {
    double* column = columns + (k - begin) * ld;
    const std::int32_t c = layout_.block[k], first = layout_.block_position[c];
    column[k] += 1.0;
    for (auto j = static_cast<std::int32_t>(k);
         j < first + layout_.effects[layout_.block_factor[c]]; ++j)
      column[j] += H_levels_[k * widest_ + j - first];
    if (layout_.factors > 2) add_row_weights(k, column);
  }
  if (plan_.filled) return;
  const std::int32_t* position = layout_.slot_position.data();
  const double* H = H_R_.data();
  for (const auto* slot = layout_.stripe_slots.begin(stripe);
       slot != layout_.stripe_slots.end(stripe); ++slot) {
    double* column = columns + (position[*slot] - begin) * ld;
    const std::int64_t end = layout_.group_slots[layout_.slot_group[*slot] + 1];
    const double* K = &K_[static_cast<std::size_t>(*slot) * q_E];
    if (q_E == 1) {
      const double factor = *K;
      for (std::int64_t s = *slot; s < end; ++s) column[position[s]] -= H[s] * factor;
      continue;
    }
    for (std::int64_t s = *slot; s < end; ++s) {
      double sum = 0.0;
      for (int e = 0; e < q_E; ++e) sum += H[s * q_E + e] * K[e];
      column[position[s]] -= sum;
    }
  }
}

// H_RR between effect k and those of the other factors after it.
void CrossedData::add_row_weights(std::size_t k, double* column) const {
  const int b = layout_.effect(static_cast<std::int32_t>(k));
  const auto n_E = static_cast<std::int64_t>(layout_.eliminated_effects);
  const std::int32_t c = layout_.block[k];
  for (const auto* row = layout_.block_rows.begin(c); row != layout_.block_rows.end(c); ++row) {
    const auto i = static_cast<std::size_t>(*row);
    const double* A = effects_of(i);
    for (int l = 0; l < C_; ++l) {
      double wa = 0.0;
      for (int d = 0; d < C_; ++d) wa += weight(i, l, d) * A[d * q_ + b];
      for (int f = 1; f < layout_.factors; ++f) {
        const std::int64_t position = variable(i)[f] - n_E;
        if (f == layout_.block_factor[c] || position < static_cast<std::int64_t>(k)) continue;
        for (int e = 0; e < layout_.effects[f]; ++e)
          column[position + e] += wa * A[l * q_ + first(f) + e];
      }
    }
  }
}

bool CrossedData::factor(std::size_t threads) {
  factored_ = false;
  LevelSums<double> H_levels(group_ranges_.count(), H_levels_.size());
  with_sizes(1, [&]<class S, int>() {
    for_each_range(group_ranges_, threads, [&](std::size_t, std::size_t range, std::size_t g) {
      factor_group<S>(g, H_levels.of(range));
    });
  });
  std::fill(H_levels_.begin(), H_levels_.end(), 0.0);
  H_levels.add_to(H_levels_.data());
  for (const double pivot : log_pivots_)
    if (!std::isfinite(pivot)) return false;
  remainder_->assemble([this](std::size_t stripe, double* columns,
                              std::size_t ld) { remainder_stripe(stripe, columns, ld); },
                       threads);
  if (plan_.filled) subtract_filled(threads);
  factored_ = remainder_->factor(threads);
  return factored_;
}

double CrossedData::half_log_determinant() const {
  double sum = remainder_->half_log_determinant();
  for (const double pivot : log_pivots_) sum += pivot;
  return sum;
}

// x <- H^-1 x for the variables x width matrix x, row-major; width: 1, or whole registers.
void CrossedData::solve(double* x, std::size_t width, std::size_t threads) const {
  if (width == 1)
    solve_lanes<double>(x, 1, threads);
  else
    solve_lanes<vd>(x, width / kLanes, threads);
}

// x_R <- S^-1 (x_R - sum_g K_g'x_g), x_g <- H_gg^-1 x_g - K_g x_R
template <class R>
void CrossedData::solve_lanes(double* numbers, std::size_t vectors, std::size_t threads) const {
  const std::size_t q_E = layout_.effects[0], ranges = group_ranges_.count();
  auto* x = reinterpret_cast<R*>(numbers);
  R* x_R = x + layout_.eliminated_effects * vectors;
  LevelSums<R> sums(ranges, layout_.remainder * vectors);
  for_each_range(group_ranges_, threads, [&](std::size_t, std::size_t range, std::size_t g) {
    const R* x_g = x + g * q_E * vectors;
    for (std::int64_t s = layout_.group_slots[g]; s < layout_.group_slots[g + 1]; ++s) {
      R* out = sums.of(range) + layout_.slot_position[s] * vectors;
      for (std::size_t e = 0; e < q_E; ++e)
        for (std::size_t v = 0; v < vectors; ++v) out[v] -= K_[s * q_E + e] * x_g[e * vectors + v];
    }
  });
  sums.add_to(x_R);
  remainder_->solve(reinterpret_cast<double*>(x_R), vectors * sizeof(R) / sizeof(double), threads);
  for_each_slot(ranges, threads, [&](std::size_t, std::size_t range) {
    std::vector<R> out(q_E * vectors);
    for (std::size_t g = group_ranges_.first[range]; g < group_ranges_.first[range + 1]; ++g) {
      R* x_g = x + g * q_E * vectors;
      std::fill(out.begin(), out.end(), R{});
      for (std::size_t e = 0; e < q_E; ++e)
        for (std::size_t d = 0; d < q_E; ++d)
          for (std::size_t v = 0; v < vectors; ++v)
            out[e * vectors + v] += Hinv_[(g * q_E + e) * q_E + d] * x_g[d * vectors + v];
      for (std::int64_t s = layout_.group_slots[g]; s < layout_.group_slots[g + 1]; ++s) {
        const R* from = x_R + layout_.slot_position[s] * vectors;
        for (std::size_t e = 0; e < q_E; ++e)
          for (std::size_t v = 0; v < vectors; ++v)
            out[e * vectors + v] -= K_[s * q_E + e] * from[v];
      }
      std::copy(out.begin(), out.end(), x_g);
    }
  });
}

// Newton's method for u^, damped by |gradient| alone, as in group_unit.hpp: along the Newton
// direction |gradient|^2 falls at rate 2. When the decrement is small, one more step is taken and
// not checked: it squares an error that enters l at first order.
//
// Where factoring H costs far more than a pass over the rows, an H that was factored nearby is used
// again as long as each step divides |gradient| by 30; steps then go on until the next would be
// invisible.
bool CrossedData::find_modes(std::size_t threads) {
  const double pair = plan_.filled ? 1.0 : kPair;
  const bool may_reuse =
      remainder_->work() + pair * layout_.pairs() > kReuse * static_cast<double>(layout_.rows);
  bool reuse = may_reuse && factored_;
  std::vector<double> step;
  score(u_, threads);
  for (int iteration = 0; iteration < kMaxInner; ++iteration) {
    ++inner_iterations_;
    if (!reuse && !factor(threads)) return false;
    step = gradient_;
    solve(step.data(), 1, threads);
    const double norm = dot(gradient_, gradient_), decrement = dot(gradient_, step);
    if (decrement <= (reuse ? kInvisible : kSmall)) {
      for (std::size_t j = 0; j < u_.size(); ++j) u_[j] += step[j];
      return true;
    }
    double there;
    if (!try_step(step, norm, reuse ? 0 : kMaxHalvings, there, threads)) {
      if (!reuse) return false;
      reuse = false;
      score(u_, threads);
      continue;
    }
    u_.swap(trial_);
    reuse = may_reuse && there <= kFast * kFast * norm;
  }
  return false;
}

// To trial_ = u + t step, t = 1, 1/2, ..., as soon as |gradient|^2 is smaller enough.
bool CrossedData::try_step(const std::vector<double>& step, double norm, int halvings,
                           double& there, std::size_t threads) {
  double length = 1.0;
  for (int halving = 0; halving <= halvings; ++halving, length *= 0.5) {
    for (std::size_t j = 0; j < u_.size(); ++j) trial_[j] = u_[j] + length * step[j];
    score(trial_, threads);
    there = dot(gradient_, gradient_);
    if (there <= (1.0 - 2.0 * kSufficient * length) * norm) return true;
  }
  return false;
}

}  // namespace multilogit

#include "crossed_plan.hpp"

#include <algorithm>
#include <cmath>

#include "crossed_remainder.hpp"
#include "simd.hpp"

namespace multilogit {

namespace {

// Below this size nothing is gained by a sparse factor.
constexpr double kSmallRemainder = 128.0;
// A multiply-add of the sparse factorisation costs as much as this many of the dense one.
constexpr double kSparseCost = 20.0;
// A remainder with more than this part of its elements factors to a full one.
constexpr double kFull = 0.25;
// From this part of the pairs of slots that there could be, dense products are faster.
constexpr double kFilled = 0.1;

// Bytes per double, with what threads and the allocator take besides. Dense matrices take no more
// than they hold.
constexpr double kBytes = 1.15 * 8.0;

// Columns of a dense remainder to which slots are added at a time: they stay in the first caches
// while memory is read in order.
constexpr std::size_t kStripe = 32;

double padded(double count) { return std::ceil(count / kLanes) * kLanes; }

// Doubles that one element of the sparse factor takes: L, S^-1, indices, and derivatives of either.
double sparse_element(double parameters) { return 4.5 + padded(parameters); }

struct Sizes {
  double rows, slots, variables, n, q_E, q, factors, x, C, thetas = 0.0, parameters;

  Sizes(const CrossedLayout& layout, int x_columns, int logits)
      : rows(static_cast<double>(layout.rows)),
        slots(static_cast<double>(layout.slots())),
        variables(static_cast<double>(layout.variables())),
        n(static_cast<double>(layout.remainder)),
        q_E(layout.effects[0]),
        q(layout.first_effect.back()),
        factors(layout.factors),
        x(x_columns),
        C(logits),
        parameters(x * C) {
    for (const int e : layout.effects) thetas += 0.5 * e * (e + 1);
    parameters += thetas;
  }

  // Rows, slots and effects: what crossed.hpp declares.
  double common() const {
    const double lanes = padded(parameters + 1.0);
    const double row = x + q + C * (q + 4.0) + 0.5 * C * (C + 1.0) + 4.0 + 2.0 * factors +
                       0.5 * (q - q_E) * (q - q_E);
    const double slot = q_E * (4.0 + 2.0 * padded(parameters)) + 2.0;
    return rows * row + slots * slot + variables * (lanes + 8.0 + q);
  }
  double dense() const { return 2.0 * n * padded(n); }
};

// Fills in the sparse plan; false when it is slower than the dense one, or does not fit.
bool plan_sparse(CrossedLayout& layout, const Sizes& size, double common, double memory, bool free,
                 CrossedPlan& plan) {
  const double n = size.n;
  const auto pattern = remainder_pattern(layout, free ? memory / kBytes : kFull * n * n);
  if (!pattern) return false;
  const auto rank = minimum_degree_rank(*pattern);
  const double room = (memory / kBytes - common) / sparse_element(size.parameters);
  const double most = free ? INFINITY : n * n * n / (6.0 * kSparseCost);
  auto found = factor_pattern(layout, *pattern, rank, most, room);
  if (!found) return false;
  layout.renumber(rank);
  plan.sparse = true;
  plan.pattern = std::move(*found);
  plan.bytes = kBytes * (common + sparse_element(size.parameters) *
                                      static_cast<double>(plan.pattern.nonzeros()));
  return true;
}

}  // namespace

CrossedPlan plan_crossed(CrossedLayout& layout, int x, int C, double memory, Keep keep) {
  const Sizes size(layout, x, C);
  const double common = size.common();
  CrossedPlan plan;
  plan.bytes = kBytes * (common + dense_directions(size.n, size.parameters, size.thetas)) +
               8.0 * size.dense();
  const bool free = keep == Keep::sparse || plan.bytes > memory;
  const bool tried = keep == Keep::sparse || (keep == Keep::best && size.n > kSmallRemainder);
  if (tried && size.n > 0.0 && plan_sparse(layout, size, common, memory, free, plan)) return plan;
  layout.set_stripe(kStripe);
  plan.filled = 2.0 * layout.pairs() >=
                kFilled * size.n * size.n * static_cast<double>(layout.eliminated_effects);
  return plan;
}

}  // namespace multilogit

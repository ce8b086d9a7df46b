// What GroupedData does with units of one kind of response; each kind is compiled once, in a
// translation unit of its own.
#pragma once

#include <algorithm>
#include <memory>

#include "grouped.hpp"
#include "laplace.hpp"
#include "parallel.hpp"
#include "quadrature.hpp"

namespace multilogit {

namespace detail {

// All sums of slots together take at most this many doubles (64 MB).
constexpr std::size_t kMostSums = 8'000'000;

// Adds up lanes that belong to groups, or takes one where they are the rows of a group and all are
// equal; clears them.
inline void reduce(Totals& totals, bool groups_in_lanes, SlotSum& out) {
  const auto total = [=](vd x) { return groups_in_lanes ? sum(x) : x[0]; };
  const std::size_t size = out.gradient.size(), p = size - totals.pairs.size() / size;
  out.value += total(totals.value);
  for (std::size_t k = 0; k < size; ++k) out.gradient[k] += total(totals.gradient[k]);
  for (std::size_t l = p; l < size; ++l)
    for (std::size_t k = 0; k < size; ++k) {
      const double x = total(totals.pairs[(l - p) * size + k]);
      out.hessian[std::min(k, l) * size + std::max(k, l)] += k == l ? 2.0 * x : x;
    }
  totals.value = vd{};
  std::fill(totals.gradient.begin(), totals.gradient.end(), vd{});
  std::fill(totals.pairs.begin(), totals.pairs.end(), vd{});
}

// What does not depend on what the lanes are.
inline void finish(Totals& totals, SlotSum& out) {
  const std::size_t size = out.gradient.size();
  out.value -= sum(totals.logs.total());
  totals.low_rank.flush();
  for (std::size_t k = 0; k < size; ++k)
    for (std::size_t l = k; l < size; ++l) out.hessian[k * size + l] += totals.low_rank(k, l);
}

// The slots in their order; the Hessian becomes full.
inline GroupedData::Result add_up(const std::vector<SlotSum>& slots, int size) {
  GroupedData::Result result;
  result.gradient.resize(size);
  result.hessian.resize(static_cast<std::size_t>(size) * size);
  for (const SlotSum& slot : slots) {
    if (!slot.modes_found) {
      result.modes_found = false;
      return result;
    }
    result.value += slot.value;
    for (int k = 0; k < size; ++k) result.gradient[k] += slot.gradient[k];
    for (std::size_t i = 0; i < result.hessian.size(); ++i) result.hessian[i] += slot.hessian[i];
  }
  for (int k = 0; k < size; ++k)
    for (int l = 0; l < k; ++l) result.hessian[k * size + l] = result.hessian[l * size + k];
  return result;
}

// The Hessian's upper triangle of beta from X'diag(w)X of every pair of logits.
inline void add_grams(const Point& at, const std::vector<double>& grams, SlotSum& out) {
  const std::size_t px = at.x_columns, size = at.size();
  for (int c = 0; c < at.logits; ++c)
    for (int d = c; d < at.logits; ++d) {
      const double* gram = &grams[packed(c, d) * px * px];
      for (std::size_t k = 0; k < px; ++k)
        for (std::size_t l = c == d ? k : 0; l < px; ++l)
          out.hessian[(c * px + k) * size + d * px + l] +=
              gram[std::min(k, l) * px + std::max(k, l)];
    }
}

}  // namespace detail

template <template <int> class Response, int Q>
GroupedData::Result GroupedData::evaluate_effects(std::size_t threads) {
  constexpr int kQuadratureQ = Q <= 2 ? Q : 0;  // with more effects few nodes are affordable
  return point_.nodes.empty() ? evaluate_units<LaplaceUnit<Q, Response>>(threads)
                              : evaluate_units<QuadratureUnit<kQuadratureQ, Response>>(threads);
}

template <class Kernel>
GroupedData::Result GroupedData::evaluate_units(std::size_t threads) {
  const std::size_t slots = layout_.slots.size() - 1;
  const auto size = static_cast<std::size_t>(point_.size());
  const std::size_t parts =
      std::clamp<std::size_t>(detail::kMostSums / (size * size + 1), 1, slots);
  threads = std::clamp<std::size_t>(threads, 1, parts);
  std::vector<SlotSum> sums(parts);
  std::vector<std::unique_ptr<Kernel>> kernels(threads);

  for_each_slot(parts, threads, [&](std::size_t worker, std::size_t part) {
    if (!kernels[worker]) kernels[worker] = std::make_unique<Kernel>(point_);
    const std::size_t first = layout_.slots[part * slots / parts];
    const std::size_t last = layout_.slots[(part + 1) * slots / parts];
    sums[part] = sum_units(*kernels[worker], first, last);
  });

  Result result = detail::add_up(sums, point_.size());
  for (const auto& kernel : kernels)
    if (kernel) result.inner_iterations += kernel->inner_iterations();
  return result;
}

// What the units from `first` to `last` contribute.
template <class Kernel>
SlotSum GroupedData::sum_units(Kernel& kernel, std::size_t first, std::size_t last) {
  const int size = point_.size();
  SlotSum out(size);
  Totals totals(size, point_.m(), kernel.squares(), kernel.crosses());
  Flat flat(point_);
  std::vector<vd> room;
  bool groups_in_lanes = true;
  for (std::size_t u = first; u < last; ++u) {
    const Unit& unit = layout_.units[u];
    if (unit.groups_in_lanes != groups_in_lanes) {  // rarely: units are in the order of their size
      detail::reduce(totals, groups_in_lanes, out);
      groups_in_lanes = unit.groups_in_lanes;
    }
    out.modes_found =
        kernel.evaluate(rows_of(unit, room), unit.group, unit.groups, modes_, totals, flat);
    if (!out.modes_found) return out;
  }
  flat.flush(point_);
  detail::reduce(totals, groups_in_lanes, out);
  detail::finish(totals, out);
  for (int k = 0; k < point_.p; ++k) out.gradient[k] += flat.product[k];
  detail::add_grams(point_, flat.gram, out);
  return out;
}

template <class Kernel>
void GroupedData::moments_of_units(double* score, double* information) {
  const int q = point_.q, s = packed_size(q);
  Kernel kernel(point_);
  std::vector<double> sums(static_cast<std::size_t>(kLanes) * (q + s));
  std::vector<vd> room;
  for (const Unit& unit : layout_.units) {
    kernel.moments(rows_of(unit, room), unit.groups, sums.data());
    for (int lane = 0; lane < unit.groups; ++lane) {
      const std::size_t group = layout_.order[unit.group + lane];
      for (int a = 0; a < q; ++a) score[group * q + a] = sums[a * unit.groups + lane];
      for (int c = 0; c < s; ++c) information[group * s + c] = sums[(q + c) * unit.groups + lane];
    }
  }
}

}  // namespace multilogit

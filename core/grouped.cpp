#include "grouped.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "parallel.hpp"

namespace multilogit {

namespace {

// Mode derivatives are kept while they take at most this many doubles (80 MB).
constexpr std::size_t kMostDerivatives = 10'000'000;

// All sums of slots together take at most this many doubles (64 MB).
constexpr std::size_t kMostSums = 8'000'000;

inline double total(double x) { return x; }
inline double total(vd x) { return sum(x); }

template <class S>
void reduce(const Totals<S>& totals, SlotSum& out) {
  out.value += total(totals.value);
  for (std::size_t i = 0; i < out.gradient.size(); ++i)
    out.gradient[i] += total(totals.gradient[i]);
  for (std::size_t i = 0; i < out.hessian.size(); ++i) out.hessian[i] += total(totals.hessian[i]);
}

// The slots in their order; the Hessian becomes full.
GroupedData::Result add_up(const std::vector<SlotSum>& slots, int size) {
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

// One worker's scratch space: both kinds of unit.
template <template <int, class> class Kind, int Q>
struct Worker {
  Kind<Q, double> large;
  Kind<Q, vd> small;
  explicit Worker(const Point& point) : large(point, point.size()), small(point, point.size()) {}
};

}  // namespace

GroupedData::GroupedData(const std::vector<const double*>& columns, int p, const double* y,
                         const double* n, const double* offset, const std::int32_t* codes,
                         std::size_t rows, std::size_t groups)
    : layout_(codes, rows, groups),
      columns_(static_cast<int>(columns.size())),
      p_(p),
      x_(layout_.tiles * columns.size()),
      y_(layout_.tiles),
      n_(layout_.tiles),
      offset_(offset ? layout_.tiles : 0) {
  fill_tiles(columns.data(), columns.size(), x_.data());
  if (offset) fill_tiles(&offset, 1, offset_.data());
  set_response(y, n);
}

// Tile by tile, so that what is written is written once and in order.
void GroupedData::fill_tiles(const double* const* columns, std::size_t count, vd* tiles) const {
  auto* to = reinterpret_cast<double*>(tiles);
  for (std::size_t t = 0; t < layout_.tiles; ++t) {
    const std::int64_t* row = &layout_.row[t * kLanes];
    const bool full = std::find(row, row + kLanes, kNoRow) == row + kLanes;
    for (std::size_t k = 0; k < count; ++k, to += kLanes) {
      const double* column = columns[k];
      if (full)
        for (int lane = 0; lane < kLanes; ++lane) to[lane] = column[row[lane]];
      else
        for (int lane = 0; lane < kLanes; ++lane)
          to[lane] = row[lane] == kNoRow ? 0.0 : column[row[lane]];
    }
  }
}

void GroupedData::set_response(const double* y, const double* n) {
  fill_tiles(&y, 1, y_.data());
  fill_tiles(&n, 1, n_.data());
}

void GroupedData::set_structure(std::vector<int> z, std::vector<int> row, std::vector<int> column) {
  point_.p = p_;
  point_.columns = columns_;
  point_.q = static_cast<int>(z.size());
  point_.z = std::move(z);
  point_.theta_row = std::move(row);
  point_.theta_column = std::move(column);
  set_modes(nullptr);
}

void GroupedData::set_nodes(std::vector<double> nodes, std::vector<double> log_weights) {
  point_.nodes = std::move(nodes);
  point_.log_weights = std::move(log_weights);
}

void GroupedData::set_modes(const double* u) {
  const int q = point_.q;
  modes_.groups = groups();
  modes_.u.assign(groups() * q, 0.0);
  modes_.derivatives.clear();
  modes_.covariance.assign(groups() * q * (q + 1) / 2, 0.0);
  last_psi_.clear();
  if (u == nullptr) return;
  for (std::size_t g = 0; g < groups(); ++g)
    for (int a = 0; a < q; ++a) modes_.u[a * groups() + g] = u[layout_.order[g] * q + a];
}

void GroupedData::get_modes(double* u, double* covariance) const {
  const int q = point_.q, s = q * (q + 1) / 2;
  for (std::size_t g = 0; g < groups(); ++g) {
    for (int a = 0; a < q; ++a) u[layout_.order[g] * q + a] = modes_.u[a * groups() + g];
    for (int c = 0; c < s; ++c)
      covariance[layout_.order[g] * s + c] = modes_.covariance[c * groups() + g];
  }
}

Rows GroupedData::rows_of(const Unit& unit) const {
  return {&x_[unit.tile * columns_], &y_[unit.tile], &n_[unit.tile],
          offset_.empty() ? nullptr : &offset_[unit.tile], unit.tiles};
}

void GroupedData::moments(const double* beta, double* score, double* information) {
  const int q = point_.q, s = q * (q + 1) / 2;
  Point point = point_;
  point.beta.assign(beta, beta + p_);
  LaplaceUnit<0, double> large(point, point.size());
  LaplaceUnit<0, vd> small(point, point.size());
  std::vector<double> sums(static_cast<std::size_t>(kLanes) * (q + s));
  for (const Unit& unit : layout_.units) {
    if (unit.groups_in_lanes)
      small.moments(rows_of(unit), unit.groups, sums.data());
    else
      large.moments(rows_of(unit), unit.groups, sums.data());
    for (int lane = 0; lane < unit.groups; ++lane) {
      const std::size_t group = layout_.order[unit.group + lane];
      for (int a = 0; a < q; ++a) score[group * q + a] = sums[a * unit.groups + lane];
      for (int c = 0; c < s; ++c) information[group * s + c] = sums[(q + c) * unit.groups + lane];
    }
  }
}

// beta and Lambda at psi, and how far psi is from where the mode derivatives were taken.
void GroupedData::move_to(const double* psi) {
  const auto size = static_cast<std::size_t>(point_.size());
  point_.beta.assign(psi, psi + p_);
  point_.Lambda.assign(static_cast<std::size_t>(point_.q) * point_.q, 0.0);
  for (int k = 0; k < point_.m(); ++k)
    point_.Lambda[point_.theta_row[k] * point_.q + point_.theta_column[k]] = psi[p_ + k];
  point_.change.assign(size, 0.0);
  if (last_psi_.size() == size) {
    for (std::size_t k = 0; k < size; ++k) point_.change[k] = psi[k] - last_psi_[k];
  } else {
    const std::size_t doubles = groups() * point_.q * size;
    modes_.derivatives.assign(doubles <= kMostDerivatives ? doubles : 0, 0.0);
  }
  last_psi_.assign(psi, psi + size);
}

GroupedData::Result GroupedData::evaluate(const double* psi, std::size_t threads) {
  move_to(psi);
  Result result;
  switch (point_.q) {
    case 1: result = evaluate_sized<1>(threads); break;
    case 2: result = evaluate_sized<2>(threads); break;
    case 3: result = evaluate_sized<3>(threads); break;
    default: result = evaluate_sized<0>(threads);
  }
  if (!result.modes_found) set_modes(nullptr);  // start afresh next time
  return result;
}

template <int Q>
GroupedData::Result GroupedData::evaluate_sized(std::size_t threads) {
  constexpr int kQuadratureQ = Q <= 2 ? Q : 0;  // with more effects few nodes are affordable
  return point_.nodes.empty() ? evaluate_units<LaplaceUnit, Q>(threads)
                              : evaluate_units<QuadratureUnit, kQuadratureQ>(threads);
}

template <template <int, class> class Kind, int Q>
GroupedData::Result GroupedData::evaluate_units(std::size_t threads) {
  const std::size_t slots = layout_.slots.size() - 1;
  const auto size = static_cast<std::size_t>(point_.size());
  const std::size_t parts = std::clamp<std::size_t>(kMostSums / (size * size + 1), 1, slots);
  threads = std::clamp<std::size_t>(threads, 1, parts);
  std::vector<SlotSum> sums(parts);
  std::vector<std::unique_ptr<Worker<Kind, Q>>> workers(threads);

  for_each_slot(parts, threads, [&](std::size_t w, std::size_t part) {
    if (!workers[w]) workers[w] = std::make_unique<Worker<Kind, Q>>(point_);
    const std::size_t first = layout_.slots[part * slots / parts];
    const std::size_t last = layout_.slots[(part + 1) * slots / parts];
    sums[part] = sum_units(*workers[w], first, last);
  });

  Result result = add_up(sums, point_.size());
  for (const auto& worker : workers)
    if (worker)
      result.inner_iterations +=
          worker->small.inner_iterations() + worker->large.inner_iterations();
  return result;
}

// What the units from `first` to `last` contribute.
template <class Worker>
SlotSum GroupedData::sum_units(Worker& worker, std::size_t first, std::size_t last) {
  const int size = point_.size(), p = point_.p;
  SlotSum out(size);
  Totals<double> large(size);
  Totals<vd> small(size);
  Flat flat(p);
  for (std::size_t u = first; u < last; ++u) {
    const Unit& unit = layout_.units[u];
    const Rows rows = rows_of(unit);
    out.modes_found =
        unit.groups_in_lanes
            ? worker.small.evaluate(rows, unit.group, unit.groups, modes_, small, flat)
            : worker.large.evaluate(rows, unit.group, 1, modes_, large, flat);
    if (!out.modes_found) return out;
  }
  flat.flush(point_);
  reduce(large, out);
  reduce(small, out);
  for (int k = 0; k < p; ++k) {
    out.gradient[k] += flat.product[k];
    for (int l = k; l < p; ++l) out.hessian[k * size + l] += flat.gram[k * p + l];
  }
  return out;
}

}  // namespace multilogit

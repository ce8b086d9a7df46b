#include "levels.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>

#include "binomial.hpp"
#include "parallel.hpp"

namespace multilogit {
namespace {

// Newton's step, relative to |alpha| + 1, after which the error is its square: below rounding.
constexpr double kSmallStep = 1e-7;
constexpr double kLongestStep = 4.0;
constexpr int kMostSteps = 200;
constexpr std::size_t kRowsPerSlot = 16384;

vd load(const double* from) {
  vd out;
  std::memcpy(&out, from, sizeof out);
  return out;
}

vd load(const double* from, std::size_t count) {
  vd out{};
  std::memcpy(&out, from, count * sizeof(double));
  return out;
}

// Calls each(load, i) for every register of `rows` numbers; lanes behind the end are 0.
template <class Each>
void for_each_register(std::size_t rows, const Each& each) {
  const std::size_t full = rows / kLanes * kLanes, left = rows - full;
  for (std::size_t i = 0; i < full; i += kLanes)
    each([=](const double* from) { return load(from + i); }, i);
  if (left > 0) each([=](const double* from) { return load(from + full, left); }, full);
}

// The rows of one level: eta without its intercept.
struct Level {
  const double *y, *n;
  std::size_t rows;
  double* eta;

  // sum (y - n pi) and sum n pi (1 - pi) with the intercept alpha; lanes behind the end are 0
  void score(double alpha, double& r, double& w) const {
    vd residuals{}, weights{};
    for_each_register(rows, [&](const auto& at, std::size_t) {
      const BinomialScore row = binomial_score(at(eta) + alpha, at(y), at(n));
      residuals += row.r;
      weights += row.w;
    });
    r = sum(residuals);
    w = sum(weights);
  }

  // The root of the score, which falls in alpha: Newton's steps, halving where one leaves the
  // interval that is known to hold it.
  bool find(double& alpha) const {
    double low = -std::numeric_limits<double>::infinity(), high = -low;
    for (int step = 0; step < kMostSteps; ++step) {
      double r, w;
      score(alpha, r, w);
      if (!std::isfinite(r)) return false;
      (r > 0.0 ? low : high) = alpha;
      double next = alpha + std::clamp(r / w, -kLongestStep, kLongestStep);
      if (next < low || next > high) next = 0.5 * (low + high);
      const double moved = std::abs(next - alpha);
      alpha = next;
      if (moved <= kSmallStep * (1.0 + std::abs(alpha))) return true;
    }
    return false;
  }

  // eta becomes the weights; returns their sum.
  double weigh(double alpha) const {
    vd total{};
    for_each_register(rows, [&](const auto& at, std::size_t i) {
      const vd w = binomial_score(at(eta) + alpha, at(y), at(n)).w;
      std::memcpy(eta + i, &w, std::min<std::size_t>(rows - i, kLanes) * sizeof(double));
      total += w;
    });
    return sum(total);
  }
};

double dot(const double* a, const double* b, std::size_t count) {
  vd total{};
  for_each_register(count, [&](const auto& at, std::size_t) { total += at(a) * at(b); });
  return sum(total);
}

// eta = o + X beta for rows from, from + 1, ...
void predict(const LevelColumns& data, const double* beta, std::size_t from, std::size_t rows,
             double* eta) {
  if (data.offset != nullptr)
    std::copy_n(data.offset + from, rows, eta);
  else
    std::fill_n(eta, rows, 0.0);
  for (std::size_t k = 0; k < data.x.size(); ++k) {
    const double *x = data.x[k] + from, slope = beta[k];
    for (std::size_t i = 0; i < rows; ++i) eta[i] += slope * x[i];
  }
}

// removed += m m' / h
void add_outer(const double* m, double h, std::size_t p, double* removed) {
  for (std::size_t j = 0; j < p; ++j) {
    const double factor = m[j] / h;
    for (std::size_t k = 0; k < p; ++k) removed[j * p + k] += factor * m[k];
  }
}

}  // namespace

LevelModes find_level_modes(const LevelColumns& data, const double* beta, double* alpha,
                            double* shift, std::size_t threads) {
  const std::size_t p = data.x.size(), levels = data.levels;
  const auto rows = static_cast<std::size_t>(data.first[levels]);
  const std::size_t slots = std::clamp<std::size_t>(rows / kRowsPerSlot, 1, 64);
  LevelModes modes;
  modes.information.resize(levels);
  modes.cross.resize(levels * p);
  modes.removed.resize(p * p);
  std::vector<std::vector<double>> removed(slots, std::vector<double>(p * p));
  std::atomic<bool> found{true};
  const auto first_level = [&](std::size_t slot) {
    const auto row = static_cast<std::int64_t>(slot * rows / slots);
    return static_cast<std::size_t>(std::lower_bound(data.first, data.first + levels, row) -
                                    data.first);
  };
  for_each_slot(slots, threads, [&](std::size_t, std::size_t slot) {
    const std::size_t end = slot + 1 < slots ? first_level(slot + 1) : levels;
    for (std::size_t g = first_level(slot); g < end; ++g) {
      const auto from = static_cast<std::size_t>(data.first[g]);
      const auto count = static_cast<std::size_t>(data.first[g + 1]) - from;
      const Level level{data.y + from, data.n + from, count, shift + from};
      predict(data, beta, from, count, level.eta);
      if (!level.find(alpha[g])) found = false;
      double* m = &modes.cross[g * p];
      modes.information[g] = level.weigh(alpha[g]);
      for (std::size_t k = 0; k < p; ++k) m[k] = dot(level.eta, data.x[k] + from, count);
      add_outer(m, modes.information[g], p, removed[slot].data());
      for (std::size_t i = 0; i < count; ++i)
        shift[from + i] = alpha[g] + (data.offset == nullptr ? 0.0 : data.offset[from + i]);
    }
  });
  for (const auto& part : removed)
    for (std::size_t k = 0; k < p * p; ++k) modes.removed[k] += part[k];
  modes.found = found;
  return modes;
}

}  // namespace multilogit

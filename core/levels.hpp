// A factor with very many levels in a single-level binomial model: one free intercept per level,
//
//   eta_i = o_i + alpha_g(i) + x_i'beta,
//
// eliminated level by level (docs/mathematics.md, section 3). The information is an arrow: h_g =
// sum w on the diagonal of the levels, m_g = sum w x beside it, X'WX at the end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace multilogit {

// Pointers to the data, rows sorted by level.
struct LevelColumns {
  std::vector<const double*> x;  // p columns
  const double* y = nullptr;     // successes
  const double* n = nullptr;     // trials
  const double* offset = nullptr;
  const std::int64_t* first = nullptr;  // level g: rows first[g] .. first[g + 1] - 1
  std::size_t levels = 0;
};

struct LevelModes {
  bool found = true;
  std::vector<double> information;  // h_g
  std::vector<double> cross;        // m_g: levels x p
  std::vector<double> removed;      // sum_g m_g m_g' / h_g: p x p
};

// The intercepts that maximise the likelihood at beta, each level for itself: alpha holds where to
// start and then where they are, shift becomes o_i + alpha_g(i).
LevelModes find_level_modes(const LevelColumns& data, const double* beta, double* alpha,
                            double* shift, std::size_t threads);

}  // namespace multilogit

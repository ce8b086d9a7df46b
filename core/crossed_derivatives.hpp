// What the derivatives of a crossed model add up to.
#pragma once

#include <cstddef>
#include <vector>

#include "crossed.hpp"

namespace multilogit {

// Sums over the rows; parameters theta first, then beta.
struct CrossedData::Derivatives {
  std::size_t vectors;
  std::vector<vd> gradient;   // vectors
  std::vector<vd> hessian;    // a line for every lane: its symmetric part is meant
  std::vector<double> trace;  // m: tr(H^-1 A'W Z_k)
  bool exact = false;

  Derivatives(int m, std::size_t registers)
      : vectors(registers),
        gradient(registers),
        hessian(registers * kLanes * registers),
        trace(m) {}

  double& hessian_at(std::size_t k, std::size_t l) {
    return reinterpret_cast<double*>(&hessian[k * vectors])[l];
  }
  double hessian_at(std::size_t k, std::size_t l) const {
    return reinterpret_cast<const double*>(&hessian[k * vectors])[l];
  }

  void add(const Derivatives& other) {
    for (std::size_t i = 0; i < gradient.size(); ++i) gradient[i] += other.gradient[i];
    for (std::size_t i = 0; i < hessian.size(); ++i) hessian[i] += other.hessian[i];
    for (std::size_t i = 0; i < trace.size(); ++i) trace[i] += other.trace[i];
  }
};

}  // namespace multilogit

#include "nested_quadrature.hpp"

#include "nested_evaluate.hpp"

namespace multilogit {

NestedData::Result NestedData::evaluate_quadrature(std::size_t threads) {
  if constexpr (kSizedUnits)
    if (point_.zs() == 1 && point_.q() == levels())
      return evaluate_with<NestedQuadrature<1, 1>>(threads);
  return evaluate_with<NestedQuadrature<0, 0>>(threads);
}

}  // namespace multilogit

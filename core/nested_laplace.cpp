#include "nested_laplace.hpp"

#include "nested_evaluate.hpp"

namespace multilogit {

NestedData::Result NestedData::evaluate_laplace(std::size_t threads) {
  if constexpr (kSizedUnits) {
    const bool one_each = point_.q() == levels();
    if (point_.zs() == 1 && one_each) return evaluate_with<NestedLaplace<1, 1>>(threads);
    if (point_.zs() == 2) return evaluate_with<NestedLaplace<2, 0>>(threads);
  }
  return evaluate_with<NestedLaplace<0, 0>>(threads);
}

}  // namespace multilogit

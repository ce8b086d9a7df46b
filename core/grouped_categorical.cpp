// Units of groups with a categorical response.

#include "categorical_rows.hpp"
#include "grouped_units.hpp"

namespace multilogit {

GroupedData::Result GroupedData::evaluate_categorical(std::size_t threads) {
  if constexpr (kSizedUnits)
    if (point_.logits == 2 && point_.q == 2) return evaluate_effects<TwoLogitRows, 2>(threads);
  return evaluate_effects<AnyLogitRows, 0>(threads);
}

void GroupedData::moments_categorical(double* score, double* information) {
  moments_of_units<LaplaceUnit<0, AnyLogitRows>>(score, information);
}

}  // namespace multilogit

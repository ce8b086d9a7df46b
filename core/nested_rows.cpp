#include "nested_rows.hpp"

#include "nested_binomial.hpp"
#include "nested_categorical.hpp"

namespace multilogit {

void LeafRows::add_scores(double* out) const {
  const auto stride = static_cast<std::size_t>(at_.columns);
  for (int c = 0; c < at_.logits; ++c)
    for (std::size_t t = 0; t < rows_->tiles; t += kChunkTiles)
      add_product(data_.x + (rows_->first + t) * stride, stride, at_.x_columns,
                  &r_[c * rows_->tiles + t], std::min(kChunkTiles, rows_->tiles - t),
                  out + c * at_.x_columns);
}

void LeafRows::multiply_left(std::size_t tile, std::size_t tiles, int height, vd* out) const {
  const auto columns = static_cast<std::size_t>(at_.columns);
  add_cross(left_.data(), height, data_.x + tile * columns, columns, columns, tiles, out, columns);
}

std::unique_ptr<LeafRows> make_leaf_rows(const NestedProblem& problem, bool alone) {
  const NestedPoint& at = problem.at;
  if (at.categorical) return std::make_unique<CategoricalLeaves>(problem, alone);
  if constexpr (kSizedUnits) {
    if (at.zs() == 1 && at.effects(0) == 1)
      return std::make_unique<BinomialLeaves<1, 1>>(problem, alone);
    if (at.zs() == 2) return std::make_unique<BinomialLeaves<2, 0>>(problem, alone);
  }
  return std::make_unique<BinomialLeaves<0, 0>>(problem, alone);
}

}  // namespace multilogit

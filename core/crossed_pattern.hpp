// The pattern of a sparse remainder: which blocks meet in a group, in which order they are best
// eliminated, and what its Cholesky factor will look like.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "crossed_layout.hpp"

namespace multilogit {

// For every block of effects the blocks that meet it in a group, itself included; nothing when that
// makes more than `most` pairs of effects.
std::optional<Lists> remainder_pattern(const CrossedLayout& layout, double most);

// rank[c]: when block c is to be eliminated, by approximate minimum degree (Amestoy, Davis & Duff
// 1996).
std::vector<std::int32_t> minimum_degree_rank(const Lists& pattern);

// The factor of a remainder whose effects are numbered in the order of elimination: rows of each
// column from the diagonal on, and the elements left of the diagonal of each row.
struct SparsePattern {
  std::vector<std::int64_t> first;  // of column j
  std::vector<std::int32_t> row;
  std::vector<std::int64_t> left;           // of row j: columns k < j with L_jk
  std::vector<std::int32_t> left_column;    // k
  std::vector<std::int64_t> left_position;  // where L_jk stands
  double work = 0.0;                        // multiply-adds of the factorisation

  std::size_t size() const { return first.size() - 1; }
  std::size_t nonzeros() const { return row.size(); }
};

// The factor when block c is eliminated rank[c]-th; nothing when that takes more than `most`
// multiply-adds or `most_nonzeros` elements.
std::optional<SparsePattern> factor_pattern(const CrossedLayout& layout, const Lists& pattern,
                                            const std::vector<std::int32_t>& rank, double most,
                                            double most_nonzeros);

}  // namespace multilogit
